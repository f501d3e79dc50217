"""The learning curves that a run has recorded: the metric of each trial by epoch, and how each trial ended."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tune_mlp.records import TrialState
from tune_mlp.results.results import Results
from tune_mlp.results.state import RANKED

OWN_ENDS = (TrialState.FINISHED, TrialState.DIVERGED, TrialState.FAILED)
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class RecordedCurves:
    """The curves of a run's trials. Values are signed so that the larger one is better."""

    trials: NDArray[np.int64]
    """The numbers of the trials."""
    values: Floats
    """The metric after each epoch, of shape (trials, epochs); NaN where nothing was recorded."""
    recorded: NDArray[np.int64]
    """The epochs that each trial was trained."""
    whole: Bools
    """True of a trial that came to its own end: it trained all epochs, its patience ran out, it diverged or failed."""
    stopped: Bools
    """True of a trial that the scheduler stopped."""
    able: Bools
    """True of a trial that may be best: it neither diverged nor failed."""
    seconds: Floats
    """The seconds of an epoch of each trial, on average."""

    @property
    def best_so_far(self) -> Floats:
        """The best value up to each epoch. It stays as it was after the end of a trial that ended by itself."""
        best: Floats = np.fmax.accumulate(self.values, axis=1)
        beyond = np.arange(best.shape[1]) >= self.recorded[:, None]
        return np.where(beyond & ~self.whole[:, None], np.nan, best)

    @property
    def bests(self) -> Floats:
        """The best recorded value of each trial; NaN where it has none."""
        best: Floats = np.fmax.reduce(self.values, axis=1)
        return best

    @property
    def unknown(self) -> Bools:
        """True of a trial that the scheduler stopped and that nobody has trained to its end."""
        return self.stopped & ~self.whole

    def trained_on(self, trial: int, values: Floats, state: TrialState) -> Self:
        """Return the curves with those of a stopped trial that was trained again from its start."""
        row = int(np.flatnonzero(self.trials == trial)[0])
        columns = {
            "values": values,
            "recorded": np.count_nonzero(~np.isnan(values)),
            "whole": True,
            "able": state in RANKED,
        }
        return replace(self, **{name: _with_row(getattr(self, name), row, value) for name, value in columns.items()})


def _with_row(array: NDArray[Any], row: int, value: Any) -> NDArray[Any]:
    changed = array.copy()
    changed[row] = value
    return changed


def recorded_curves(results: Results) -> RecordedCurves:
    """Return the curves that a run has recorded."""
    trials = results.trials
    values = curve_table(results, epochs_of(results))
    recorded = trials["epochs"].to_numpy()
    state, reason = trials["state"], trials["reason"]
    # An old run doesn't say why a trial was stopped.
    by_scheduler = "scheduler" if (reason != "").any() or results.manifest.get("state") != "finished" else ""
    seconds = results.epochs.groupby(["trial", "epoch"])["seconds"].sum().groupby("trial").mean()
    return RecordedCurves(
        trials=trials["trial"].to_numpy(),
        values=np.where(np.arange(values.shape[1]) < recorded[:, None], values, np.nan),
        recorded=recorded,
        whole=state.isin(OWN_ENDS).to_numpy(),
        stopped=((state == TrialState.STOPPED) & (reason == by_scheduler)).to_numpy(),
        able=state.isin(RANKED).to_numpy(),
        seconds=trials["trial"].map(seconds).fillna(seconds.mean() if len(seconds) else 0.0).to_numpy(),
    )


def epochs_of(results: Results) -> int:
    """Return the epochs that a trial of the study trains if nothing stops it."""
    most = int(results.trials["epochs"].max()) if len(results.trials) else 1
    return max(int(results.study.get("epochs", most)), most)


def curve_table(results: Results, most: int) -> Floats:
    """Return the metric by trial and epoch, as the mean of folds and seeds, signed so that the larger value is better; NaN where
    an epoch isn't there."""
    means = results.epochs.groupby(["trial", "epoch"])[results.metric].mean().unstack("epoch")
    values = means.reindex(index=results.trials["trial"], columns=range(1, most + 1)).to_numpy(dtype=float)
    return np.where(np.isfinite(values), values, np.nan) * (1 if results.mode == "max" else -1)
