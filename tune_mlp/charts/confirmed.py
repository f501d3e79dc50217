"""The chart of confirmed seeds: a dot for each net, the mean with its interval, and the value that the search had found."""

from __future__ import annotations

import altair as alt
import pandas as pd

from tune_mlp.charts.figure import Chart
from tune_mlp.charts.marked_trial import IS_MARKED, MARKED
from tune_mlp.charts.theme import ACCENT, MUTED, QUIET, SECOND
from tune_mlp.insight.confirmation import BEST, TIED


def confirmed(frame: pd.DataFrame) -> Chart:
    """Draw a row for each configuration, the best mean first."""
    metric = frame.attrs["metric"]
    rows = frame.assign(name=[f"trial {trial}" for trial in frame["trial"]])
    means = pd.DataFrame(frame.attrs["configurations"])
    means = means.assign(name=[f"trial {trial}" for trial in means["trial"]], alike=means["verdict"].isin([BEST, TIED]))
    y = alt.Y("name:N", sort=list(means["name"]), title=None)
    scale = alt.Scale(zero=False, padding=10)
    net = [
        alt.Tooltip("trial:Q"),
        alt.Tooltip("seed:N"),
        alt.Tooltip("value:Q", format=".5g"),
        alt.Tooltip("settings:N"),
    ]
    figures = [
        *(alt.Tooltip(f"{name}:N") for name in ("trial", "verdict", "seeds")),
        *(alt.Tooltip(f"{name}:Q", format=".5g") for name in ("mean", "low", "high", "searched")),
    ]
    seeds = alt.Chart(rows).encode(x=alt.X("value:Q", title=metric, scale=scale), y=y, tooltip=net)
    table = alt.Chart(means).encode(y=y, tooltip=figures)
    layers: list[Chart] = [
        table.mark_point(style=QUIET, shape="diamond", size=60, fill=None, strokeWidth=1.5).encode(x="searched:Q"),
        seeds.mark_circle(style=MUTED, size=55, opacity=0.7, yOffset=7),
    ]
    for test, style in (
        (f"datum.alike && !({IS_MARKED})", ACCENT),
        (f"!datum.alike && !({IS_MARKED})", MUTED),
        (IS_MARKED, SECOND),
    ):
        some = table.transform_filter(test)
        whole = some.transform_filter("isValid(datum.low)")  # one seed has no interval
        layers.append(whole.mark_rule(style=style, strokeWidth=2).encode(x=alt.X("low:Q"), x2="high:Q"))
        layers.append(some.mark_point(style=style, size=90).encode(x="mean:Q"))
    return alt.layer(*layers, height=alt.Step(36), params=[MARKED.param])
