"""The chart of learning curves: a line for each trial, the best one in colour, with a mark where a trial was stopped or diverged."""

from __future__ import annotations

import altair as alt
import pandas as pd

from tune_mlp.charts.endings import ending_color, ending_shape
from tune_mlp.charts.figure import Chart
from tune_mlp.charts.marked_trial import IS_MARKED, MARKED
from tune_mlp.charts.scores import rounded, score_scale, whole_ticks
from tune_mlp.charts.theme import ACCENT, BAND, LABEL, MUTED, REFERENCE, SECOND

LABELED = ("stopped", "diverged", "failed", "running")
"""The ways of ending that have a mark: those before the last epoch."""


def learning_curves(frame: pd.DataFrame) -> Chart:
    """Draw the curves of the trials by epoch."""
    facts, metric = frame.attrs, frame.attrs["metric"]
    best = facts["best"]
    rows = frame.copy()
    rows.attrs = {}  # pandas would copy the facts with each group
    curves = rows.groupby("trial").agg({"epoch": list, metric: rounded})
    trials = pd.DataFrame(facts["trials"]).drop(columns=["epoch", "value"])
    trials["at"] = trials["trial"].map(curves["epoch"])
    trials["alone"] = trials["at"].str.len() == 1
    trials["curve"] = trials["trial"].map(curves[metric])
    most = int(frame["epoch"].max())
    x = alt.X(
        "at:Q",
        title="epoch",
        scale=alt.Scale(domain=[1, max(most, 2)], nice=False),
        axis=alt.Axis(grid=False, format="d", values=whole_ticks(most)),
    )
    y = alt.Y("curve:Q", title=metric, scale=score_scale(facts["axis"]))
    tooltip = ["trial:N", "score:Q", "ended:N", "settings:N"]
    lines = (
        alt.Chart(trials)
        .transform_flatten(["at", "curve"])
        .encode(x=x, y=y, detail="trial:N", tooltip=[alt.Tooltip(name) for name in tooltip])
    )
    ends = pd.DataFrame([row for row in facts["trials"] if row["ended"] in LABELED])
    layers: list[alt.Chart] = []
    if facts["band"]:
        band = alt.Chart(pd.DataFrame(facts["band"]).apply(rounded)).encode(x=alt.X("epoch:Q"))
        layers.append(band.mark_area(style=BAND, clip=True).encode(y="low:Q", y2="high:Q"))
    faint = 0.5 if len(trials) <= 60 else 0.15
    layers.append(
        lines.transform_filter(f"datum.trial !== {_number(best)}").mark_line(
            fill=None, style=MUTED, opacity=faint, strokeWidth=1
        )
    )
    if trials["alone"].any():  # a line of one point can't be seen
        layers.append(lines.transform_filter("datum.alone").mark_point(style=MUTED, size=14))
    if facts["band"]:
        layers.append(band.mark_line(fill=None, style=REFERENCE, strokeWidth=2).encode(y="middle:Q"))
    if not ends.empty:
        ends["value"] = rounded(ends["value"])
        present = ends["ended"].unique()
        layers.append(
            alt.Chart(ends)
            .mark_point(size=36 if len(trials) <= 60 else 18, opacity=0.9)
            .encode(
                x="epoch:Q",
                y="value:Q",
                color=ending_color(present),
                shape=ending_shape(present),
                tooltip=[alt.Tooltip(name) for name in tooltip],
            )
        )
    if best is not None:
        layers.append(
            lines.transform_filter(f"datum.trial === {best}").mark_line(fill=None, style=ACCENT, strokeWidth=2.5)
        )
        row = next(row for row in facts["trials"] if row["trial"] == best)
        end = pd.DataFrame([{"trial": best, "epoch": row["epoch"], "value": row["value"], "said": f"trial {best}"}])
        at_end = alt.Chart(end).encode(x="epoch:Q", y="value:Q")
        layers.append(at_end.mark_point(style=ACCENT, size=45, opacity=1))
        layers.append(at_end.mark_text(style=LABEL, align="left", dx=8, fontWeight=600).encode(text="said:N"))
    layers.append(lines.transform_filter(IS_MARKED).mark_line(fill=None, style=SECOND, strokeWidth=3))
    return alt.layer(*layers).add_params(MARKED)


def _number(trial: int | None) -> int:
    return -2 if trial is None else trial
