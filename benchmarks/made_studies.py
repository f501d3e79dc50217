"""Made studies: tables of trials whose truth is known, for claims about what importance finds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tune_mlp.results.changes import changes_table
from tune_mlp.results.results import Results

Floats = NDArray[np.float64]

NAMES = ("lr", "batch_size", "activation", "optimizer", "smoothing", "optimizer.sgd.momentum")
"""Six parameters of mixed kinds; the last one exists with one optimiser alone."""


def draws(count: int, random: np.random.Generator, activations: int = 3) -> list[dict[str, Any]]:
    """Return random configurations of the six parameters."""
    found: list[dict[str, Any]] = []
    for _ in range(count):
        drawn: dict[str, Any] = {
            "lr": float(np.exp(random.uniform(np.log(1e-4), 0.0))),
            "batch_size": int(random.choice([1, 8, 32, 128])),
            "activation": ("relu", "tanh", "gelu")[random.integers(activations)],
            "optimizer": ("sgd", "adam")[random.integers(2)],
            "smoothing": float(random.uniform(0.0, 0.5)),
        }
        if drawn["optimizer"] == "sgd":
            drawn["optimizer.sgd.momentum"] = float(random.uniform(0.0, 0.99))
        found.append(drawn)
    return found


def results_of(
    drawn: list[dict[str, Any]], scores: Floats, curves: pd.DataFrame | None = None, **columns: Any
) -> Results:
    """Return results with these parameters and scores, of trials that finished unless a column `state` says otherwise."""
    trials = pd.DataFrame({"trial": range(len(drawn)), "state": "finished", "val_accuracy": scores}).assign(**columns)
    trials = pd.concat([trials, pd.DataFrame(drawn)], axis=1)
    none = pd.DataFrame({"trial": pd.Series(dtype="int64"), "epoch": pd.Series(dtype="int64")})
    return Results(
        source="made",
        trials=trials,
        epochs=none if curves is None else curves,
        metric="val_accuracy",
        mode="max",
        params=dict(enumerate(drawn)),
        changes=changes_table(()),
    )


def noise(seed: int, count: int = 100) -> Results:
    """Return a study whose score has nothing to do with its parameters."""
    random = np.random.default_rng(seed)
    return results_of(draws(count, random), random.standard_normal(count))


def effect_of(drawn: list[dict[str, Any]], name: str, random: np.random.Generator) -> Floats:
    """Return an effect of one parameter with mean 0 and variance 1: rising or falling in a number, or a value for each name."""
    values = [one[name] for one in drawn]
    if isinstance(values[0], str):
        levels = sorted(set(values))
        heights = dict(zip(levels, random.permutation(len(levels)), strict=True))
        effect = np.array([heights[value] for value in values], np.float64)
    else:
        numbers = np.array(values, np.float64)
        effect = np.log(numbers) if name in ("lr", "batch_size") else numbers
        effect = effect * random.choice([-1.0, 1.0])
    return np.asarray((effect - effect.mean()) / effect.std())


def two_effects(seed: int, count: int = 50) -> tuple[Results, set[str]]:
    """Return a study in which two parameters have 20 % and 40 % of the variance, and their names."""
    random = np.random.default_rng(seed)
    drawn = draws(count, random)
    small, large = (str(name) for name in random.permutation(NAMES[:5])[:2])
    parts = 0.2**0.5 * effect_of(drawn, small, random) + 0.4**0.5 * effect_of(drawn, large, random)
    return results_of(drawn, parts + 0.4**0.5 * random.standard_normal(count)), {small, large}


def exclusive_or(seed: int, count: int = 100) -> Results:
    """Return a study in which activation and optimizer matter together (half of the variance), and neither alone."""
    random = np.random.default_rng(seed)
    drawn = draws(count, random, activations=2)
    same = np.array([(one["activation"] == "relu") == (one["optimizer"] == "sgd") for one in drawn])
    return results_of(drawn, np.where(same, 1.0, -1.0) + random.standard_normal(count))


def stopped(seed: int, count: int = 60) -> Results:
    """Return a study that ASHA stopped (grace 1, factor 3, 27 epochs), in which `lr` has 77 % of the final score's variance."""
    random = np.random.default_rng(seed)
    drawn = draws(count, random)
    parts: Mapping[str, float] = {"lr": 0.77, "batch_size": 0.06, "activation": 0.05, "smoothing": 0.04}
    final = sum(share**0.5 * effect_of(drawn, name, random) for name, share in parts.items())
    final = 0.8 + 0.05 * (final + 0.08**0.5 * random.standard_normal(count))
    epochs = np.arange(1, 28)
    speed = random.uniform(2.0, 5.0, count)
    curves = final[:, None] - 0.3 * np.exp(-epochs / speed[:, None]) + 0.003 * random.standard_normal((count, 27))
    last = _asha(curves, (1, 3, 9), 3)
    rows = [(trial, epoch, curves[trial, epoch - 1]) for trial in range(count) for epoch in range(1, last[trial] + 1)]
    states = np.where(last < 27, "stopped", "finished")
    best = np.array([curves[trial, : last[trial]].max() for trial in range(count)])
    table = pd.DataFrame(rows, columns=["trial", "epoch", "val_accuracy"])
    return results_of(drawn, best, table, state=states, epochs=last)


def _asha(curves: Floats, rungs: tuple[int, ...], factor: int) -> NDArray[np.int64]:
    """Return the last epoch of each trial under ASHA, the trials coming one after the other."""
    seen: dict[int, list[float]] = {rung: [] for rung in rungs}
    last = np.full(len(curves), curves.shape[1], np.int64)
    for trial, curve in enumerate(curves):
        for rung in rungs:
            earlier = seen[rung]
            cutoff = np.quantile(earlier, 1 - 1 / factor) if len(earlier) >= factor else -np.inf
            earlier.append(float(curve[rung - 1]))
            if curve[rung - 1] < cutoff:
                last[trial] = rung
                break
    return last
