"""The cells of a table as JSON holds them: plain values, and None where there is no value or no finite number."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from tune_mlp.results.answer import plain
from tune_mlp.service.result_messages import Cell


def rows_of(frame: pd.DataFrame) -> tuple[tuple[Cell, ...], ...]:
    """Return the rows of a table."""
    columns = [_column(column) for _, column in frame.items()]
    return tuple(zip(*columns, strict=True)) if columns else ()


def _column(column: pd.Series[Any]) -> list[Cell]:
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "iub":
        return column.tolist()  # whole numbers and truths are plain as they are
    return [cell(value) for value in column.tolist()]


def records_of(frame: pd.DataFrame) -> tuple[dict[str, Cell], ...]:
    """Return the rows of a table, each by the names of its columns."""
    names = [str(name) for name in frame.columns]
    return tuple(dict(zip(names, row, strict=True)) for row in rows_of(frame))


def cell(value: Any) -> Cell:
    """Return one value."""
    if type(value) is str:
        return value
    if type(value) is float:
        return value if math.isfinite(value) else None
    found = plain(value)
    return tuple(found) if isinstance(found, list) else found
