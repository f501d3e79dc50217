"""A figure of how searches go: for each method its regret against the time and against the epochs, beside that of stop-only ASHA with random draws."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd
import vl_convert

from benchmarks.curves.played import Played
from tune_mlp.charts.theme import config

SHARES = np.geomspace(1 / 27, 1, 31)
INTERVAL = (0.25, 0.5, 0.75)

Runs = Mapping[str, Sequence[Played]]
"""The searches of each method, one for each seed."""


def spent(runs: Sequence[Played]) -> tuple[float, float]:
    """Return the seconds and the epochs that a method takes for all its trials: the medians over the seeds."""
    return float(np.median([one.ended for one in runs])), float(np.median([one.trained for one in runs]))


def regrets(played: Runs, base: str, workers: int) -> pd.DataFrame:
    """Return the quartiles of the regret in points, by method and by the share of the base's time and of its epochs."""
    seconds, epochs = spent(played[base])
    ways: dict[str, Callable[[Played, float], float]] = {
        "time": lambda one, share: one.regret_at(seconds * share),
        "epochs": lambda one, share: one.regret_after(round(epochs * share)),
    }
    rows = []
    for method, runs in played.items():
        for (by, regret), share in product(ways.items(), SHARES):
            found = sorted(100 * regret(one, share) for one in runs)  # infinite as long as nothing is found
            low, median, high = (found[int(part * (len(found) - 1))] for part in INTERVAL)
            if math.isfinite(high):
                rows.append((method, f"{by}, {workers} workers", share, low, median, high))
    return pd.DataFrame(rows, columns=["method", "against", "share", "low", "median", "high"])


def draw(tables: Sequence[pd.DataFrame], base: str, title: str, path: Path) -> None:
    """Write the figure as SVG, one small chart for each method, for the time and the epochs, and for each number of workers."""
    rows = pd.concat(tables, ignore_index=True)
    alone = rows[rows["method"] == base].rename(columns={"median": "base"})[["against", "share", "base"]]
    rows = rows.merge(alone, on=["against", "share"], how="left")
    share = alt.X("share:Q", title="share", scale=alt.Scale(type="log", domain=[1 / 27, 1])).axis(
        values=[1 / 27, 1 / 9, 1 / 3, 1], labelExpr="datum.value == 1 ? '1' : '1/' + round(1 / datum.value)"
    )
    regret = alt.Y("median:Q", title="regret, points", scale=alt.Scale(type="log")).axis(
        values=[0.01, 0.03, 0.1, 0.3, 1, 3, 10]
    )
    charts = alt.layer(
        alt.Chart(rows).mark_area(opacity=0.2).encode(x=share, y=alt.Y("low:Q", title=""), y2="high:Q"),
        alt.Chart(rows).mark_line(strokeDash=[3, 3], opacity=0.7).encode(x=share, y=alt.Y("base:Q", title="")),
        alt.Chart(rows).mark_line().encode(x=share, y=regret),
    ).properties(width=130, height=90)
    order = list(dict.fromkeys(rows["method"]))
    whole = charts.facet(
        row=alt.Row("method:N", sort=order, title=None, header=alt.Header(labelAngle=0, labelAlign="left")),
        column=alt.Column("against:N", sort=sorted(set(rows["against"]), reverse=True), title=None),
    ).properties(
        title=alt.TitleParams(
            title,
            subtitle=f"median and quartiles, by the share of the time and of the epochs that {base} takes in all; dashed: {base}",
        )
    )
    path.write_text(vl_convert.vegalite_to_svg(whole.configure(**config("light")).to_dict()), encoding="utf-8")
