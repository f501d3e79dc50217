"""The response of each trial: the score that parameters are judged by, with stopped trials brought to the full budget."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tune_mlp.records import TrialState
from tune_mlp.results.results import Results

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Responses:
    """The scores of the trials that can be judged, each a trial's best so far at the end of the budget; larger is better."""

    trials: NDArray[np.int64]
    """The numbers of the trials."""
    scores: Floats
    """A score for each; where a small metric is good, the sign is changed."""
    without: NDArray[np.bool_]
    """True where a trial diverged or failed: it counts with the worst score of all."""
    carried: int
    """The number of stopped trials whose score was brought to the full budget."""


def responses(results: Results) -> Responses:
    """Return the response of each trial that has ended with a score, diverged or failed.

    A trial that was stopped keeps the gap that it had, in its last epoch, to the trials that went on. Without this, only
    the trials that were good anyway would be compared. A table without epochs counts as it is.
    """
    sign = 1.0 if results.mode == "max" else -1.0
    column = f"best_{results.metric}" if f"best_{results.metric}" in results.trials.columns else results.metric
    states = results.trials["state"].to_numpy()
    numbers = results.trials["trial"].to_numpy(np.int64)
    scores = sign * pd.to_numeric(results.trials[column], errors="coerce").to_numpy(np.float64, na_value=np.nan)
    scored = np.isin(states, [TrialState.FINISHED, TrialState.STOPPED]) & np.isfinite(scores)
    without = np.isin(states, [TrialState.DIVERGED, TrialState.FAILED])
    stopped = scored & (states == TrialState.STOPPED)
    carried = 0
    if stopped.any() and not results.epochs.empty:
        rises = _rises(_curves(results, sign))
        epochs = results.trials["epochs"].to_numpy(np.int64)
        scores = scores + np.where(stopped, [rises.get(int(epoch), 0.0) for epoch in epochs], 0.0)
        carried = int(stopped.sum())
    kept = scored | (without & scored.any())
    scores = np.where(without, scores[scored].min() if scored.any() else 0.0, scores)
    return Responses(numbers[kept], scores[kept], without[kept], carried)


def _curves(results: Results, sign: float) -> pd.DataFrame:
    """Return the best score so far by epoch (rows) and trial (columns); it is missing after a trial's last epoch."""
    mean = results.epochs.groupby(["epoch", "trial"])[results.metric].mean().unstack("trial")
    return (sign * mean).cummax().where(mean.notna())


def _rises(curves: pd.DataFrame) -> dict[int, float]:
    """Return for each epoch how much the trials that went on from it gained until the end, summed from epoch to epoch."""
    steps = (curves.shift(-1) - curves).median(axis="columns").fillna(0.0)
    ahead = steps[::-1].cumsum()[::-1]
    return {int(epoch): float(rise) for epoch, rise in ahead.items() if isinstance(epoch, int)}
