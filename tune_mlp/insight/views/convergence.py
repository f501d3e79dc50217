"""Convergence by parameter: in how many epochs trials reached 90, 95 and 97 % of the search's best score."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tune_mlp.insight.views.curves import NO_EPOCHS, curves_of
from tune_mlp.insight.views.groups import Grouping, strongest
from tune_mlp.results.answer import Answer, counted
from tune_mlp.results.results import Results

SHARES = (0.9, 0.95, 0.97)
COLUMNS = ("parameter", "group", "share", "trials", "reached", "epochs")
BINS = 50
"""The largest number of places at which the epochs of single trials are counted."""
METHOD = (
    "`epochs` is the median over all trials of a group. A trial that didn't reach the share, also one that was stopped before, "
    "counts as later than all others: where more than half of a group didn't reach it, there is no median.",
)


def convergence(results: Results) -> Answer:
    """Return a row for each group of trials and share of the best score: how many trials reached it, and in how many epochs."""
    none = pd.DataFrame({name: pd.Series(dtype="object") for name in COLUMNS})
    best = results.best
    if results.epochs.empty:
        return Answer(NO_EPOCHS, none, METHOD)
    if best is None:
        return Answer(f"No trial has a finite {results.metric}, so there is no best score to come near.", none, METHOD)
    curves = curves_of(results)
    top = float(best[f"best_{results.metric}"])
    targets = _targets(curves, results, top)
    trials = curves["trial"].unique()
    sign = 1 if results.mode == "max" else -1
    took = {}
    for share, target in targets.items():
        reached = curves[curves[results.metric] * sign >= target * sign].groupby("trial")["epoch"].min()
        took[share] = reached.reindex(trials).to_numpy(dtype=float)
    first = np.where(np.isnan(took[SHARES[0]]), np.inf, took[SHARES[0]])
    groups = strongest(results, list(trials), first)
    if not groups:
        return Answer("No parameter has two values among the trials, so there is nothing to compare.", none, METHOD)
    table = pd.DataFrame([row for grouping in groups for row in _rows(grouping, took)], columns=list(COLUMNS))
    said = [f"{target:.4g}" for target in targets.values()]
    how = (
        "of the best score"
        if _of_the_best(results, top)
        else "of the way from the first epoch's median to the best score"
    )
    notes: tuple[str, ...] = (f"90, 95 and 97 % {how} are {said[0]}, {said[1]} and {said[2]}.",)
    changed = ("Population-based training changed settings on the way: a trial counts by those that it had last.",)
    notes += changed * (len(results.changes) > 0)
    facts = {
        "most": int(curves["epoch"].max()),
        "how": "of the best score" if _of_the_best(results, top) else "of the way to it",
        "counts": [row for grouping in groups for row in _counts(grouping, first, int(curves["epoch"].max()))],
    }
    return Answer(_sentence(table, first, how), table, METHOD, notes, facts)


def _of_the_best(results: Results, top: float) -> bool:
    return results.mode == "max" and top > 0


def _targets(curves: pd.DataFrame, results: Results, top: float) -> dict[float, float]:
    """Return the score that is each share. A share of an error that is to be small says nothing, so there it is one of the way."""
    if _of_the_best(results, top):
        return {share: share * top for share in SHARES}
    start = float(curves.loc[curves["epoch"] == 1, results.metric].median())
    start = start if np.isfinite(start) else top
    return {share: start + share * (top - start) for share in SHARES}


def _rows(grouping: Grouping, took: dict[float, NDArray[Any]]) -> list[tuple[str, str, float, int, int, float]]:
    rows = []
    for place, name in enumerate(grouping.names):
        own = grouping.of == place
        for share, epochs in took.items():
            found = np.where(np.isnan(epochs[own]), np.inf, epochs[own])
            median = float(
                np.quantile(found, 0.5, method="inverted_cdf")
            )  # never the mean of two, one of which may be infinite
            reached = int(np.isfinite(found).sum())
            rows.append(
                (grouping.parameter, name, share, len(found), reached, median if np.isfinite(median) else np.nan)
            )
    return rows


def _counts(grouping: Grouping, first: NDArray[Any], most: int) -> list[dict[str, Any]]:
    """Return how many trials of each group reached the first share in which epoch."""
    width = -(-most // BINS)
    rows: list[dict[str, Any]] = []
    for place, name in enumerate(grouping.names):
        found = first[(grouping.of == place) & np.isfinite(first)]
        epochs, trials = np.unique(np.ceil(found / width) * width, return_counts=True)
        rows += [
            {"parameter": grouping.parameter, "group": name, "epoch": int(epoch), "trials": int(count)}
            for epoch, count in zip(epochs, trials, strict=True)
        ]
    return rows


def _sentence(table: pd.DataFrame, first: NDArray[Any], how: str) -> str:
    reached = first[np.isfinite(first)]
    said = f"{len(reached)} of {counted(len(first), 'trial')} reached 90 % {how}"
    said += f", in {counted_epochs(float(np.median(reached)))} at the median" if len(reached) else ""
    rows = table[(table["parameter"] == table["parameter"].iloc[0]) & (table["share"] == SHARES[0])]
    rows = rows.assign(part=rows["reached"] / rows["trials"], late=rows["epochs"].fillna(np.inf))
    rows = rows.sort_values(["part", "late"], ascending=[False, True], kind="stable")
    good, bad = rows.iloc[0], rows.iloc[-1]
    if (good["part"], good["late"]) == (bad["part"], bad["late"]):
        return f"{said}; no parameter parts the trials by it."
    return (
        f"{said}; it differs most by {good['parameter']}: {good['reached']} of {good['trials']} did with {good['group']}, "
        f"and {bad['reached']} of {bad['trials']} with {bad['group']}."
    )


def counted_epochs(count: float) -> str:
    """Return a number of epochs, which may be a half one as the median of two."""
    return "1 epoch" if count == 1 else f"{count:g} epochs"
