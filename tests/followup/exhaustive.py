"""Exhaustive tables: the curves of trials that all trained to the end, and what a scheduler would have seen of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tests.studies import study
from tune_mlp.insight.recorded_curves import RecordedCurves
from tune_mlp.insight.regret import Regret, choose_sample, estimate
from tune_mlp.records import TrialState
from tune_mlp.tuning.simulation import Cost, simulate

Table = NDArray[np.float64]
"""The metric by trial and epoch; the larger, the better."""


def power_laws(trials: int, epochs: int, rng: np.random.Generator) -> Table:
    """Return curves that approach their limits at different rates, so many cross."""
    limit, height = rng.normal(0.93, 0.03, (trials, 1)), np.exp(rng.normal(np.log(0.25), 0.5, (trials, 1)))
    rate = rng.uniform(0.3, 1.5, (trials, 1))
    return limit - height * np.arange(1, epochs + 1) ** -rate + rng.normal(0, 0.004, (trials, epochs))


def late_starters(trials: int, epochs: int, rng: np.random.Generator) -> Table:
    """Return curves of which a fifth never learns, a tenth begins to learn after two to five epochs, and all are rounded, as the
    accuracy on 360 samples is."""
    table = power_laws(trials, epochs, rng)
    table[rng.random(trials) < 0.2] = 0.1
    for row in np.flatnonzero(rng.random(trials) < 0.1):
        late = int(rng.integers(2, 6))
        table[row] = np.concatenate([np.full(late, 0.1), table[row, :-late]])
    return np.round(np.clip(table, 0, 1) * 360) / 360


def random_walks(trials: int, epochs: int, rng: np.random.Generator) -> Table:
    """Return losses, with their sign changed, whose logarithms are random walks that fall ever slower."""
    fall = rng.normal(-0.15, 0.1, (trials, 1)) / (1 + 0.2 * np.arange(epochs - 1))
    steps = np.concatenate([rng.normal(-1, 0.5, (trials, 1)), fall + rng.normal(0, 0.06, fall.shape)], axis=1)
    losses: Table = np.exp(np.cumsum(steps, axis=1))
    return -losses


FAMILIES = {"power laws": power_laws, "late starters": late_starters, "random walks": random_walks}


@dataclass(frozen=True)
class Trying:
    """One way to stop trials and to sample them."""

    scheduler: Any
    share: float


class Outcome(NamedTuple):
    """What was estimated, and what is true."""

    found: Regret
    cost: float
    """What the stops really cost."""
    stopped: int
    sampled: int

    @property
    def covered(self) -> bool:
        return self.found.cost.low - 1e-12 <= self.cost <= self.found.cost.high + 1e-12


def stopped_by(table: Table, scheduler: Any) -> RecordedCurves:
    """Return what a run records of a table's trials under a scheduler, by the scheduler's own code."""
    trials, epochs = table.shape
    bound = study(scheduler=scheduler, epochs=epochs, trials=trials).bound("classification")
    way = simulate(bound, [Cost(1.0)] * trials, 4, lambda number, epoch: float(table[number, epoch - 1]))
    recorded = np.array(way.epochs)
    return RecordedCurves(
        trials=np.arange(trials),
        values=np.where(np.arange(epochs) < recorded[:, None], table, np.nan),
        recorded=recorded,
        whole=recorded == epochs,
        stopped=recorded < epochs,
        able=np.full(trials, True),
        seconds=np.ones(trials),
    )


def outcome(table: Table, way: Trying, rng: np.random.Generator) -> Outcome:
    """Stop the table's trials, train a sample to the end, estimate, and look up the truth."""
    curves = stopped_by(table, way.scheduler)
    winner = float(np.nanmax(curves.values))
    sample = choose_sample(curves, way.share, rng)
    stopped = curves.stopped
    for trial in sample:
        curves = curves.trained_on(int(trial), table[trial], TrialState.FINISHED)
    found = estimate(curves, winner, rng)
    assert found is not None
    return Outcome(found, max(float(table[stopped].max()) - winner, 0.0), int(stopped.sum()), len(sample))
