"""Convergence by parameter: in how many epochs trials reached 90, 95 and 97 % of the search's best score."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tune_mlp.insight.views.curves import NO_EPOCHS, curves_of
from tune_mlp.insight.views.groups import Grouping, strongest
from tune_mlp.results.answer import Answer, counted
from tune_mlp.results.results import Results

SHARES = (0.9, 0.95, 0.97)
COLUMNS = ("parameter", "group", "share", "trials", "reached", "epochs")
METHOD = (
    "`epochs` is the median over the trials of a group that reached the share; a trial that was stopped before counts as "
    "one that didn't reach it.",
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
    notes = (f"90, 95 and 97 % {how} are {said[0]}, {said[1]} and {said[2]}.",)
    changed = ("Population-based training changed settings on the way: a trial counts by those that it had last.",)
    notes += changed * (len(results.changes) > 0)
    facts = {
        "most": int(curves["epoch"].max()),
        "how": "of the best score" if _of_the_best(results, top) else "of the way to it",
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


def _rows(grouping: Grouping, took: dict[float, np.ndarray]) -> list[tuple[str, str, float, int, int, float]]:
    rows = []
    for place, name in enumerate(grouping.names):
        own = grouping.of == place
        for share, epochs in took.items():
            known = epochs[own][np.isfinite(epochs[own])]
            median = float(np.median(known)) if len(known) else np.nan
            rows.append((grouping.parameter, name, share, int(own.sum()), len(known), median))
    return rows


def _sentence(table: pd.DataFrame, first: np.ndarray, how: str) -> str:
    reached = first[np.isfinite(first)]
    said = f"{len(reached)} of {counted(len(first), 'trial')} reached 90 % {how}"
    said += f", in {counted_epochs(float(np.median(reached)))} at the median" if len(reached) else ""
    rows = table[(table["parameter"] == table["parameter"].iloc[0]) & (table["share"] == SHARES[0])]
    rows = rows.assign(part=rows["reached"] / rows["trials"], late=rows["epochs"].fillna(np.inf))
    rows = rows.sort_values(["part", "late"], ascending=[False, True], kind="stable")
    good, bad = rows.iloc[0], rows.iloc[-1]
    return (
        f"{said}; it differs most by {good['parameter']}: {good['reached']} of {good['trials']} did with {good['group']}, "
        f"and {bad['reached']} of {bad['trials']} with {bad['group']}."
    )


def counted_epochs(count: float) -> str:
    """Return a number of epochs, which may be a half one as the median of two."""
    return "1 epoch" if count == 1 else f"{count:g} epochs"
