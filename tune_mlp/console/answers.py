"""The answer of a word that answers with a table: as text for a person, or as JSON, CSV or Markdown for a program."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
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
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for name in frame.columns:
        right = pd.api.types.is_numeric_dtype(frame[name].dtype)
        table.add_column(escaped(str(name)), justify="right" if right else "left", overflow="fold")
    for row in frame.itertuples(index=False):
        table.add_row(*(Text(_cell(value)) for value in row))
    console.print(table)
    for line in lines:
        console.print(Text(escaped(line)), soft_wrap=True)


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
