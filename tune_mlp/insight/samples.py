"""Sample scores: what each trial made of each validation sample, as one matrix, and which of a study's metrics that measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tune_mlp.errors import UsageError
from tune_mlp.records import Mode
from tune_mlp.results.outcomes import Outcomes
from tune_mlp.results.results import Results

Floats = NDArray[np.float64]
RIGHT = "val_accuracy"
SQUARED = "val_rmse"
ABSOLUTE = "val_mae"
NUMBERS_SHOWN = 10
"""The number of trials that a note names."""


@dataclass(frozen=True, eq=False)
class SampleScores:
    """What trials made of the same validation samples."""

    measure: str
    """The metric that they measure: `val_accuracy`, `val_rmse` or `val_mae`."""
    trials: NDArray[np.int64]
    """The trials' numbers."""
    values: NDArray[np.float32]
    """[trials, samples]: 1 where the class was found, or the squared or absolute error; a mean over seeds and targets."""
    seeds: int

    @property
    def mode(self) -> Mode:
        """Whether a small or a large value is good."""
        return "max" if self.measure == RIGHT else "min"

    @property
    def binary(self) -> bool:
        """True if each value is 0 or 1."""
        return self.measure == RIGHT and self.seeds == 1

    @property
    def samples(self) -> int:
        return int(self.values.shape[1])

    def of(self, means: Floats) -> Floats:
        """Return the metric of which these are the mean values."""
        found: Floats = np.sqrt(means) if self.measure == SQUARED else means
        return found

    @property
    def scores(self) -> Floats:
        """Each trial's metric."""
        return self.of(self.values.mean(axis=1, dtype=np.float64))

    def contributions(self, place: int) -> Floats:
        """Return what each sample contributes to the metric of the trial at a place, to first order; their mean is the metric."""
        values: Floats = self.values[place].astype(np.float64)
        if self.measure != SQUARED:
            return values
        score = float(np.sqrt(values.mean()))
        found: Floats = (score + values / score) / 2 if score > 0 else np.zeros_like(values)
        return found


def sample_scores(results: Results) -> tuple[SampleScores, tuple[str, ...]]:
    """Return the sample scores of the trials that may be best, best first, and notes about those that have none."""
    outcomes, notes = results.outcomes
    ranked = [int(trial) for trial in results.ranked["trial"]]
    there = [trial for trial in ranked if trial in outcomes]
    if not there:
        why = "none of its trials has left outcomes"
        if not ranked:
            why = "no trial has ended with a finite metric"
        elif notes:
            why += f"; {notes[0]}" + (f", and {len(notes) - 1:,} more" if len(notes) > 1 else "")
        raise UsageError(f"{results.source}: nothing to compare: {why}")
    return _scores(results.metric, there, [outcomes[trial] for trial in there]), (*notes, *_missing(ranked, there))


def _scores(metric: str, trials: Sequence[int], outcomes: Sequence[Outcomes]) -> SampleScores:
    values = np.stack([one.values for one in outcomes])  # [trials, seeds, samples] or [trials, seeds, samples, targets]
    seeds = values.shape[1]
    numbers = np.array(trials, np.int64)
    if values.dtype == np.bool_:
        return SampleScores(RIGHT, numbers, values.mean(axis=1, dtype=np.float32), seeds)
    measure = ABSOLUTE if metric == ABSOLUTE else SQUARED
    errors = np.abs(values) if measure == ABSOLUTE else np.square(values, dtype=np.float64)
    return SampleScores(measure, numbers, errors.mean(axis=(1, 3)).astype(np.float32), seeds)


def _missing(ranked: Sequence[int], there: Sequence[int]) -> list[str]:
    """Say which of the trials that may be best have no outcomes, and whether the winner is one."""
    known = set(there)
    missing = [trial for trial in ranked if trial not in known]
    if not missing:
        return []
    named = ", ".join(map(str, sorted(missing)[:NUMBERS_SHOWN]))
    more = f" and {len(missing) - NUMBERS_SHOWN:,} more" if len(missing) > NUMBERS_SHOWN else ""
    notes = [
        f"Left out, since they have no outcomes (under way, trained by an earlier version, or damaged): trial {named}{more}."
    ]
    if missing[0] == ranked[0]:
        notes.append(f"The best trial, {ranked[0]}, is one of them; trial {there[0]} is the best of the others.")
    return notes
