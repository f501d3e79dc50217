"""The chart of the loss by step: a band from the lowest to the highest loss and a line of means, each epoch in its colour."""

from __future__ import annotations

import altair as alt
import pandas as pd

from tune_mlp.charts.figure import Chart
from tune_mlp.charts.scores import rounded


def loss_by_step(frame: pd.DataFrame) -> Chart:
    """Draw the loss of all steps of a trial."""
    rows = pd.DataFrame(
        {"epoch": frame["epoch"].astype(int)} | {name: rounded(frame[name]) for name in ("step", "low", "mean", "high")}
    )
    color = alt.Color(
        "epoch:O", title="epoch", scale=alt.Scale(range="ordinal"), legend=_legend(rows["epoch"].nunique())
    )
    x = alt.X("step:Q", title="step", scale=alt.Scale(nice=False), axis=alt.Axis(format=",d", grid=False, tickCount=8))
    base = alt.Chart(rows).encode(x=x, color=color)
    band = base.mark_area(opacity=0.35).encode(
        y=alt.Y("low:Q", title="loss", scale=alt.Scale(type="symlog", constant=_constant(rows))), y2="high:Q"
    )
    tooltip = [alt.Tooltip(name) for name in ("epoch:O", "step:Q", "low:Q", "mean:Q", "high:Q")]
    return alt.layer(band, base.mark_line(strokeWidth=1.5).encode(y="mean:Q", tooltip=tooltip))


def _constant(rows: pd.DataFrame) -> float:
    """Return the loss below which the axis is about linear, so that a loss of 0 has a place on it."""
    return float(rows["mean"].abs().median()) or 1.0


def _legend(epochs: int) -> alt.Legend:
    return (
        alt.Legend(orient="right", symbolType="square", symbolOpacity=1, symbolLimit=20)
        if epochs <= 20
        else alt.Legend(type="gradient")
    )
