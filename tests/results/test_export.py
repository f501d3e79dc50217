from __future__ import annotations

import json
import math
import stat
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.results.journals import a_study, drawn, ended, record, started, trained, winner
from tune_mlp.errors import RunError, UsageError
from tune_mlp.results.export import EXPORTS, export, write_aside
from tune_mlp.results.outside_tables import EXACT
from tune_mlp.results.tables import build_tables

HOSTILE = [
    "=1+1",
    "+1",
    "-1+2",
    "@SUM(A1)",
    "#REF!",
    "a|b",
    'q"u,o\nte',
    "lone\rreturn",
    "win\r\nline",
    " é 😀 ",
    "bell\x07",
    "<b>",
]


def hostile_trials() -> pd.DataFrame:
    events = [drawn(i, {"p": text, "widths": [i, 64], "lr": 0.1 / 3 * i}) for i, text in enumerate(HOSTILE)]
    ends = [ended(i, "failed", error=text) for i, text in enumerate(HOSTILE)]
    return build_tables([started(), *events, *ends])[0]


TABLES = {
    "trials": lambda: build_tables(a_study())[0],
    "epochs": lambda: build_tables(a_study())[1],
    "no rows": lambda: build_tables([started()])[0],
    "hostile text": hostile_trials,
}


def plain(frame: pd.DataFrame) -> list[list[Any]]:
    """Return the cells as Python values, with None for missing values and empty texts, which a CSV can't tell apart."""
    rows = frame.astype(object).to_numpy().tolist()
    return [[None if pd.isna(cell) or cell == "" else cell for cell in row] for row in rows]


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_plain_read_csv_gives_the_same_values_back(table: Any, tmp_path: Path) -> None:
    frame = table()
    export(frame, tmp_path / "t.csv", "csv")
    back = pd.read_csv(tmp_path / "t.csv", **EXACT)
    assert list(back) == list(frame)
    assert plain(back) == plain(frame)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(), min_size=4, max_size=4), st.floats(allow_nan=False, allow_infinity=False))
def test_a_csv_holds_any_float_to_the_last_bit(tmp_path_factory: Any, values: list[float], lr: float) -> None:
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    test = {"test_loss": values[0], "test_accuracy": values[1]}
    frame, _ = build_tables([started(), drawn(0, {"lr": lr}), trained(0, record(1, *values)), winner(0, test)])
    export(frame, path, "csv")
    assert plain(pd.read_csv(path, **EXACT)) == plain(frame)


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_parquet_gives_the_same_table_back_with_its_kinds_and_its_note(table: Any, tmp_path: Path) -> None:
    frame = table()
    export(frame, tmp_path / "t.parquet", "parquet")
    back = pd.read_parquet(tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(back, frame)
    assert back.attrs == frame.attrs


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_json_is_strict_and_says_null_for_what_is_missing(table: Any, tmp_path: Path) -> None:
    def refuse(word: str) -> float:
        raise AssertionError(word)

    frame = table()
    export(frame, tmp_path / "t.json", "json")
    rows = json.loads((tmp_path / "t.json").read_text(encoding="utf-8"), parse_constant=refuse)
    assert [[cell if cell != "" else None for cell in row.values()] for row in rows] == plain(frame)
    assert all(list(row) == list(frame) for row in rows)


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_xlsx_gives_the_values_back_and_no_formulas(table: Any, tmp_path: Path) -> None:
    frame = table()
    export(frame, tmp_path / "t.xlsx", "xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "t.xlsx").active
    header, *rows = [[cell.value for cell in row] for row in sheet.iter_rows()]
    assert header == list(frame)
    for row, expected in zip(rows, plain(frame), strict=True):
        for cell, value in zip(row, expected, strict=True):
            if isinstance(value, str):  # XML reads any line break as \n, and Excel takes no control characters
                value = value.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "").replace("\x07", "")
            if isinstance(value, int) and value > 2**53:  # more digits than a cell holds
                value = str(value)
            assert cell == value or (isinstance(value, float) and cell == pytest.approx(value, rel=1e-15))
    assert {cell.data_type for row in sheet.iter_rows() for cell in row} <= {
        "s",
        "inlineStr",
        "n",
        "b",
    }  # no "f", no "e"


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_markdown_has_a_line_a_row_and_a_cell_a_column(table: Any, tmp_path: Path) -> None:
    frame = table()
    export(frame, tmp_path / "t.md", "markdown")
    lines = (tmp_path / "t.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2 + len(frame)
    assert {line.replace("\\|", "").count("|") for line in lines} == {len(frame.columns) + 1}


def test_infinity_is_kept_wherever_the_format_can_say_it(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [math.inf, -math.inf, math.nan, 1.5]})
    for fmt in EXPORTS:
        export(frame, tmp_path / fmt, fmt)
    assert pd.read_csv(tmp_path / "csv")["x"].tolist()[:2] == [math.inf, -math.inf]
    assert json.loads((tmp_path / "json").read_text()) == [{"x": None}, {"x": None}, {"x": None}, {"x": 1.5}]
    with (tmp_path / "xlsx").open("rb") as file:
        sheet = openpyxl.load_workbook(file).active
        assert [cell.value for cell in sheet["A"]] == ["x", "inf", "-inf", None, 1.5]


@pytest.mark.parametrize("fmt", ["csv", "json", "markdown"])
def test_the_same_table_gives_the_same_bytes(fmt: str, tmp_path: Path) -> None:
    export(build_tables(a_study())[0], tmp_path / "a", fmt)
    export(build_tables(a_study())[0], tmp_path / "b", fmt)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no format 'cvs' to export to \(did you mean 'csv'\?\)"):
        export(pd.DataFrame(), tmp_path / "t", "cvs")


@pytest.mark.parametrize("fmt", EXPORTS)
def test_a_file_that_cant_be_written_is_said_in_one_line_and_nothing_is_left(fmt: str, tmp_path: Path) -> None:
    frame = build_tables(a_study())[0]
    (tmp_path / "taken").mkdir()
    for path in (tmp_path / "no" / "such", tmp_path / "taken"):
        with pytest.raises(RunError) as caught:
            export(frame, path, fmt)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), ValueError("a bug"), KeyboardInterrupt()], ids=repr
)
def test_a_write_that_fails_leaves_what_was_there(error: BaseException, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("before")

    def write(aside: Path) -> None:
        aside.write_text("half")
        raise error

    with pytest.raises(RunError if isinstance(error, OSError) else type(error)):
        write_aside(path, write)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_replaces_what_was_there_with_an_ordinary_file(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("before")
    write_aside(path, lambda aside: aside.write_text("after"))
    assert path.read_text() == "after"
    assert list(tmp_path.iterdir()) == [path]
    other = tmp_path / "plain"
    other.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(other.stat().st_mode)


def test_a_device_is_written_to_and_not_replaced() -> None:
    null = Path("/dev/null")
    export(pd.DataFrame({"x": [1]}), null, "csv")
    assert null.is_char_device()
