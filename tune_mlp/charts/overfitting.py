"""The chart of overfitting: each trial's gap between training and validation, by the values of the parameters."""

from __future__ import annotations

import altair as alt
import pandas as pd

from tune_mlp.charts.figure import Chart
from tune_mlp.charts.group_rows import group_axis, label
from tune_mlp.charts.marked_trial import IS_MARKED, MARKED
from tune_mlp.charts.scores import rounded, score_scale
from tune_mlp.charts.theme import ACCENT, MUTED, REFERENCE, SECOND


def overfitting(frame: pd.DataFrame) -> Chart:
    """Draw a point for each trial and parameter, and the median of each group."""
    facts = frame.attrs
    rows = frame.copy()
    rows.attrs = {}  # pandas would copy the facts with each group
    rows["row"] = [label(*names) for names in zip(rows["parameter"], rows["group"], strict=True)]
    trials = pd.DataFrame(facts["trials"])
    trials["score"] = rounded(trials["score"])
    trials["gap"] = rounded(trials["trial"].map(rows.groupby("trial")["gap"].first()))
    trials["row"] = trials["trial"].map(rows.groupby("trial")["row"].agg(list))
    trials = trials[trials["row"].notna()]
    y = group_axis((group["parameter"], group["group"]) for group in facts["groups"])
    scale = score_scale(facts["axis"])
    x = alt.X("gap:Q", title=f"{facts['gap']}, in the best epoch", scale=scale, axis=alt.Axis(tickCount=8))
    tooltip = [alt.Tooltip(name) for name in ("trial:N", "gap:Q", "score:Q", "state:N", "settings:N")]
    points = alt.Chart(trials).transform_flatten(["row"]).encode(x=x, y=y, tooltip=tooltip)
    medians = pd.DataFrame(facts["groups"])
    medians["row"] = [label(*names) for names in zip(medians["parameter"], medians["group"], strict=True)]
    medians["median"] = rounded(medians["median"])
    middle = alt.Chart(medians).mark_tick(style=ACCENT, thickness=3, height={"band": 0.9})
    layers = [
        points.mark_point(style=MUTED, stroke=None, size=34, opacity=0.55 if len(trials) <= 60 else 0.3),
        middle.encode(x="median:Q", y=y, tooltip=[alt.Tooltip(name) for name in ("row:N", "median:Q", "trials:Q")]),
        points.transform_filter(IS_MARKED).mark_point(style=SECOND, stroke=None, size=80),
    ]
    if facts["axis"]["low"] <= 0 <= facts["axis"]["high"]:
        layers.insert(0, alt.Chart(pd.DataFrame({"zero": [0]})).mark_rule(style=REFERENCE).encode(x="zero:Q"))
    return alt.layer(*layers).properties(height=alt.Step(21)).add_params(MARKED)
