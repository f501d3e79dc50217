"""The chart of a cost against the score: a point for each trial, and the front as steps."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from tune_mlp.charts.figure import Chart
from tune_mlp.charts.marked_trial import IS_MARKED, MARKED
from tune_mlp.charts.parameters import score_axis
from tune_mlp.charts.scores import number_scale
from tune_mlp.charts.theme import ACCENT, HALO, LABEL, MUTED, SECOND


def cost_against_score(frame: pd.DataFrame) -> Chart:
    """Draw each trial, and in the accent those of the front, which are named by their numbers."""
    facts = frame.attrs
    best_up = facts["mode"] == "max"
    x = alt.X(
        "cost:Q",
        title=facts["title"],
        scale=number_scale(frame["cost"].min(), frame["cost"].max(), facts["log"], nice=False, padding=20),
        axis=alt.Axis(format="~s" if frame["cost"].max() >= 1000 else ".3~g", tickCount=6, labelOverlap=True),
    )
    tooltip = [
        alt.Tooltip("trial:Q"),
        alt.Tooltip("score:Q", format=".4g"),
        alt.Tooltip("cost:Q", title=facts["title"], format=",.4~g"),
        alt.Tooltip("settings:N"),
    ]
    trials = alt.Chart(frame).encode(x=x, y=score_axis(frame, "score:Q", facts["metric"]), tooltip=tooltip)
    front = trials.transform_filter("datum.front")
    names = trials.transform_filter("datum.named").encode(text="trial:N")
    near: Any = {"dx": -7, "dy": -9 if best_up else 9, "align": "right", "baseline": "middle", "fontSize": 11}
    return alt.layer(
        trials.transform_filter("!datum.front").mark_circle(style=MUTED, size=36, opacity=0.6),
        front.mark_line(style=ACCENT, interpolate="step-after", strokeWidth=1.5, fill=None).encode(order="cost:Q"),
        front.mark_circle(style=ACCENT, size=70, opacity=1),
        names.mark_text(style=HALO, **near),
        names.mark_text(style=LABEL, **near),
        trials.transform_filter(IS_MARKED).mark_circle(style=SECOND, size=160, opacity=1),
    ).add_params(MARKED)
