"""Pages of a table, and the filters that choose its rows."""

from __future__ import annotations

import operator
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tune_mlp.errors import TuneMlpError
from tune_mlp.service.faults import Refused
from tune_mlp.service.table_pages import TableRequest, page_of
from tune_mlp.service.trial_filter import ColumnComparison, filtered, parse_filter


def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "trial": [0, 1, 2, 3, 4],
            "lr": [0.1, 0.001, float("nan"), 0.01, 0.01],
            "activation": ["relu", "tanh", "relu", None, "leaky relu"],
            "depth": pd.array([1, None, 3, 2, 1], dtype="Int64"),
            "shuffle": pd.array([True, False, None, True, False], dtype="boolean"),
        }
    )


def chosen(text: str) -> list[int]:
    return list(filtered(table(), text)["trial"])


@pytest.mark.parametrize(
    ("text", "trials"),
    [
        ("lr<0.05", [1, 3, 4]),
        ("lr <= 0.01 and activation == 'leaky relu'", [4]),
        ("activation=relu", [0, 2]),
        ("activation!=relu", [1, 4]),
        ("activation~RELU", [0, 2, 4]),
        ("depth>=2", [2, 3]),
        ("depth!=1", [2, 3]),
        ("shuffle==true", [0, 3]),
        ("shuffle!=true", [1, 4]),
        ("trial>1e0 and trial<4.0", [2, 3]),
        ('activation=="leaky relu" AND lr>0', [4]),
        ("lr==nan", []),
    ],
)
def test_a_filter_chooses_rows_and_a_missing_value_meets_none(text: str, trials: list[int]) -> None:
    assert chosen(text) == trials


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lr", "write a column, an operator and a value"),
        ("lr<", "write a column"),
        ("lr<0.1 or trial<1", "joined by and"),
        ("lr<0.1 trial<1", "joined by and"),
        ("lrr<1", "did you mean 'lr'"),
        ("lr<small", "holds numbers"),
        ("@print<1", "no column"),
        ("__import__('os')==1", "filter:"),
        ("lr<0.1 and", "write a column"),
        ("'unclosed==1", "can't be read"),
        (" and ".join(["lr<1"] * 21), "at most 20"),
        ("x" * 2001, "at most 2000"),
    ],
)
def test_any_other_filter_is_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(Refused, match=said):
        filtered(table(), text)


@settings(deadline=None)
@given(st.text(max_size=60))
def test_no_text_breaks_the_parser(text: str) -> None:
    try:
        found = filtered(table(), text)
    except TuneMlpError:
        return
    assert set(found["trial"]) <= set(range(5))


OPERATORS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@settings(deadline=None)
@given(
    st.lists(st.floats(allow_nan=False, width=32) | st.none(), min_size=1, max_size=20),
    st.sampled_from(sorted(OPERATORS)),
    st.floats(allow_nan=False, width=32),
)
def test_a_comparison_of_numbers_is_pythons_own(values: list[float | None], sign: str, limit: float) -> None:
    frame = pd.DataFrame({"x": pd.Series(values, dtype="float64")})
    expected = [i for i, value in enumerate(values) if value is not None and OPERATORS[sign](value, limit)]
    assert list(filtered(frame, f"x{sign}{limit!r}").index) == expected


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_any_value_can_be_written_in_quotes(value: str) -> None:
    quoted = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\\n")
    assert parse_filter(f'x=="{quoted}"') == [ColumnComparison("x", "==", value, True)]


def page(**request: Any) -> list[int]:
    return list(page_of(table(), TableRequest(**request), 0).frame["trial"])


def test_a_page_is_sorted_with_missing_values_last_and_equal_ones_in_order() -> None:
    assert page(sort="lr") == [1, 3, 4, 0, 2]
    assert page(sort="lr", descending=True) == [0, 3, 4, 1, 2]
    assert page(sort="activation") == [4, 0, 2, 1, 3]
    assert page(sort="depth", descending=True) == [2, 3, 0, 4, 1]


def test_a_page_is_cut_and_has_the_columns_that_were_asked_for() -> None:
    found = page_of(table(), TableRequest(["lr", "trial", "lr"], "trial", True, "lr>0", 1, 2), 77)
    assert (found.total, found.offset, list(found.frame.columns)) == (4, 77, ["lr", "trial"])
    assert list(found.frame["trial"]) == [3, 1]
    assert found.columns == tuple(table().columns)
    assert page(offset=10) == []
    assert len(page(limit=None)) == 5


@pytest.mark.parametrize(
    "request_",
    [{"sort": "nothing"}, {"columns": ["lr", "nothing"]}, {"offset": -1}, {"limit": -1}, {"limit": 10**9}],
)
def test_a_page_that_there_cant_be_is_refused(request_: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        page(**request_)
