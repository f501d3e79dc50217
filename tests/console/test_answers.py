"""Answers on terminals of different widths: no word of usual length is broken in the middle."""

from __future__ import annotations

import io
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from tune_mlp.console.answers import print_answer
from tune_mlp.results.answer import Answer

TABLE = pd.DataFrame(
    {
        "trial": [8, 118],
        "val_accuracy": [0.9773, 0.9764],
        "winner_only": [None, 128.0],
        "difference": [None, 0.0009167],
        "verdict": ["winner", "not told apart"],
    }
)


def printed(width: int, table: pd.DataFrame = TABLE) -> list[str]:
    """Return the lines that a terminal of this width shows of a table."""
    file = io.StringIO()
    print_answer(Console(file=file, width=width), Answer("Trial 8 is best.", table, ()), "text")
    first, *lines = (line.rstrip() for line in file.getvalue().splitlines())
    assert first == "Trial 8 is best."
    return lines


def words(lines: list[str]) -> set[str]:
    return set(" ".join(lines).split())


def test_a_wide_terminal_shows_one_line_for_each_row() -> None:
    lines = printed(80)
    assert lines[1].split() == ["trial", "val_accuracy", "winner_only", "difference", "verdict"]
    assert lines[4].split() == ["118", "0.9764", "128", "0.0009167", "not", "told", "apart"]


def test_a_narrower_terminal_breaks_names_of_columns_where_they_have_a_mark() -> None:
    lines = printed(50)
    assert max(map(len, lines)) <= 50
    assert {"val_", "accuracy", "winner_", "only", "difference", "0.0009167", "apart"} <= words(lines)


def test_a_narrow_terminal_shows_each_row_as_a_record() -> None:
    lines = printed(40)
    assert lines == [
        "",
        " trial         8",
        " val_accuracy  0.9773",
        " verdict       winner",
        "",
        " trial         118",
        " val_accuracy  0.9764",
        " winner_only   128",
        " difference    0.0009167",
        " verdict       not told apart",
        "",
    ]


@pytest.mark.parametrize("width", range(28, 100))
def test_no_word_is_broken_at_any_width(width: int) -> None:
    lines = printed(width)
    assert max(map(len, lines)) <= width
    assert {"8", "118", "0.9773", "0.9764", "128", "0.0009167", "winner", "told", "apart", "difference"} <= words(lines)


@pytest.mark.parametrize("name", ["[bold]lr", "a" * 60, "\x1b[31mred", "eine Länge"])
@pytest.mark.parametrize("width", [20, 40, 160])
def test_any_name_of_a_parameter_is_shown_within_the_width(name: str, width: int) -> None:
    values: dict[str, Any] = {"parameter": [name], "share": [0.5], name: ["b" * 70]}
    lines = printed(width, pd.DataFrame(values))
    assert max(map(len, lines)) <= width
    assert "\x1b" not in "".join(lines)
    assert name.replace("\x1b", "")[:3] in "".join("".join(lines).split(" ")) or " " in name
