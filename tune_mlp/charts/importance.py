"""The chart of importance: each parameter's share of the variance with its interval, and its strength beside the placebos'."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from tune_mlp.charts.figure import Chart
from tune_mlp.charts.scores import number_scale
from tune_mlp.charts.theme import ACCENT, LABEL, MUTED, QUIET, REFERENCE, WIDTH
from tune_mlp.insight.importance import EFFECT

MOST = 25
"""The largest number of parameters that are drawn: the strongest."""
NAMES = 150
"""The width of the parameters' names, at most."""


def importance(frame: pd.DataFrame) -> Chart:
    """Draw each parameter, the strongest first: on the left its share with a 90 % interval, on the right its strength and the placebos'."""
    rows = frame[["parameter", "share", "low", "high", "verdict"]].head(MOST)
    placebo = frame.attrs["placebo"]
    strengths = rows["parameter"].map(placebo["strengths"]).astype("float64")
    rows = rows.assign(strength=strengths, sure=rows["verdict"] == EFFECT, none=0.0)
    tooltip = [
        alt.Tooltip("parameter:N"),
        alt.Tooltip("verdict:N"),
        *(alt.Tooltip(f"{name}:Q", format=".1%") for name in ("share", "low", "high")),
        alt.Tooltip("strength:Q", format=".2f"),
    ]
    base = alt.Chart(rows).encode(tooltip=tooltip)
    shares = _shares(base, list(rows["parameter"]))
    placebos = _strengths(base, list(rows["parameter"]), placebo)
    return alt.hconcat(shares, placebos, spacing=24)


def _shares(base: alt.Chart, order: list[str]) -> Chart:
    y = alt.Y("parameter:N", sort=order, title=None, axis=alt.Axis(labelLimit=NAMES))
    most = float(base.data[["share", "high"]].max().max())
    # Vega warns of bars that are all of one kind where the domain is left to it.
    scale = alt.Scale(domain=[0, most if most > 0 else 1])
    x = alt.X("share:Q", title="share of the score's variance", axis=alt.Axis(format="%"), scale=scale)
    sure, unsure = (base.encode(y=y).transform_filter(test) for test in ("datum.sure", "!datum.sure"))
    interval: Any = {"x": alt.X("low:Q"), "x2": "high:Q"}
    return alt.layer(
        sure.mark_bar(style=ACCENT, height={"band": 0.7}).encode(x=x),
        unsure.mark_bar(style=MUTED, height={"band": 0.7}, opacity=0.75).encode(x=x),
        sure.mark_rule(style=LABEL, strokeWidth=2).encode(**interval),
        unsure.mark_rule(style=QUIET, strokeWidth=1, opacity=0.8).encode(**interval),
        sure.mark_tick(style=LABEL, thickness=2, size=9).encode(x="low:Q"),
        sure.mark_tick(style=LABEL, thickness=2, size=9).encode(x="high:Q"),
        width=WIDTH * 0.56 - 60,
        height=alt.Step(26),
    )


def _strengths(base: alt.Chart, order: list[str], placebo: dict[str, Any]) -> Chart:
    y = alt.Y("parameter:N", sort=order, title=None, axis=None)
    reached = alt.Chart(pd.DataFrame([{"from": 0, "to": max(0.0, placebo["strength"])}]))
    values = [0.0, placebo["strength"], *base.data["strength"].dropna()]
    x = alt.X(
        "strength:Q",
        title="strength beside placebos",
        axis=alt.Axis(tickCount=5),
        scale=number_scale(min(values), max(values), log=False, nice=True),
    )
    dots = base.encode(x=x, y=y)
    return alt.layer(
        reached.mark_rect(style=MUTED, opacity=0.18).encode(x=alt.X("from:Q"), x2="to:Q"),
        reached.mark_rule(style=REFERENCE, strokeWidth=1.5).encode(x="to:Q"),
        reached.mark_text(style=LABEL, align="right", baseline="bottom", dx=4, dy=-4, fontSize=11).encode(
            x=alt.X("to:Q"), y=alt.value(0), text=alt.value("strongest placebos")
        ),
        base.mark_rule(style=MUTED).encode(x=alt.X("none:Q"), x2="strength:Q", y=y),
        dots.transform_filter("datum.sure").mark_point(style=ACCENT, size=70),
        dots.transform_filter("!datum.sure").mark_point(style=MUTED, size=70),
        width=WIDTH * 0.3,
        height=alt.Step(26),
    )
