"""A table's file as columns with their kinds; what can't be read is kept as a sentence for each column."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tune_mlp.data.kinds import Column, clean, read_column, some
from tune_mlp.data.number_text import Decimal
from tune_mlp.data.plain_numbers import read_plain_numbers
from tune_mlp.data.table_files import Where, read_frame
from tune_mlp.data_settings import DataSettings
from tune_mlp.errors import DataError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

SHOWN_NAMES = 20
"""The number of columns that are listed if the target isn't named."""


@dataclass
class Table:
    """The columns of a table's file."""

    path: Where
    form: str
    """What was found of the file's format, such as `separated by tabs`; empty if it is plain."""
    names: list[str]
    """The names of all columns, in the file's order."""
    columns: dict[str, Column]
    """The columns that were wanted and could be read."""
    faults: dict[str, str]
    """Why a wanted column can't be read, without its name."""
    inputs: list[str]
    """The columns that are inputs, if they can be read."""
    ignored: list[str]
    """The columns that `data.ignore` leaves out."""
    group: str | None = None
    """The column that `data.group` names."""
    order: str | None = None
    """The column that `data.order` names."""
    row_numbers: str | None = None
    """The column of row numbers without a name, which pandas' `to_csv` writes; it isn't learnt from."""


def read_table(settings: DataSettings, base: Path | None, target: str | None) -> Table:
    """Read a table's file and the kinds of its columns. The target is read whatever `data.inputs` and `data.ignore` say."""
    path, frame, form = read_frame(settings.name, base, settings.csv)
    return make_table(path, frame, form, settings, target)


def make_table(path: Where, frame: pd.DataFrame, form: str, settings: DataSettings, target: str | None) -> Table:
    """Find the kinds of a frame's columns; errors name the `path` that it came from."""
    unnamed_first = len(frame.columns) > 0 and frame.columns[0] == ""
    names = [str(name) or f"column {place + 1}" for place, name in enumerate(frame.columns)]
    if twice := [(name, count) for name, count in Counter(names).items() if count > 1]:
        raise DataError(f"{path}: column names must differ, got {twice[0][0]!r} {twice[0][1]} times")
    frame = frame.set_axis(names, axis=1)
    if target is not None:
        target = target_name(path, names, target, form)
    inputs, ignored = _inputs(path, names, target, settings)
    group, order = (_key(path, names, word, getattr(settings, word)) for word in ("group", "order"))
    if target is not None and target in (group, order):
        raise DataError(f"{path}: the target {target!r} can't also be what rows are split by")
    inputs = [name for name in inputs if name != group]
    chosen = {*inputs, target, group, order}
    wanted = [name for name in names if name in chosen]
    columns, faults = _columns(frame, wanted, settings, group)
    table = Table(path, form, names, columns, faults, inputs, ignored, group, order)
    if unnamed_first and names[0] in columns and names[0] != target:
        values = columns[names[0]].values
        if np.array_equal(values, np.arange(len(values))):
            table.row_numbers = names[0]
    return table


def _key(path: Where, names: list[str], word: str, name: str | None) -> str | None:
    """Return the name of the column that rows are split by, as the table has it."""
    if name is None or clean(name) in names:
        return name and clean(name)
    raise DataError(f"{path}: data.{word}: no column {name!r}{did_you_mean(clean(name), names)}")


def _inputs(path: Where, names: list[str], target: str | None, settings: DataSettings) -> tuple[list[str], list[str]]:
    """Return the columns that are inputs, and those that `data.ignore` leaves out."""
    for setting, patterns in (
        ("inputs", settings.inputs or ()),
        ("ignore", settings.ignore),
        ("kinds", settings.kinds),
    ):
        for pattern in patterns:
            if not _matching(pattern, names):
                raise DataError(f"{path}: data.{setting}: no column {pattern!r}{did_you_mean(clean(pattern), names)}")
    chosen = set(names) if settings.inputs is None else {n for p in settings.inputs for n in _matching(p, names)}
    ignored = {name for pattern in settings.ignore for name in _matching(pattern, names)}
    inputs = [name for name in names if name != target and name in chosen and name not in ignored]
    return inputs, [name for name in names if name in ignored and name != target]


def _matching(pattern: str, names: list[str]) -> list[str]:
    """Return the names that a name or a pattern with * and ? means."""
    cleaned = clean(pattern)
    return [cleaned] if cleaned in names else [name for name in names if fnmatchcase(name, cleaned)]


def _columns(
    frame: pd.DataFrame, wanted: list[str], settings: DataSettings, group: str | None
) -> tuple[dict[str, Column], dict[str, str]]:
    """Return the columns with their kinds, and why others can't be read."""
    kinds: dict[str, str] = {clean(name): kind for name, kind in settings.kinds.items()}
    if group is not None:
        kinds.setdefault(group, "category")
    columns: dict[str, Column] = {}
    faults: dict[str, str] = {}

    def read(name: str, decimal: Decimal | None) -> None:
        faults.pop(name, None)
        try:
            columns[name] = read_column(name, frame[name], kinds.get(name), settings.na_values, decimal)
        except DataError as error:
            faults[name] = str(error)

    if settings.csv.decimal is None:
        columns |= read_plain_numbers(frame, [name for name in wanted if name not in kinds], settings.na_values)
    for name in wanted:
        if name not in columns:
            read(name, settings.csv.decimal)
    found = {column.decimal for column in columns.values() if column.decimal}
    if settings.csv.decimal is None and "," in found:
        # In a file with decimal commas, 1.234 is a number above a thousand.
        for name in wanted:
            before = columns.get(name)
            if before is None or (before.kind == "number" and before.decimal == "."):
                read(name, ",")
                if before is not None and (name in faults or columns[name].kind != "number"):
                    faults.pop(name, None)
                    columns[name] = before
    elif settings.csv.decimal is None and "." in found:
        for name in list(faults):
            read(name, ".")
    return {name: columns[name] for name in wanted if name in columns}, faults


def target_name(path: Where, names: list[str], target: str, form: str) -> str:
    """Return the target's name as the table has it."""
    if not target:
        raise DataError(f"{path}: data.target must name the column to predict: {some(names, SHOWN_NAMES)}")
    if (cleaned := clean(target)) in names:
        return cleaned
    if len(names) == 1:
        rule = f"the first line holds one column, {names[0]!r}; separate columns by a comma, a semicolon, a tab or |"
        raise DataError(f"{path}: data.target: no column {target!r}: {rule}, or set data.csv.separator")
    hint = did_you_mean(cleaned, names) or f" (there are {some(names, SHOWN_NAMES)})"
    raise DataError(f"{path}: data.target: no column {target!r} in this table{form and f' {form}'}{hint}")
