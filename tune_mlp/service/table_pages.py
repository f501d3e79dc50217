"""Pages of a table: its rows filtered, sorted and cut, with the columns that were asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import pandas as pd

from tune_mlp.errors import clipped, did_you_mean
from tune_mlp.service.faults import Refused
from tune_mlp.service.trial_filter import filtered

TableName = Literal["trials", "epochs"]
MOST_ROWS = 1000
"""The most rows of a page; a download has no limit."""


class TablePage(NamedTuple):
    """A page of a table."""

    total: int
    """The number of rows that the filter leaves."""
    frame: pd.DataFrame
    columns: tuple[str, ...]
    """All columns that the table has, whichever were asked for."""
    offset: int
    """The journal's offset as of which the table was made."""


class TableRequest(NamedTuple):
    """Which part of a table."""

    columns: Sequence[str] | None = None
    """The columns, in order; None for all."""
    sort: str | None = None
    descending: bool = False
    filter: str = ""
    """Comparisons of columns with values, such as `lr<0.01 and activation==relu`."""
    offset: int = 0
    limit: int | None = 100
    """The most rows; None for all of them, for a download."""


def page_of(frame: pd.DataFrame, request: TableRequest, at: int) -> TablePage:
    """Return a page of a table; rows whose value is missing come last, and equal ones keep their order."""
    known = tuple(map(str, frame.columns))
    for name in (*(request.columns or ()), *([request.sort] if request.sort else ())):
        if name not in known:
            raise Refused(f"there is no column {clipped(name)!r}{did_you_mean(name, known)}")
    if request.offset < 0 or (request.limit is not None and not 0 <= request.limit <= MOST_ROWS):
        raise Refused(
            f"a page begins at 0 or later and has at most {MOST_ROWS} rows, got {request.offset}, {request.limit}"
        )
    kept = filtered(frame, request.filter) if request.filter.strip() else frame
    if request.sort:
        order = kept[request.sort]
        if order.dtype == object:
            order = order.astype("string")
        order = order.reset_index(drop=True).sort_values(
            ascending=not request.descending, kind="stable", na_position="last"
        )
        kept = kept.iloc[order.index]
    total = len(kept)
    end = None if request.limit is None else request.offset + request.limit
    kept = kept.iloc[request.offset : end]
    if request.columns is not None:
        kept = kept[list(dict.fromkeys(request.columns))]
    return TablePage(total, kept.reset_index(drop=True), known, at)
