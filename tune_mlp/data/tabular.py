"""A table as a Dataset: its columns are the inputs and the target."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tune_mlp.data.arrays import frozen
from tune_mlp.data.dataset import Dataset
from tune_mlp.data.date_parts import date_parts
from tune_mlp.data.encoder import MISSING, TableColumn
from tune_mlp.data.kinds import Column, is_identifier, some
from tune_mlp.data.table import Table, read_table, target_name
from tune_mlp.data.table_files import Where
from tune_mlp.data.targets import to_targets
from tune_mlp.data_settings import DataSettings
from tune_mlp.errors import DataError, escaped

LEAST_ROWS = 10
"""The smallest number of rows that can be split and learnt from."""
SHOWN_FAULTS = 5
"""The number of unusable columns that a message describes."""


@dataclass
class Inputs:
    """The raw values of the input columns that were added so far, and what a message says about them."""

    columns: list[TableColumn] = field(default_factory=list)
    values: list[NDArray[np.float64]] = field(default_factory=list)
    numeric: int = 0
    texts: list[int] = field(default_factory=list)
    """The number of different values of each column of text."""
    dates: list[str] = field(default_factory=list)
    """What became of each column of dates, in words."""
    left_out: list[str] = field(default_factory=list)
    """The columns that were left out and why, in words."""

    def add(self, column: Column, settings: DataSettings) -> None:
        """Add a column; a DataError says why it can't be learnt from, without its name."""
        if column.kind in ("date", "time"):
            self._add_dates(column, settings)
        elif column.kind == "category":
            self._add_texts(column, settings)
        else:
            self._add_numbers(column)

    def _add_numbers(self, column: Column) -> None:
        values = column.values
        if np.isinf(values).any():
            raise DataError(
                f"has an infinite value, or one that is too large, in row {int(np.isinf(values).argmax()) + 1}"
            )
        low, high = np.fmin.reduce(values), np.fmax.reduce(values)
        if not low < high:
            self.left_out.append(f"{'empty' if np.isnan(low) else 'constant'} column {column.name!r}")
            return
        if not np.isfinite(high / 2 - low / 2) or high / 2 - low / 2 > np.finfo(np.float64).max / 2:
            raise DataError(f"runs from {low:g} to {high:g}, which is too wide for floating-point numbers")
        self.columns.append(TableColumn(column.name, kind=column.kind, decimal=column.decimal or ""))
        self.values.append(values)
        self.numeric += 1

    def _add_texts(self, column: Column, settings: DataSettings) -> None:
        texts = np.array([MISSING if value is None else value for value in column.values], dtype=object)
        different = sorted(set(texts))
        if len(different) == 1:
            self.left_out.append(f"constant column {column.name!r}")
            return
        if column.name not in settings.kinds and is_identifier(texts, len(different)):
            raise DataError(
                f"is text that differs in nearly every row ({len(different)} values in {len(texts)} rows), as identifiers and"
                " free text do: leave it out with data.ignore"
            )
        number = {value: place for place, value in enumerate(different)}
        self.columns.append(TableColumn(column.name, tuple(different), kind=column.kind))
        self.values.append(np.array([number[text] for text in texts], dtype=np.float64))
        self.texts.append(len(different))

    def _add_dates(self, column: Column, settings: DataSettings) -> None:
        parts = date_parts(column, settings.dates)
        if not parts:
            why = "data.dates is ignore" if settings.dates == "ignore" else "constant"
            self.left_out.append(f"column {column.name!r} of dates ({why})")
            return
        for name, values in parts.items():
            self.columns.append(TableColumn(f"{column.name}.{name}", (), column.name, column.kind, name, column.form))
            self.values.append(values)
        self.dates.append(f"{column.name} as {', '.join(parts)}")

    def as_array(self) -> NDArray[np.float64]:
        """Return all raw values side by side, [rows, columns]."""
        stacked: NDArray[np.float64] = frozen(np.column_stack(self.values))
        return stacked

    def check_names(self, path: Where) -> None:
        """Refuse two inputs of one name: a column of text `a` with the value `u` beside a column `a=u`."""
        names = [name for column in self.columns for name in _input_names(column)]
        name, count = Counter(names).most_common(1)[0]
        if count > 1:
            raise DataError(f"{path}: {count} inputs would have the name {escaped(name)!r}: rename a column")

    def describe(self) -> str:
        """Say how many columns of each kind there are."""
        kinds = [f"{self.numeric} numeric"] if self.numeric else []
        if self.texts:
            counts = some([str(count) for count in self.texts])
            kinds.append(f"{len(self.texts)} text ({counts} values, one-hot)")
        if self.dates:
            kinds.append(f"{len(self.dates)} of dates ({some(self.dates, 3)})")
        return ", ".join(kinds)


def _input_names(column: TableColumn) -> Sequence[str]:
    return [f"{column.name}={value}" for value in column.categories] or [column.name]


