"""The response of each trial: the score that parameters are judged by, with stopped trials brought to the full budget."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tune_mlp.insight.recorded_curves import curve_table, epochs_of
from tune_mlp.records import TrialState
from tune_mlp.results.results import Results
from tune_mlp.results.tables import score_column

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
    column = score_column(results.trials, results.metric)
    states = results.trials["state"].to_numpy()
    numbers = results.trials["trial"].to_numpy(np.int64)
    scores = sign * pd.to_numeric(results.trials[column], errors="coerce").to_numpy(np.float64, na_value=np.nan)
    scored = np.isin(states, [TrialState.FINISHED, TrialState.STOPPED]) & np.isfinite(scores)
    without = np.isin(states, [TrialState.DIVERGED, TrialState.FAILED])
    stopped = scored & (states == TrialState.STOPPED)
    carried = 0
    if stopped.any() and not results.epochs.empty:
        last = results.trials["epochs"].to_numpy(np.int64)
        scores = scores + np.where(stopped, _rises(results)[last - 1], 0.0)
        carried = int(stopped.sum())
    kept = scored | (without & scored.any())
    scores = np.where(without, scores[scored].min() if scored.any() else 0.0, scores)
    return Responses(numbers[kept], scores[kept], without[kept], carried)


def _rises(results: Results) -> Floats:
    """Return for each epoch how much the trials that went on from it gained until the end, summed from epoch to epoch."""
    values = curve_table(results, epochs_of(results))
    best = pd.DataFrame(np.where(np.isnan(values), np.nan, np.fmax.accumulate(values, axis=1)))
    steps = (best.shift(-1, axis="columns") - best).median().fillna(0.0).to_numpy()
    return np.asarray(np.cumsum(steps[::-1])[::-1])
