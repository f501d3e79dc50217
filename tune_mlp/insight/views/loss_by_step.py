"""The loss of every step of the winner, epoch by epoch, in bins that keep each spike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tune_mlp.errors import RunFolderError
from tune_mlp.results.answer import Answer, counted
from tune_mlp.results.results import Results

MOST = 1000
"""The largest number of bins; each has three numbers, its lowest, mean and highest loss."""
COLUMNS = ("trial", "epoch", "step", "low", "mean", "high")
METHOD = (
    "Steps are counted over all epochs. A bin is part of one epoch, and holds the lowest, the mean and the highest loss.",
)


def loss_by_step(results: Results) -> Answer:
    """Return a row for each bin of the winner's steps."""
    none = pd.DataFrame({name: pd.Series(dtype="float64") for name in COLUMNS})
    if results.files is None:
        return Answer("A table alone doesn't have the losses of steps.", none, METHOD)
    try:
        steps = results.steps
    except RunFolderError:
        return Answer("The study kept no losses of steps: set `step_losses` to winner or all.", none, METHOD)
    kept = set(steps["trial"])
    trial = next((int(trial) for trial in results.ranked["trial"] if trial in kept), None)
    if trial is None:
        return Answer("No trial that may be best has its losses of steps kept.", none, METHOD)
    own = steps[steps["trial"] == trial]
    runs = [name for name in ("repeat", "fold") if name in own.columns]
    notes: tuple[str, ...] = (
        (f"Of its several nets, the one of {' and '.join(f'{name} 0' for name in runs)} is drawn.",) if runs else ()
    )
    for name in runs:
        own = own[own[name] == 0]
    losses = own["loss"].to_numpy(dtype=float)
    finite = np.isfinite(losses)
    if not finite.any():
        return Answer(f"Trial {trial} has no finite loss of a step.", none, METHOD)
    table = _bins(own["epoch"].to_numpy(), losses)
    table.insert(0, "trial", trial)
    lost = int((~finite).sum())
    notes += (f"{counted(lost, 'step')} with a loss that isn't finite left out.",) if lost else ()
    means = own.assign(loss=np.where(finite, losses, np.nan)).groupby("epoch")["loss"].agg(["mean", "std"])
    return Answer(_sentence(trial, len(own), means), table, METHOD, notes, {"of": len(own)})


def _bins(epochs: NDArray[Any], losses: NDArray[Any]) -> pd.DataFrame:
    """Return the bins, as wide as they must be for there to be no more than `MOST`."""
    count = len(losses)
    width = max(1, -(-count // max(MOST - len(np.unique(epochs)), 1)))
    rows = pd.DataFrame({"epoch": epochs, "loss": np.where(np.isfinite(losses), losses, np.nan)})
    rows["step"] = np.arange(1, count + 1)
    rows["bin"] = rows.groupby("epoch").cumcount() // width
    grouped = rows.groupby(["epoch", "bin"], sort=True)
    table = grouped["loss"].agg(["min", "mean", "max"])
    table.insert(0, "step", grouped["step"].mean())
    table = table.rename(columns={"min": "low", "max": "high"}).dropna().reset_index()
    return table.drop(columns="bin")


def _sentence(trial: int, steps: int, means: pd.DataFrame) -> str:
    first, last = means.iloc[0], means.iloc[-1]
    said = f"Over its {steps:,} steps, the loss of trial {trial} went from a mean of {first['mean']:.4g} in its first epoch"
    if len(means) == 1:
        return f"The loss of trial {trial} has a mean of {first['mean']:.4g} over {steps:,} steps, all of one epoch."
    spread = (
        f"; from step to step it spread by {first['std']:.3g} and then {last['std']:.3g}"
        if np.isfinite(last["std"])
        else ""
    )
    return f"{said} to {last['mean']:.4g} in epoch {means.index[-1]}{spread} (standard deviation)."