def load_table(settings: DataSettings, base: Path | None) -> Dataset:
    """Load a table's file as a dataset of raw values, which each fold encodes."""
    table = read_table(settings, base, settings.target or "")
    path, columns = table.path, dict(table.columns)
    target = target_name(path, table.names, settings.target or "", table.form)
    faults = [f"column {name!r} {fault}" for name, fault in table.faults.items()]
    notes = _said(columns)
    if target in columns and settings.missing == "refuse" and (holes := columns[target].missing).any():
        faults.insert(
            0,
            f"target {target!r} has {int(holes.sum())} missing value(s), the first in row {int(holes.argmax()) + 1}:"
            " give them, or set data.missing to fill, indicate or drop, which leave those rows out",
        )
    keep = _rows(columns, target, settings, notes, faults)
    if len(keep) < LEAST_ROWS and not faults:
        raise DataError(f"{path}: there must be {LEAST_ROWS} rows at least, got {len(keep)}{'; '.join(['', *notes])}")
    inputs = Inputs(left_out=[f"column {name!r} (data.ignore)" for name in table.ignored])
    for name in table.inputs:
        if name == table.row_numbers:
            inputs.left_out.append("the unnamed row numbers")
        elif name in columns:
            try:
                inputs.add(columns[name].part(keep), settings)
            except DataError as error:
                faults.append(f"column {name!r} {error}")
    keys = {word: _key(table, word, keep, faults) for word in ("group", "order")}
    if faults:
        raise DataError(f"{path}: {_listed(faults)}")
    omitted = f"left out: {some(inputs.left_out)}" if inputs.left_out else ""
    if not inputs.columns:
        raise DataError(f"{path}: no input columns left beside {target!r}{omitted and f'; {omitted}'}")
    y, classes, said = to_targets(path, columns[target].part(keep), settings.task)
    form = f" {table.form}" if table.form else ""
    notes.insert(0, f"{len(keep)} rows{form}; {inputs.describe()}; target {target!r}: {said}")
    if omitted:
        notes.append(omitted)
    inputs.check_names(path)
    x = inputs.as_array()
    return Dataset(
        name=settings.name,
        task="classification" if classes else "regression",
        x=x,
        y=y,
        x_test=x[:0],
        y_test=y[:0],
        classes=classes,
        features=tuple(column.name for column in inputs.columns),
        columns=tuple(inputs.columns),
        groups=keys["group"],
        times=keys["order"],
        notes=tuple(map(escaped, notes)),
    )


def _said(columns: dict[str, Column]) -> list[str]:
    """Return what a person must know of how the columns were read."""
    notes = []
    if read_as := [f"{name} ({column.read_as})" for name, column in columns.items() if column.read_as]:
        notes.append(f"read as numbers or dates: {some(read_as)}")
    if words := [
        f"{word!r} in {name} ({count})" for name, column in columns.items() for word, count in column.words.items()
    ]:
        notes.append(f"read as missing: {some(words)}; data.na_values changes that")
    return notes


def _key(table: Table, word: str, keep: NDArray[np.int64], faults: list[str]) -> NDArray[np.int64] | None:
    """Return the number of each row's group, or its rank in time; None if rows aren't split by it."""
    name = table.group if word == "group" else table.order
    if name is None or name not in table.columns:
        return None
    column = table.columns[name].part(keep)
    if column.missing.any():
        faults.append(f"data.{word}: column {name!r} has {int(column.missing.sum())} missing value(s)")
        return None
    if word == "order" and column.kind == "category":
        faults.append(f"data.order: column {name!r} must hold numbers or dates, got text such as {column.values[0]!r}")
        return None
    if word == "group":
        number = {value: place for place, value in enumerate(dict.fromkeys(column.values.tolist()))}
        return np.array([number[value] for value in column.values.tolist()], dtype=np.int64)
    ranks: NDArray[np.int64] = np.unique(column.values, return_inverse=True)[1].astype(np.int64)
    return ranks


def _rows(
    columns: dict[str, Column], target: str, settings: DataSettings, notes: list[str], faults: list[str]
) -> NDArray[np.int64]:
    """Return the rows to keep: those with a target. Columns without any value don't count; they are left out later."""
    rows = len(next(iter(columns.values())).values) if columns else 0
    if settings.missing in ("fill", "indicate") and target in columns and (lost := columns[target].missing).any():
        notes.append(f"{int(lost.sum())} row(s) without a target left out")
        every = np.flatnonzero(~lost)
    else:
        every = np.arange(rows)
    holes = {name: column.missing[every] for name, column in columns.items()}
    counts = {
        name: int(hole.sum()) for name, hole in holes.items() if hole.any() and (name == target or not hole.all())
    }
    inputs = {name: count for name, count in counts.items() if name != target}
    if settings.missing == "drop" and counts:
        whole = np.flatnonzero(~np.any([holes[name] for name in counts], axis=0))
        notes.append(f"{rows - len(whole)} row(s) with missing values dropped")
        return whole
    if not inputs or rows == 0:
        return every
    listed = some([f"{name} ({count})" for name, count in inputs.items()])
    if settings.missing == "refuse":
        faults.append(f"values are missing in {listed}: set data.missing to fill, indicate or drop, or give them")
    else:
        notes.append(f"missing values filled: {listed}")
    return every


def _listed(faults: list[str]) -> str:
    more = f"; and {len(faults) - SHOWN_FAULTS} more" if len(faults) > SHOWN_FAULTS else ""
    return "; ".join(faults[:SHOWN_FAULTS]) + more
