"""The chart of convergence: for each group of trials the epochs to 90, 95 and 97 % of the best, and how many came that far."""

from __future__ import annotations

import altair as alt
import pandas as pd

from tune_mlp.charts.figure import Chart
from tune_mlp.charts.group_rows import group_axis, label
from tune_mlp.charts.scores import rounded
from tune_mlp.charts.theme import LABEL, MUTED
from tune_mlp.results.answer import percent

SHAPES = ["circle", "square", "triangle-up"]
"""The marks of the three shares."""


def convergence(frame: pd.DataFrame) -> Chart:
    """Draw the median number of epochs to each share of the best score."""
    rows = pd.DataFrame({name: frame[name] for name in ("parameter", "group", "share", "trials", "reached")})
    rows["epochs"] = rounded(frame["epochs"])
    rows["row"] = [label(*names) for names in zip(rows["parameter"], rows["group"], strict=True)]
    rows["share"] = [percent(share) for share in rows["share"]]
    y = group_axis(zip(rows["parameter"], rows["group"], strict=True))
    most = max(frame.attrs["most"], 2)
    x = alt.X(
        "epochs:Q",
        title="epochs",
        scale=alt.Scale(domain=[0, most], nice=False),
        axis=alt.Axis(tickMinStep=1, format="d", grid=False),
    )
    tooltip = [alt.Tooltip(name) for name in ("parameter:N", "group:N", "share:N", "epochs:Q", "reached:Q", "trials:Q")]
    some = rows[rows["epochs"].notna()]
    shares = list(dict.fromkeys(rows["share"]))
    legend = alt.Legend(orient="top")
    color = alt.Color(
        "share:N", title=frame.attrs["how"], scale=alt.Scale(domain=shares, range="category"), legend=legend
    )
    shape = alt.Shape("share:N", title=frame.attrs["how"], scale=alt.Scale(domain=shares, range=SHAPES), legend=legend)
    span = (
        alt.Chart(some)
        .mark_rule(style=MUTED, strokeWidth=2, opacity=0.5)
        .encode(x="min(epochs):Q", x2="max(epochs):Q", y=y)
    )
    base = alt.Chart(some).encode(x=x, y=y, color=color, shape=shape, tooltip=tooltip)
    points = base.mark_point(size=100, filled=True, opacity=1)
    single = pd.DataFrame(frame.attrs["counts"], columns=["parameter", "group", "epoch", "trials"])
    single["row"] = [label(*names) for names in zip(single["parameter"], single["group"], strict=True)]
    size = alt.Size("trials:Q", scale=alt.Scale(domainMin=0, rangeMin=0, rangeMax=420), legend=None)
    discs = alt.Chart(single).mark_point(style=MUTED, stroke=None, filled=True, opacity=0.3)
    discs = discs.encode(
        x="epoch:Q", y=y, size=size, tooltip=[alt.Tooltip(n) for n in ("row:N", "epoch:Q", "trials:Q")]
    )
    said = [
        {"row": row, "said": f"{' · '.join(map(str, own['reached']))} of {own['trials'].iloc[0]}"}
        for row, own in rows.groupby("row", sort=False)
    ]
    text = (
        alt.Chart(pd.DataFrame(said))
        .mark_text(style=LABEL, align="left", dx=12)
        .encode(x=alt.datum(most), y=y, text="said:N")
    )
    return alt.layer(discs, span, points, text).properties(height=alt.Step(21))
