"""The chart of the workers: a lane for each, and on it a bar for each trial from its start to its end."""

from __future__ import annotations

import altair as alt
import pandas as pd

from tune_mlp.charts.endings import ending_color
from tune_mlp.charts.figure import Chart
from tune_mlp.charts.marked_trial import IS_MARKED, MARKED
from tune_mlp.charts.scores import rounded
from tune_mlp.charts.theme import ACCENT, LABEL, SECOND

WIDE = 0.035
"""A bar with this share of the width has room for the trial's number."""
UNITS = ((3 * 3600, 3600, "hours"), (300, 60, "minutes"), (0, 1, "seconds"))


def workers(frame: pd.DataFrame) -> Chart:
    """Draw when each trial trained, and where."""
    rows = pd.DataFrame({name: frame[name] for name in frame.columns if name != "node"})
    last = rows["end"].max()
    size, unit = next((size, unit) for least, size, unit in UNITS if last >= least)
    for name in ("start", "end"):
        rows[name] = rounded(rows[name] / size)
    lanes = frame.attrs["lanes"]
    height = alt.Step(30 if len(lanes) <= 8 else 16)
    x = alt.X(
        "start:Q",
        title=f"{unit} since the first epoch began",
        axis=alt.Axis(grid=False, tickCount=10),
        scale=alt.Scale(domain=[0, rows["end"].max()], nice=False),
    )
    y = alt.Y("lane:N", sort=lanes, title=None, axis=alt.Axis(labelLimit=180))
    base = alt.Chart(rows).encode(x=x, x2="end:Q", y=y)
    if not frame.attrs["by_trial"]:
        rows["busy"] = rounded(rows["busy"])
        shade = alt.Opacity(
            "busy:Q", scale=alt.Scale(domain=[0, 1], range=[0.1, 1]), title="busy", legend=alt.Legend(format="%")
        )
        bars = base.mark_bar(style=ACCENT, stroke=None, cornerRadiusEnd=0).encode(
            opacity=shade, tooltip=["lane:N", "busy:Q"]
        )
        chart: Chart = bars.properties(height=height).add_params(MARKED)
        return chart
    rows["score"] = rounded(rows["score"])
    rows["middle"] = rounded((rows["start"] + rows["end"]) / 2)
    tooltip = [alt.Tooltip(name) for name in ("trial:N", "score:Q", "ended:N", "start:Q", "end:Q", "settings:N")]
    base = alt.Chart(rows).encode(x=x, x2="end:Q", y=y, tooltip=tooltip)
    bars = base.mark_bar(cornerRadius=2, height={"band": 0.8}, opacity=0.6).encode(
        color=ending_color(rows["ended"].unique())
    )
    marked = base.transform_filter(IS_MARKED).mark_bar(style=SECOND, cornerRadius=2, height={"band": 0.8})
    wide = rows[rows["end"] - rows["start"] >= WIDE * rows["end"].max()]
    number = alt.Chart(wide).mark_text(style=LABEL, fontSize=11, clip=True)
    said = number.encode(x="middle:Q", y=alt.Y("lane:N", sort=lanes, title=None), text="trial:N")
    return alt.layer(bars, marked, said).properties(height=height).add_params(MARKED)
