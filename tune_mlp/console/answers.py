"""The answer of a word that answers with a table: as text for a person, or as JSON, CSV or Markdown for a program."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tune_mlp.results.answer import Answer, plain
from tune_mlp.results.export import export
from tune_mlp.results.plain_text import escaped

LONG = 24
"""A word that is longer may be broken in the middle."""


def show_answer(
    console: Console, frame: pd.DataFrame, to: str, lines: Sequence[str] = (), above: Sequence[str] = ()
) -> None:
    """Print the table; as text, with lines above and below it."""
    if to != "text":
        with TemporaryDirectory() as folder:
            path = Path(folder) / "answer"
            export(frame, path, to)
            sys.stdout.write(path.read_text(encoding="utf-8"))
        return
    for line in above:
        console.print(Text(escaped(line), "bold"), soft_wrap=True)
    for block in _blocks(frame, console.width):
        console.print(block)
    for line in lines:
        console.print(Text(escaped(line)), soft_wrap=True)


def _blocks(frame: pd.DataFrame, width: int) -> Iterator[Table | str]:
    """Yield the table; where it is too wide, with names of columns on several lines; where that is too wide, too, as records."""
    whole = [escaped(str(name)) for name in frame.columns]
    broken = [name.replace("_", "_\n") for name in whole]
    for names, gap in ((whole, 3), (broken, 2)):
        if _least_width(frame, names, gap) <= width:
            yield _as_table(frame, names, gap)
            return
    yield ""
    for row in frame.itertuples(index=False):
        yield _as_record(whole, row)
        yield ""


def _least_width(frame: pd.DataFrame, names: Sequence[str], gap: int) -> int:
    """Return the width below which the table would break words, other than long ones, in the middle. `gap` is the space between
    two columns."""
    cells = ((name, *map(_cell, frame.iloc[:, place])) for place, name in enumerate(names))
    widths = [max((len(word) for text in column for word in text.split()), default=0) for column in cells]
    return sum(min(width, LONG) for width in widths) + gap * (len(widths) - 1) + 2  # a space at either end


def _as_table(frame: pd.DataFrame, names: Sequence[str], gap: int) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, gap - 2), pad_edge=False)
    for name, kind in zip(names, frame.dtypes, strict=True):
        number = pd.api.types.is_numeric_dtype(kind)
        table.add_column(name, justify="right" if number else "left", overflow="fold", no_wrap=number)
    for row in frame.itertuples(index=False):
        table.add_row(*(Text(_cell(value)) for value in row))
    return table


def _as_record(names: Sequence[str], row: Sequence[Any]) -> Table:
    """Return a row as a block with a line for each value that it has."""
    record = Table(box=None, show_header=False, padding=(0, 1))
    record.add_column(overflow="fold", max_width=LONG)
    record.add_column(overflow="fold")
    for name, value in zip(names, map(_cell, row), strict=True):
        if value:
            record.add_row(Text(name, "dim"), Text(value))
    return record


def print_answer(console: Console, answer: Answer, to: str) -> None:
    """Print an answer: as text the sentence, the table and how it was worked out; as JSON all of it; else the table alone."""
    if to == "json":
        sys.stdout.write(json.dumps(answer.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
        return
    if to != "text":
        flat = answer.table.map(
            lambda value: json.dumps(plain(value)) if isinstance(value, list | tuple | dict) else value
        )
        show_answer(console, flat, to)
        return
    below = [*answer.notes, *answer.method]
    table = answer.table if answer.shown is None else answer.shown
    if table.empty:
        for line, style in ((answer.sentence, "bold"), *((line, "") for line in below)):
            console.print(Text(escaped(line), style), soft_wrap=True)
        return
    show_answer(console, table, to, below, [answer.sentence])


def _cell(value: Any) -> str:
    """Write a value for a person: numbers with four digits, nothing for a missing value."""
    if pd.isna(value):
        return ""
    return f"{value:.4g}" if isinstance(value, float) else escaped(str(value))
