"""New rows of a table as inputs of a net, encoded as the training rows were."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tune_mlp.data.date_parts import all_date_parts
from tune_mlp.data.encoder import MISSING, TableColumn, TableEncoder
from tune_mlp.data.kinds import Column, clean, read_column, some
from tune_mlp.data.number_text import DECIMALS
from tune_mlp.data.plain_numbers import read_plain_numbers
from tune_mlp.errors import DataError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

TRAINED_WITH = "the model was trained with a column of kind"


@dataclass
class EncodedRows:
    """Rows as a net sees them, and what a person should know of them."""

    inputs: NDArray[np.float32]
    unknown: Counter[str] = field(default_factory=Counter)
    """The number of values of each column that no training row had."""
    filled: Counter[str] = field(default_factory=Counter)
    """The number of missing values of each column, which were filled as in training."""

    def notes(self) -> list[str]:
        """Return a line for unknown categories and one for missing values, if there are any."""
        found = [
            ("categories that no training row had", self.unknown),
            ("missing values filled as in training", self.filled),
        ]
        return [
            f"{said}: {some([f'{name} ({count})' for name, count in counts.items()])}"
            for said, counts in found
            if counts
        ]


def encode_rows(frame: pd.DataFrame, encoder: TableEncoder, na_values: tuple[str, ...] | None) -> EncodedRows:
    """Encode the rows of a table whose columns are found by name, in any order; a DataError names every fault."""
    names = {clean(str(name)): name for name in frame.columns}
    if len(names) < len(frame.columns):
        twice = next(name for name, count in Counter(clean(str(name)) for name in frame.columns).items() if count > 1)
        raise DataError(f"column names must differ, got {twice!r} more than once")
    wanted = list(dict.fromkeys(column.source for column in encoder.columns))
    if absent := [name for name in wanted if name not in names]:
        hint = did_you_mean(absent[0], names) if len(absent) == 1 else ""
        raise DataError(f"columns are missing that the model was trained with: {some(absent)}{hint}")
    by_source = {column.source: column for column in encoder.columns}
    plain = [name for name in wanted if by_source[name].kind == "number" and by_source[name].decimal != ","]
    read = read_plain_numbers(frame.rename(columns={names[name]: name for name in plain}), plain, na_values)
    faults: list[str] = []
    for name in wanted:
        if name in read:
            continue
        try:
            read[name] = _read(name, frame[names[name]], by_source[name], na_values)
        except DataError as error:
            faults.append(f"column {name!r}: {error}")
    if faults:
        raise DataError("; ".join(faults[:5]))
    rows = EncodedRows(np.empty((len(frame), 0), np.float32))
    raw = np.empty((len(frame), len(encoder.columns)), dtype=np.float64)
    for place, column in enumerate(encoder.columns):
        raw[:, place] = _raw_values(read[column.source], column, rows)
    for name, values in read.items():
        known = MISSING in by_source[name].categories
        if not known and (count := int(values.missing.sum())):
            rows.filled[name] += count
    rows.inputs = encoder.apply(raw)
    return rows


def _read(name: str, column: pd.Series[Any], trained: TableColumn, na_values: tuple[str, ...] | None) -> Column:
    kind = f"{trained.kind} {trained.form}" if trained.form else trained.kind
    decimal = next((sign for sign in DECIMALS if sign == trained.decimal), None)
    found = read_column(name, column, kind, na_values, decimal, TRAINED_WITH)
    if found.values.dtype.kind == "f" and np.isinf(found.values).any():
        raise DataError(f"has an infinite value in row {int(np.isinf(found.values).argmax()) + 1}")
    return found


def _raw_values(column: Column, trained: TableColumn, rows: EncodedRows) -> NDArray[np.float64]:
    if trained.part:
        if column.missing.all():
            return np.full(len(column.values), np.nan)
        parts = all_date_parts(column)
        if trained.part not in parts:
            raise DataError(f"column {trained.source!r}: a date has no part {trained.part!r}")
        return parts[trained.part]
    if not trained.categories:
        return column.values
    number: Mapping[str, int] = {value: place for place, value in enumerate(trained.categories)}
    unknown = len(trained.categories)
    places = np.array([number.get(MISSING if value is None else value, unknown) for value in column.values], np.float64)
    strangers = (places == unknown) & ~column.missing
    if strangers.any():
        rows.unknown[trained.name] += int(strangers.sum())
    return places
