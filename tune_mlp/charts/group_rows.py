"""The rows of a chart by parameter: a row for each group of trials, with an empty one between two parameters."""

from __future__ import annotations

from collections.abc import Iterable

import altair as alt


def label(parameter: str, group: str) -> str:
    """Return what a group's row is called."""
    return f"{parameter}  {group}"


def group_axis(groups: Iterable[tuple[str, str]]) -> alt.Y:
    """Return the axis of the field `row`; its rows are those of these parameters and groups, in this order."""
    rows: list[str] = []
    before = None
    for parameter, group in dict.fromkeys(groups):
        if before not in (None, parameter):
            rows.append(" " * (1 + sum(not row.strip() for row in rows)))
        rows.append(label(parameter, group))
        before = parameter
    return alt.Y(
        "row:N",
        title=None,
        scale=alt.Scale(domain=rows),
        axis=alt.Axis(labelLimit=260, ticks=False, domain=False, grid=True, labelPadding=8),
    )
