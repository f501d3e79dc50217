"""The chart of configurations: training and validation by epoch, with a band where there are several seeds."""

from __future__ import annotations

import altair as alt
import pandas as pd

from tune_mlp.charts.figure import Chart


def configurations(frame: pd.DataFrame) -> Chart:
    """Draw a panel for each score, a colour for each configuration; validation is dashed."""
    names = list(dict.fromkeys(frame["configuration"]))
    colour = alt.Color("configuration:N", sort=names, title=None, legend=_legend(names))
    x = alt.X(
        "epoch:Q", title="epoch", axis=alt.Axis(values=_ticks(frame["epoch"]), format="d"), scale=alt.Scale(zero=False)
    )
    panels = []
    for score in dict.fromkeys(frame["score"]):
        rows = frame[frame["score"] == score].drop(columns="score")
        rows = rows.assign(
            **{name: rows[name].map(lambda value: float(f"{value:.5g}")) for name in ("mean", "low", "high")}
        )
        banded = bool((rows["high"] > rows["low"]).any())
        rows = rows if banded else rows.drop(columns=["low", "high"])
        percent = alt.Axis(format="%") if score == "accuracy" else alt.Axis()
        scale = alt.Scale(zero=False)
        base = alt.Chart(rows).encode(x=x, color=colour)
        dash = alt.StrokeDash(
            "part:N", title=None, scale=alt.Scale(domain=["training", "validation"], range=[[1, 0], [5, 3]])
        )
        lines = base.mark_line(point=int(rows["epoch"].nunique()) == 1).encode(
            y=alt.Y("mean:Q", title=score, axis=percent, scale=scale),
            strokeDash=dash,
            tooltip=["configuration:N", "trial:Q", "part:N", "epoch:Q", alt.Tooltip("mean:Q", format=".4g")],
        )
        parts = [lines]
        if banded:
            band = base.mark_area(opacity=0.15, strokeWidth=0).encode(
                y=alt.Y("low:Q", title=score), y2="high:Q", detail="part:N"
            )
            parts = [band, lines]
        panels.append(alt.layer(*parts).properties(width=300, height=260))
    chart: Chart = alt.hconcat(*panels)
    return chart


def _ticks(epochs: pd.Series[int]) -> list[int]:
    """Return whole epochs, about ten of them."""
    first, last = int(epochs.min()), int(epochs.max())
    return list(range(first, last + 1, max(1, round((last - first) / 10))))


def _legend(names: list[str]) -> alt.Legend | None:
    if len(names) == 1:
        return None
    # The band's faintness would be the legend's, too.
    return alt.Legend(
        orient="bottom", columns=2, labelLimit=320, symbolType="stroke", symbolOpacity=1, symbolStrokeWidth=3
    )
