"""The chart of the best score so far: a step line, and a point for each trial in the order in which they ended."""

from __future__ import annotations

import altair as alt
import pandas as pd

from tune_mlp.charts.figure import Chart
from tune_mlp.charts.marked_trial import IS_MARKED, MARKED
from tune_mlp.charts.scores import rounded, score_scale, whole_ticks
from tune_mlp.charts.theme import ACCENT, MUTED, SECOND


def best_so_far(frame: pd.DataFrame) -> Chart:
    """Draw the best score by the number of trials that had ended."""
    facts = frame.attrs
    rows = pd.DataFrame({name: frame[name] for name in ("ended", "trial", "state", "settings", "new")})
    rows["score"], rows["best"] = rounded(frame["score"]), rounded(frame["best"])
    rows = rows.astype({"settings": object}).where(rows.notna(), None)
    of = facts["of"]
    x = alt.X(
        "ended:Q",
        title="trials that have ended",
        scale=alt.Scale(domain=[0 if of > 1 else 0.5, of + (0.5 if of < 50 else 0)], nice=False),
        axis=alt.Axis(grid=False, format=",d", values=whole_ticks(of)),
    )
    y = alt.Y("score:Q", title=facts["metric"], scale=score_scale(facts["axis"]))
    steps = rows[rows["new"].astype(bool) | (rows["ended"] == of)][["ended", "trial", "best"]]
    points = rows[rows["score"].notna()].drop(columns=["best"])
    tooltip = [alt.Tooltip("trial:N"), alt.Tooltip("score:Q"), alt.Tooltip("state:N"), alt.Tooltip("settings:N")]
    base = alt.Chart(points).encode(x=x, y=y, tooltip=tooltip)
    line = alt.Chart(steps).mark_line(style=ACCENT, fill=None, interpolate="step-after", strokeWidth=2.5)
    size = 40 if of <= 60 else 18
    return alt.layer(
        base.transform_filter("!datum.new").mark_point(style=MUTED, stroke=None, size=size, opacity=0.7),
        line.encode(x=x, y=alt.Y("best:Q", title=facts["metric"])),
        base.transform_filter("datum.new").mark_point(style=ACCENT, stroke=None, size=60),
        base.transform_filter(IS_MARKED).mark_point(style=SECOND, stroke=None, size=90),
    ).add_params(MARKED)
