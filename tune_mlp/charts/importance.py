"""The chart of importance: each parameter's share of the variance with its interval, and whether a placebo looks the same."""

from __future__ import annotations

import altair as alt
import pandas as pd

from tune_mlp.charts.figure import Chart
from tune_mlp.charts.theme import ACCENT, LABEL, MUTED


def importance(frame: pd.DataFrame) -> Chart:
    """Draw a bar for each parameter, the strongest first, with the 90 % interval of its share."""
    rows = frame[["parameter", "share", "low", "high", "verdict"]].dropna(subset=["low"])
    order = list(rows["parameter"])
    y = alt.Y("parameter:N", sort=order, title=None)
    tooltip = [
        alt.Tooltip("parameter:N"),
        alt.Tooltip("verdict:N"),
        *(alt.Tooltip(f"{name}:Q", format=".1%") for name in ("share", "low", "high")),
    ]
    base = alt.Chart(rows).encode(y=y, tooltip=tooltip)
    top = float(rows[["share", "high"]].max().max())
    most = (
        top if top > 0 else 1.0
    )  # NaN without rows; a domain is given since Vega warns of bars that are all of one kind
    x = alt.X(
        "share:Q", title="share of the score's variance", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, most])
    )
    effect = base.transform_filter("datum.verdict === 'effect'").mark_bar(style=ACCENT).encode(x=x)
    nothing = base.transform_filter("datum.verdict !== 'effect'").mark_bar(style=MUTED).encode(x=x)
    interval = base.mark_rule(style=LABEL, strokeWidth=1.5).encode(x="low:Q", x2="high:Q")
    return alt.layer(effect, nothing, interval).properties(height=alt.Step(26))
