"""The look at a table: a row for each column, warnings that a person needs, and settings with which the table loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tune_mlp.data.profile import TableProfile, profile_table
from tune_mlp.data.sources import load_dataset
from tune_mlp.data_settings import DataSettings
from tune_mlp.errors import DataError

N = 120


def frame(**columns: Any) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    usual = {
        "size": generator.normal(10, 3, N).round(3),
        "colour": generator.choice(["red", "green", "blue"], N),
        "when": pd.date_range("2024-01-01", periods=N).astype(str),
    }
    return pd.DataFrame({**usual, **columns, "kind": generator.choice(["x", "y"], N, p=[0.8, 0.2])})


def look(folder: Path, table: pd.DataFrame, target: str | None = None, **settings: Any) -> TableProfile:
    table.to_csv(folder / "t.csv", index=False)
    return profile_table(DataSettings(name="csv:t.csv", target=target, **settings), folder)


def warnings(profile: TableProfile, name: str) -> list[str]:
    return next(column.warnings for column in profile.columns if column.name == name)


def test_each_column_has_its_kind_its_values_and_its_encoding(tmp_path: Path) -> None:
    table = frame()
    table.loc[:4, "size"] = np.nan
    profile = look(tmp_path, table)
    rows = profile.to_frame().set_index("column")
    assert rows["kind"].to_dict() == {"size": "number", "colour": "category", "when": "date", "kind": "category"}
    assert rows.loc["size", "missing"] == 5
    assert rows.loc["colour", "encoded"] == "3 inputs, one for each category"
    assert rows.loc["when", "encoded"] == "month, day, weekday"
    assert rows.loc["when", "values"] == "2024-01-01 to 2024-04-29"
    assert rows.loc["kind", "encoded"] == "the target"
    assert (profile.target, profile.why_target) == ("kind", "the last column; --target names another")
    assert sum(profile.classes.values()) == N
    assert list(profile.classes) == ["x", "y"]
    assert profile.settings["missing"] == "fill"


def test_a_target_is_found_by_its_name(tmp_path: Path) -> None:
    assert look(tmp_path, frame(label=["a", "b"] * (N // 2))).target == "label"
    assert look(tmp_path, frame(), target="size").classes == {}
    with pytest.raises(DataError, match="no column 'sise' in this table"):
        look(tmp_path, frame(), target="sise")


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ([f"user{i}" for i in range(N)], "differs in nearly every row: an identifier or free text"),
        (list(range(5, N + 5)), "grows by the same step from row to row: an identifier or a row number"),
        ([7] * N, "constant"),
        ([None] * N, "empty"),
        ([*[1.0 * (i % 9) for i in range(N - 1)], 1e9], "a few values lie far from the others"),
        ([*map(str, range(N - 1)), "?"], "holds numbers but for '?'"),
        (["NA", *["1"] * (N // 2), *["2"] * (N // 2 - 1)], "'NA' is read as missing (1 times)"),
        ([np.inf, *range(N - 1)], "has an infinite value"),
        ([f"c{i % 60}" for i in range(N)], "its rarest categories share an input"),
        ([f"1,{i % 5}5" for i in range(N)], "decimal commas"),
    ],
    ids=str,
)
def test_what_a_person_should_know_of_a_column_is_said(tmp_path: Path, column: list[Any], said: str) -> None:
    profile = look(tmp_path, frame(odd=column))
    assert any(said in warning for warning in warnings(profile, "odd"))
    assert not any(said in warning for name in ("size", "colour") for warning in warnings(profile, name))


def test_columns_that_tell_the_same_or_the_target_are_named(tmp_path: Path) -> None:
    table = frame()
    table = table.assign(
        twin=table["size"],
        farbe=table["colour"].map({"red": "rot", "green": "grün", "blue": "blau"}),
        leak=np.where(table["kind"] == "x", 1.0, 0.0),
        hint=np.where(table["kind"] == "x", table["size"] + 100, table["size"]),
        few=[i % 9 for i in range(N)],
    )
    profile = look(tmp_path, table, target="kind")
    assert warnings(profile, "twin") == ["tells the same as column 'size'"]
    assert warnings(profile, "farbe") == ["tells the same as column 'colour'"]
    assert warnings(profile, "leak") == ["tells the target nearly alone: is it known beforehand?"]
    assert warnings(profile, "hint") == ["tells the target nearly alone: is it known beforehand?"]
    assert warnings(profile, "size") == warnings(profile, "few") == []
    assert profile.settings["ignore"] == ["twin", "farbe"]


def test_rows_without_a_target_dont_count_for_what_is_an_identifier(tmp_path: Path) -> None:
    """They can't be learnt from, and they alone hold the values that make the column look like a category."""
    names = [f"n{i}" for i in range(40)] + ["one", "two"] * 40
    table = pd.DataFrame({"size": frame()["size"], "name": names, "kind": [str(i % 2) for i in range(40)] + [""] * 80})
    profile = look(tmp_path, table, target="kind")
    assert profile.settings["ignore"] == ["name"]
    assert profile.columns[-1].missing == 80
    load_dataset(DataSettings.model_validate(profile.settings), base=tmp_path)


@pytest.mark.parametrize("target", ["kind", "size"])
def test_the_proposed_settings_load_whatever_is_in_the_table(tmp_path: Path, target: str) -> None:
    table = frame(
        identity=[f"user{i}" for i in range(N)],
        stray=[*map(str, range(N - 1)), "?"],
        holes=[None if i % 7 == 0 else i for i in range(N)],
        wild=[10.0 ** (i % 40) for i in range(N)],
        same=[1] * N,
        ambiguous=[f"0{i % 8 + 1}/02/2024" for i in range(N)],
        infinite=[np.inf, *range(N - 1)],
    )
    table.loc[3, target] = None
    profile = look(tmp_path, table, target=target)
    assert profile.settings["missing"] == "fill", "for the target's sake"
    data = load_dataset(DataSettings.model_validate(profile.settings), base=tmp_path)
    assert {"stray", "identity", "ambiguous", "infinite"} <= set(profile.settings["ignore"])
    assert "wild" in data.features
    assert data.task == ("regression" if target == "size" else "classification")


def test_settings_that_were_given_are_kept(tmp_path: Path) -> None:
    profile = look(tmp_path, frame(), target="kind", dates="ordinal", ignore=("colour",), missing="refuse")
    assert profile.settings == {
        "name": "csv:t.csv",
        "target": "kind",
        "dates": "ordinal",
        "ignore": ["colour"],
        "missing": "refuse",
        "stratify": True,
    }
    assert [column.name for column in profile.columns] == ["size", "when", "kind"]
