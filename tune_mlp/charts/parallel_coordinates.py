"""The chart of parallel coordinates. Dragging along an axis leaves only the lines that pass through that part of it."""

from __future__ import annotations

import re
from typing import Any, cast

import altair as alt
import pandas as pd

from tune_mlp.charts.figure import Chart
from tune_mlp.charts.marked_trial import IS_MARKED, MARKED
from tune_mlp.charts.theme import ACCENT, HALO, LABEL, MUTED, QUIET, SECOND, WIDTH
from tune_mlp.insight.views.parallel_coordinates import ABSENT

LETTER = 7.6
"""The width of a letter of a name, on average."""
LONGEST_LABEL = 14
LINE = 14
"""The height of a line of a name."""


def parallel_coordinates(frame: pd.DataFrame) -> Chart:
    """Draw a line for each trial through its place on each axis: the best in the accent, those of the brushes alone in full."""
    axes = frame.attrs["axes"]
    columns = [f"p{number}" for number in range(len(axes))]
    brushes = [_brush(number) for number in range(len(axes))]
    rows = frame[["trial", "state", "score", "settings", "best", *columns]]
    x = alt.X("axis:Q", axis=None, scale=alt.Scale(domain=[-0.15, len(axes) - 0.35], nice=False))
    y = alt.Y("at:Q", axis=None, scale=alt.Scale(domain=[ABSENT - 0.05, 1.22], nice=False))
    tooltip = [
        alt.Tooltip("trial:Q"),
        alt.Tooltip("score:Q", format=".4g"),
        alt.Tooltip("state:N"),
        alt.Tooltip("settings:N"),
    ]
    through = " && ".join(f"(!axis_{n}.at || inrange(datum.p{n}, axis_{n}.at))" for n in range(len(axes)))
    corners = (
        alt.Chart(rows)
        .transform_fold([*columns], as_=["column", "at"])
        .transform_calculate(axis="toNumber(slice(datum.column, 1))")
        .encode(x=x, y=y, tooltip=tooltip)
    )
    # The part of a line between two axes is a mark by itself. Vega compiles code for each line of several points, but once for all parts.
    parts = (
        corners.transform_calculate(to_axis="datum.axis + 1", to="datum['p' + datum.to_axis]")
        .transform_filter("isValid(datum.to)")
        .encode(x2="to_axis:Q", y2="to:Q")
    )
    share = min(1.0, 40 / len(rows))  # many lines over each other are drawn more faintly

    def drawn(test: str, style: str, opacity: float, width: float) -> Chart:
        seen: Any = {"condition": {"test": through, "value": opacity}, "value": 0.04}
        marks = parts.transform_filter(test).mark_rule(style=style, strokeWidth=width)
        return cast("Chart", marks.encode(opacity=seen))

    marked = f"({IS_MARKED})"
    others = drawn(f"!datum.best && !{marked}", MUTED, 0.2 + 0.5 * share, 1)
    best = drawn(f"datum.best && !{marked}", ACCENT, 0.95, 2)
    chosen = parts.transform_filter(marked).mark_rule(style=SECOND, strokeWidth=3)
    # The lines' corners are easier to hit than the lines.
    to_hit = corners.transform_filter(through).mark_point(size=70, opacity=0, style=MUTED)
    return alt.layer(others, best, chosen, *_axes(axes, x, y, brushes), to_hit).add_params(MARKED)


def _brush(number: int) -> alt.Parameter:
    """Return the brush of an axis: a drag that begins on it selects a part of it, and a click takes that away.

    What Vega filters events by knows the mark below the pointer, but neither signals nor scales.
    """
    item = "event.item"
    near = f"{item} && {item}.datum && {item}.datum.axis === {number} && {item}.mark.marktype !== 'rule'"
    return alt.selection_interval(
        name=f"axis_{number}",
        encodings=["y"],
        on=f"[pointerdown[{near}], window:pointerup] > window:pointermove!",
        translate=False,
        zoom=False,
        mark=alt.BrushConfig(fillOpacity=0, strokeOpacity=0),  # it would be as wide as the chart
    )


def _axes(axes: list[dict[str, Any]], x: alt.X, y: alt.Y, brushes: list[alt.Parameter]) -> list[Chart]:
    """Return the axes, their brushed parts, their labels and their names."""
    ticks = [
        {"axis": number, "at": at, "text": text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1]}…"}
        for number, axis in enumerate(axes)
        for at, text in ([(ABSENT, axis["absent"])] if axis["absent"] else []) + list(axis["ticks"])
    ]
    letters = max(9, int(WIDTH / len(axes) / LETTER))
    names = [
        {"axis": number, "name": _in_lines(axis["name"], letters), "at": 0, "to": 1} for number, axis in enumerate(axes)
    ]
    lines = alt.Chart(pd.DataFrame(names)).encode(x=x)
    labels = alt.Chart(pd.DataFrame(ticks)).encode(x=x, y=y)
    limits = "[" + ", ".join(f"axis_{number}.at" for number in range(len(axes))) + "][datum.axis]"
    brushed = (
        lines.transform_calculate(low=f"({limits} || [null, null])[0]", high=f"({limits} || [null, null])[1]")
        .transform_filter("datum.low !== null")
        .mark_bar(style=SECOND, width=14, opacity=0.35, cornerRadius=2)
        .encode(y=alt.Y("low:Q", axis=None), y2="high:Q")
    )
    above: Any = alt.expr(f"-10 - {LINE} * (split(datum.name, '\\n').length - 1)")
    to_drag = lines.mark_bar(width=24, opacity=0).encode(y=alt.Y("at:Q", axis=None), y2="to:Q").add_params(*brushes)
    near: Any = {"align": "left", "baseline": "middle", "dx": 6, "limit": 90}
    return [
        lines.mark_rule(style=QUIET).encode(y=alt.Y("at:Q", axis=None), y2="to:Q"),
        brushed,
        labels.mark_tick(style=QUIET, orient="horizontal", size=7, thickness=1),
        labels.mark_text(style=HALO, fontSize=11, **near).encode(text="text:N"),
        labels.mark_text(style=LABEL, fontSize=11, **near).encode(text="text:N"),
        lines.mark_text(style=LABEL, baseline="bottom", fontWeight=600, dy=above, lineBreak="\n", limit=110).encode(
            y=alt.Y("to:Q", axis=None), text="name:N"
        ),
        to_drag,
    ]


def _in_lines(name: str, letters: int) -> str:
    """Break a name behind its dots and underscores into lines that stand beside those of the next axis."""
    lines = [""]
    for part in re.findall(r"[^._]*[._]?", name):
        if lines[-1] and len(lines[-1]) + len(part) > letters:
            lines.append("")
        lines[-1] += part
    return "\n".join(line if len(line) <= letters else f"{line[: letters - 1]}…" for line in lines[-3:])
