"""The chart of the contenders: each trial's score with its interval, and the winner's score corrected for having been picked."""

from __future__ import annotations

import altair as alt
import pandas as pd

from tune_mlp.charts.figure import Chart
from tune_mlp.charts.marked_trial import IS_MARKED, MARKED
from tune_mlp.charts.theme import ACCENT, BAND, LABEL, MUTED, REFERENCE, SECOND
from tune_mlp.insight.compare import ALIKE, WINNER


def contenders(frame: pd.DataFrame) -> Chart:
    """Draw a point and its 95 % interval for each trial, and the corrected score of the winner as a line in its interval."""
    winner, metric = frame.attrs["winner"], frame.attrs["metric"]
    rows = frame.assign(
        name=[f"trial {trial}" for trial in frame["trial"]], alike=frame["verdict"].isin([WINNER, ALIKE])
    )
    y = alt.Y("name:N", sort=list(rows["name"]), title=None)
    x = alt.X("score:Q", title=metric, scale=alt.Scale(zero=False, padding=10))
    tooltip = [
        alt.Tooltip("trial:Q"),
        alt.Tooltip("verdict:N"),
        *(
            alt.Tooltip(f"{name}:Q", title=title, format=".4g")
            for name, title in (("score", "score"), ("low", "from"), ("high", "to"))
        ),
        alt.Tooltip("settings:N"),
    ]
    base = alt.Chart(rows).encode(y=y, tooltip=tooltip)
    layers: list[Chart] = []
    if winner["corrected"] is not None and winner["corrected"] != winner["measured"]:
        corrected = alt.Chart(pd.DataFrame([winner]))
        layers = [
            corrected.mark_rect(style=BAND, opacity=0.7).encode(x=alt.X("low:Q"), x2="high:Q"),
            corrected.mark_rule(style=REFERENCE, strokeWidth=1.5).encode(x="corrected:Q"),
            corrected.mark_text(style=LABEL, fontSize=11, align="center", baseline="bottom", dy=-4).encode(
                x="corrected:Q", y=alt.value(0), text=alt.value("the winner's score, corrected")
            ),
        ]
    for test, style in (
        (f"datum.alike && !({IS_MARKED})", ACCENT),
        (f"!datum.alike && !({IS_MARKED})", MUTED),
        (IS_MARKED, SECOND),
    ):
        some = base.transform_filter(test)
        layers.append(some.mark_rule(style=style, strokeWidth=2).encode(x=alt.X("low:Q"), x2="high:Q"))
        layers.append(some.mark_point(style=style, size=80).encode(x=x))
    return alt.layer(*layers, height=alt.Step(26), params=[MARKED.param])
