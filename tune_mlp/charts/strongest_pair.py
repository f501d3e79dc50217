"""The chart of a pair of parameters: a heat map of the mean score, with the number of trials in each cell."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from tune_mlp.charts.figure import Chart
from tune_mlp.charts.theme import HALO, LABEL, WIDTH


def strongest_pair(frame: pd.DataFrame) -> Chart:
    """Draw a cell for each part of both ranges, coloured by its mean score, in which the trials are counted."""
    facts = frame.attrs
    orders, names, scale = facts["orders"], facts["names"], facts["scale"]
    kind: Any = "log" if scale["by_logarithm"] else "linear"
    domain = [scale["low"], scale["high"]] if scale["high"] > scale["low"] else alt.Undefined
    colours = alt.Scale(type=kind, domain=domain, clamp=True, reverse=facts["mode"] == "min", zero=False)
    # A long range is written in two lines: a label at an angle would be cut at the chart's left side.
    in_lines = "split(replace(datum.label, ' to ', ' to\\n'), '\\n')"
    short = sum(map(len, orders[0])) < 70
    axis = alt.Axis(labelLimit=120, labelAngle=0, labelExpr=alt.Undefined if short else in_lines, grid=False)
    cells = (
        alt.Chart(frame[["first", "second", "mean", "trials"]])
        .transform_calculate(
            text="[format(datum.mean, '.3~g'), datum.trials + (datum.trials > 1 ? ' trials' : ' trial')]"
        )
        .encode(
            x=alt.X("first:O", sort=orders[0], scale=alt.Scale(domain=orders[0]), title=names[0], axis=axis),
            y=alt.Y("second:O", sort=orders[1], scale=alt.Scale(domain=orders[1][::-1]), title=names[1]),
            tooltip=[
                alt.Tooltip("first:N", title="across"),
                alt.Tooltip("second:N", title="up"),
                alt.Tooltip("mean:Q", format=".4g"),
                alt.Tooltip("trials:Q"),
            ],
        )
    )
    near: Any = {"align": "center", "baseline": "middle", "fontSize": 11, "dy": -7, "lineHeight": 15}
    colour = alt.Color("mean:Q", title=f"mean {facts['metric']}", scale=colours, legend=alt.Legend(format=".3~g"))
    return alt.layer(
        cells.mark_rect(cornerRadius=2).encode(color=colour),
        cells.mark_text(style=HALO, **near).encode(text="text:N"),
        cells.mark_text(style=LABEL, **near).encode(text="text:N"),
        width=WIDTH * 0.78,
        height=alt.Step(44),
    )
