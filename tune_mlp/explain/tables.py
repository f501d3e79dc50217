"""What a net learnt from a table: which inputs it needs, where its numbers are wrong, and the curve that it fitted."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tune_mlp.explain.trained_net import TrainedNet, outputs_of
from tune_mlp.seeds import derive

REPEATS = 10
MOST_SAMPLES = 5000
"""The largest number of samples whose inputs are shuffled."""
GRID = 300


def column_groups(net: TrainedNet) -> dict[str, list[int]]:
    """Return the columns of the raw samples by the name of the table's column that they come from."""
    dataset = net.dataset
    names = [column.source or column.name for column in dataset.columns]
    names = names or list(dataset.features) or [f"x{i}" for i in range(dataset.x.shape[1])]
    groups: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        groups.setdefault(name, []).append(place)
    return groups


def permutation_importance(net: TrainedNet, seed: int = 0, repeats: int = REPEATS) -> pd.DataFrame:
    """Return a row for each input: how much the score suffers if the input's values are shuffled among the samples, with its
    standard deviation over repeated shuffles. The score is the accuracy, or the root mean square error.

    That is Breiman's permutation importance (2001).
    """
    samples = net.samples
    raw, wanted = samples.raw[:MOST_SAMPLES], samples.wanted[:MOST_SAMPLES]
    whole = _badness(net, raw, wanted)
    rows = []
    for name, columns in column_groups(net).items():
        losses = []
        for repeat in range(repeats):
            generator = np.random.default_rng(derive(seed, "permutation", name, repeat))
            shuffled = np.array(raw)
            shuffled[:, columns] = raw[generator.permutation(len(raw))][:, columns]
            losses.append(_badness(net, shuffled, wanted) - whole)
        rows.append((name, float(np.mean(losses)), float(np.std(losses, ddof=1)) if repeats > 1 else 0.0))
    frame = pd.DataFrame(rows, columns=["input", "loss", "std"]).sort_values("loss", ascending=False, kind="stable")
    frame.attrs["whole"] = whole
    return frame.reset_index(drop=True)


def _badness(net: TrainedNet, raw: NDArray[np.float64], wanted: NDArray[np.float64]) -> float:
    """Return the share of wrong answers, or the root mean square error."""
    outputs = outputs_of(net.module, net.model.scaler.apply(raw))
    if net.classes:
        return float((outputs.argmax(axis=1) != wanted).mean())
    return float(np.sqrt(np.mean((net.in_units(outputs) - wanted) ** 2)))


class FittedCurve(NamedTuple):
    """What a net answers along its only input."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    """[GRID, outputs], in the targets' own units."""


def fitted_curve(net: TrainedNet) -> FittedCurve | None:
    """Return the curve of a net for numbers with one input; None if it has several, or classes."""
    if net.classes or net.dataset.x.shape[1] != 1 or (net.dataset.columns and net.dataset.columns[0].categories):
        return None
    known = net.dataset.x[np.isfinite(net.dataset.x[:, 0].astype(np.float64)), 0]
    x = np.linspace(float(known.min()), float(known.max()), GRID)
    raw = x[:, None].astype(net.dataset.x.dtype)
    return FittedCurve(x, net.in_units(outputs_of(net.module, net.model.scaler.apply(raw))))
