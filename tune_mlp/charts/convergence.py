"""The chart of convergence: for each group of trials the epochs to 90, 95 and 97 % of the best, and how many came that far."""

from __future__ import annotations

import altair as alt
import pandas as pd

from tune_mlp.charts.figure import Chart
from tune_mlp.charts.group_rows import group_axis, label
from tune_mlp.charts.scores import rounded
from tune_mlp.charts.theme import LABEL, MUTED


def convergence(frame: pd.DataFrame) -> Chart:
    """Draw the median number of epochs to each share of the best score."""
    rows = pd.DataFrame({name: frame[name] for name in ("parameter", "group", "share", "trials", "reached")})
    rows["epochs"] = rounded(frame["epochs"])
    rows["row"] = [label(*names) for names in zip(rows["parameter"], rows["group"], strict=True)]
    rows["share"] = [f"{share:.0%}" for share in rows["share"]]
    rows["most"] = rows["reached"] * 2 >= rows["trials"]
    y = group_axis(zip(rows["parameter"], rows["group"], strict=True))
    most = max(frame.attrs["most"], 2)
    x = alt.X(
        "epochs:Q",
        title="epochs (median of the trials that came that far)",
        scale=alt.Scale(domain=[0, most], nice=False),
        axis=alt.Axis(tickMinStep=1, format="d", grid=False),
    )
    tooltip = [alt.Tooltip(name) for name in ("parameter:N", "group:N", "share:N", "epochs:Q", "reached:Q", "trials:Q")]
    some = rows[rows["epochs"].notna()]
    color = alt.Color("share:O", title=frame.attrs["how"], legend=alt.Legend(orient="top"))
    span = (
        alt.Chart(some)
        .mark_rule(style=MUTED, strokeWidth=2, opacity=0.5)
        .encode(x="min(epochs):Q", x2="max(epochs):Q", y=y)
    )
    base = alt.Chart(some).encode(x=x, y=y, color=color, tooltip=tooltip)
    full = base.transform_filter("datum.most").mark_point(size=110, filled=True, opacity=1)
    few = base.transform_filter("!datum.most").mark_point(size=80, filled=False, strokeWidth=2, opacity=1)
    counts = rows.groupby(["row"], sort=False).agg(
        {"trials": "first", "reached": lambda found: " · ".join(map(str, found))}
    )
    counts["said"] = counts["reached"] + " of " + counts["trials"].astype(str)
    counts = counts.reset_index()[["row", "said"]]
    text = alt.Chart(counts).mark_text(style=LABEL, align="left", dx=12).encode(x=alt.datum(most), y=y, text="said:N")
    return alt.layer(span, full, few, text).properties(height=alt.Step(21))
