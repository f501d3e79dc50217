"""The curves that views draw: the metric of each trial by epoch, and how each trial ended."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from tune_mlp.results.journal import Ended
from tune_mlp.results.results import Results

RUNNING = "running"
"""What a chart calls a trial that was drawn and hasn't ended."""
NO_EPOCHS = "The results have no epochs, so there are no curves to draw."


def curves_of(results: Results, *metrics: str) -> pd.DataFrame:
    """Return a row for each trial and epoch that all seeds and folds have trained: `trial`, `epoch`, and the mean of each metric.

    A mean that isn't finite is NaN.
    """
    names = list(metrics or (results.metric,))
    epochs = results.epochs
    if epochs.empty or not {*names} <= {*epochs.columns}:
        return pd.DataFrame({name: pd.Series(dtype="float64") for name in ("trial", "epoch", *names)})
    values = epochs[names].astype("float64").replace([np.inf, -np.inf], np.nan)
    grouped = pd.concat([epochs[["trial", "epoch"]], values], axis=1).groupby(["trial", "epoch"], sort=True)
    means = grouped.mean(skipna=False)
    runs = math.prod(epochs[name].nunique() for name in ("repeat", "fold") if name in epochs.columns)
    return means[grouped.size() == runs].reset_index()


def endings(results: Results) -> dict[int, str]:
    """Return how each trial ended: its state, or `running` where the journal hasn't its end."""
    states: dict[int, str] = {int(trial): str(state) for trial, state in _columns(results, "state")}
    if results.files is not None:
        ended = {line.event.trial for line in results.lines if isinstance(line.event, Ended)}
        states = {trial: state if trial in ended else RUNNING for trial, state in states.items()}
    return states


def _columns(results: Results, name: str) -> Any:
    return zip(results.trials["trial"], results.trials[name], strict=True)
