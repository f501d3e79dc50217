"""Overfitting by parameter: the gap between each trial's score on the training and on the validation part."""

from __future__ import annotations

from operator import itemgetter
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tune_mlp.insight.views.curves import NO_EPOCHS, curves_of
from tune_mlp.insight.views.drawn_trials import drawn_trials, left_out
from tune_mlp.insight.views.groups import Grouping, strongest
from tune_mlp.insight.views.score_range import score_range
from tune_mlp.records import BETTER
from tune_mlp.results.answer import Answer
from tune_mlp.results.results import Results

COLUMNS = ("parameter", "group", "trial", "gap")
USUAL = ("accuracy", "rmse")
"""The scores whose gap is shown where the metric isn't measured on the training part."""
METHOD = (
    "A gap is taken in a trial's best epoch. The training score is the mean over the epoch's batches, measured while the net "
    "was learning, and with dropout if there is any: so a gap can be below 0.",
)


def overfitting(results: Results) -> Answer:
    """Return a row for each drawn trial and parameter, with the trial's group and gap; the facts have the groups' medians."""
    none = pd.DataFrame({name: pd.Series(dtype="object") for name in COLUMNS})
    if results.epochs.empty:
        return Answer(NO_EPOCHS, none, METHOD)
    score = results.metric.removeprefix("val_")
    if f"train_{score}" not in results.epochs.columns:
        score = next(name for name in USUAL if f"train_{name}" in results.epochs.columns)
    gaps = _gaps(results, score)
    if gaps.empty:
        return Answer("No trial has finite scores on both parts, so there is no gap to draw.", none, METHOD)
    groups = strongest(results, list(gaps.index), gaps.to_numpy())
    if not groups:
        return Answer("No parameter has two values among the trials, so there is nothing to compare.", none, METHOD)
    drawn = drawn_trials(results)
    seen = gaps.index.isin(drawn["trial"])
    table = pd.concat([_points(grouping, gaps, seen) for grouping in groups], ignore_index=True)
    axis = score_range(-gaps, "max")
    better = BETTER[score] == "max"
    facts: dict[str, Any] = {
        "gap": f"train_{score} − val_{score}" if better else f"val_{score} − train_{score}",
        "axis": axis._replace(low=-axis.high, high=-axis.low)._asdict(),
        "groups": [row for grouping in groups for row in _medians(grouping, gaps)],
        "trials": drawn[drawn["trial"].isin(gaps.index)].to_dict("records"),
    }
    return Answer(_sentence(facts["gap"], gaps, facts["groups"]), table, METHOD, (*left_out(drawn), *axis.notes), facts)


def _gaps(results: Results, score: str) -> pd.Series[Any]:
    """Return each trial's gap in its best epoch, by the trial's number."""
    train, val = f"train_{score}", f"val_{score}"
    curves = curves_of(results, train, val)
    best = results.trials[["trial", "best_epoch"]].rename(columns={"best_epoch": "epoch"}).dropna()
    rows = curves.merge(best.astype("int64"), on=["trial", "epoch"])
    sign = 1 if BETTER[score] == "max" else -1
    return pd.Series(sign * (rows[train] - rows[val]).to_numpy(), index=rows["trial"].astype(int)).dropna()


def _points(grouping: Grouping, gaps: pd.Series[Any], seen: NDArray[Any]) -> pd.DataFrame:
    kept = seen & (grouping.of >= 0)
    names = np.array(grouping.names, dtype=object)[grouping.of[kept]]
    return pd.DataFrame(
        {"parameter": grouping.parameter, "group": names, "trial": gaps.index[kept], "gap": gaps.to_numpy()[kept]}
    )


def _medians(grouping: Grouping, gaps: pd.Series[Any]) -> list[dict[str, Any]]:
    values = gaps.to_numpy()
    return [
        {
            "parameter": grouping.parameter,
            "group": name,
            "trials": int((grouping.of == place).sum()),
            "median": float(np.median(values[grouping.of == place])),
        }
        for place, name in enumerate(grouping.names)
    ]


def _sentence(said: str, gaps: pd.Series[Any], groups: list[dict[str, Any]]) -> str:
    widest = int(gaps.index[int(gaps.to_numpy().argmax())])
    medians = [row for row in groups if row["parameter"] == groups[0]["parameter"]]
    low, high = (pick(medians, key=itemgetter("median")) for pick in (min, max))
    sentence = f"{said} is {gaps.median():.3g} for the median trial and widest, {gaps.max():.3g}, in trial {widest}"
    if low["median"] == high["median"]:
        return f"{sentence}; no parameter parts the trials by it."
    return (
        f"{sentence}; it differs most by {low['parameter']}: its median is {low['median']:.3g} with {low['group']}, and "
        f"{high['median']:.3g} with {high['group']}."
    )
