"""The cells of a table as JSON holds them: plain values, and None where there is no value or no finite number."""

from __future__ import annotations

from typing import Any

import pandas as pd

from tune_mlp.results.answer import plain
from tune_mlp.service.result_messages import Cell


def rows_of(frame: pd.DataFrame) -> tuple[tuple[Cell, ...], ...]:
    """Return the rows of a table."""
    columns = [[cell(value) for value in frame[name].astype(object)] for name in frame.columns]
    return tuple(zip(*columns, strict=True)) if columns else ()


def records_of(frame: pd.DataFrame) -> tuple[dict[str, Cell], ...]:
    """Return the rows of a table, each by the names of its columns."""
    names = [str(name) for name in frame.columns]
    return tuple(dict(zip(names, row, strict=True)) for row in rows_of(frame))


def cell(value: Any) -> Cell:
    """Return one value."""
    found = plain(value)
    return tuple(found) if isinstance(found, list) else found
