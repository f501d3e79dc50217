"""The chart of rungs: a bar for each epoch with the trials that trained it, parted by what became of them."""

from __future__ import annotations

import altair as alt
import pandas as pd

from tune_mlp.charts.figure import Chart
from tune_mlp.charts.scores import whole_ticks
from tune_mlp.charts.theme import LABEL, WIDTH

# The place in the list of categories is the colour, as in charts/endings.py; "went on" is the light blue.
PLACES = ["finished", "(marked)", "running", "diverged", "failed", "went on", "stopped"]
STACKED = ["went on", "finished", "running", "stopped", "diverged", "failed"]


def rungs(frame: pd.DataFrame) -> Chart:
    """Draw how many trials trained each epoch, and how many ended after it."""
    rows = pd.DataFrame({name: frame[name] for name in ("epoch", "to", "fate", "trials")})
    one = (rows["epoch"] == rows["to"]).all()
    rows["order"] = rows["fate"].map(STACKED.index)
    rows["epochs"] = rows["epoch"].astype(str) + ("" if one else " to " + rows["to"].astype(str))
    bars = list(dict.fromkeys(rows["epochs"]))
    x = alt.X(
        "epochs:N",
        sort=bars,
        title="epoch" if one else "epochs",
        axis=alt.Axis(labelAngle=0 if one else -60, labelOverlap=True),
    )
    present = [name for name in STACKED if (rows["fate"] == name).any()]
    color = alt.Color(
        "fate:N",
        scale=alt.Scale(domain=PLACES, range="category"),
        legend=alt.Legend(values=present, title=None, orient="top"),
    )
    tooltip = [alt.Tooltip("epochs:N"), alt.Tooltip("fate:N", title="after it"), alt.Tooltip("trials:Q")]
    totals = rows.groupby("epochs", sort=False)["trials"].sum().reset_index()
    y = alt.Y(
        "trials:Q", title="trials", axis=alt.Axis(format=",d", values=whole_ticks(int(totals["trials"].max()), first=0))
    )
    stack = alt.Chart(rows).mark_bar().encode(x=x, y=y, color=color, order="order:Q", tooltip=tooltip)
    totals = totals[totals["trials"].diff().fillna(1) != 0]  # a number where it changes
    said = (
        alt.Chart(totals)
        .mark_text(style=LABEL, dy=-8)
        .encode(x=alt.X("epochs:N", sort=bars), y="trials:Q", text=alt.Text("trials:Q", format=","))
    )
    return alt.layer(stack, said).properties(width=WIDTH)
