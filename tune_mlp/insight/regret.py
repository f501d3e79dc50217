"""The regret of a scheduler: how likely it stopped the trial that would have been best, and what that cost.

A scheduler decides by recorded values alone. So of two trials with the same values up to an epoch, one that was stopped there would
have gone on as one that wasn't: statistics calls its later values missing at random, and they are missing from some epoch to the end.
They are imputed step by step, from each epoch at which trials were stopped to the next, by a regression on all trials that were
trained over that step. A random sample of the stopped trials, trained to the end, shows how the worse ones would have gone on.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from tune_mlp.insight.recorded_curves import Floats, RecordedCurves

LEAST = 8
"""The fewest stopped trials that are trained to the end: with fewer, a regression says next to nothing of its own error."""
STEPS = 6
"""The most steps of the imputation."""
FITS, PATHS = 200, 50
"""How many regressions are drawn, and how many futures of the trials by each."""
MOST_VALUES = 2_000_000
"""The most values that are imputed at a step; many trials get fewer futures."""
FEWEST = 4
"""The fewest trials that a regression and its error can be fitted to."""
NEAR = 0.35
"""The error of a regression doesn't shrink further where a trial is closer than that to the winner. The trials of the middle
are about log(2) away from it."""


class Estimate(NamedTuple):
    """An estimate with its 95 % interval."""

    value: float
    low: float
    high: float


class Regret(NamedTuple):
    """What a scheduler's stops cost."""

    probability: Estimate
    """The probability that a stopped trial, trained to the end, would have been better than the winner."""
    cost: Estimate
    """How much better than the winner the best stopped trial would have been; zero where none would have been better. The value is
    the mean, and the interval holds the cost itself."""


def choose_sample(curves: RecordedCurves, share: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the numbers of the stopped trials to train to the end, drawn without replacement.

    The stopped trials stand in the order of their last epoch and their best value, and trials at equal distances are taken from a
    random start. So each trial is as likely as any other, and the sample is spread over epochs and values.
    """
    stopped = np.flatnonzero(curves.stopped)
    if not len(stopped):
        return stopped
    in_order = stopped[np.lexsort((curves.bests[stopped], curves.recorded[stopped]))]
    size = min(len(stopped), max(LEAST, int(np.ceil(share * len(stopped)))))
    places = np.floor((rng.random() + np.arange(size)) * len(stopped) / size).astype(int)
    chosen: NDArray[np.int64] = curves.trials[in_order[places]]
    return chosen


def estimate(curves: RecordedCurves, winner: float, rng: np.random.Generator) -> Regret | None:
    """Return the regret against the winner's value; None where too few trials are whole to judge the others by."""
    best = curves.best_so_far
    final = best[curves.stopped & curves.whole & curves.able, -1]
    top = max(winner, float(np.fmax.reduce(final, initial=-np.inf)))
    known = max(top - winner, 0.0)
    if not curves.unknown.any():
        return Regret(Estimate(*[float(known > 0)] * 3), Estimate(*[known] * 3))
    scale = _Scale.around(winner, top, best[curves.whole & curves.able, -1])
    futures = _impute(scale.log(best), curves, rng)
    if futures is None:
        return None
    costs = np.maximum(scale.value(futures.best) - winner, known)
    return Regret(_interval(np.ones(FITS) if known else futures.chance), _interval(costs))


class _Futures(NamedTuple):
    """What would have become of the trials that nobody trained to the end."""

    best: Floats
    """The best of them in each future, of shape (FITS, paths)."""
    chance: Floats
    """The probability that one is better than the winner, by each regression."""


def _impute(logs: Floats, curves: RecordedCurves, rng: np.random.Generator) -> _Futures | None:
    """Draw the futures of the trials whose end isn't known; None where too few trials were trained over a step."""
    unknown = curves.unknown
    count = min(PATHS, max(4, MOST_VALUES // (FITS * int(unknown.sum()))))
    least = np.fmin.reduce(logs, axis=1)
    steps = _steps(curves.recorded[unknown], logs.shape[1])
    rows = np.empty(0, int)
    before = now = np.empty((FITS, count, 0))
    missed = np.ones((FITS, count))
    for earlier, begin, end in zip(steps[:-2], steps[1:-1], steps[2:], strict=True):
        last = end == steps[-1]
        new = np.flatnonzero(unknown & (curves.recorded >= begin) & (last | (curves.recorded < end)))
        rows = np.concatenate([rows, new])
        before, now = (_with_paths(paths, logs[new, epoch - 1]) for paths, epoch in ((before, earlier), (now, begin)))
        seen = logs[:, [earlier - 1, begin - 1, end - 1]]
        seen = seen[np.isfinite(seen).all(axis=1)]
        if len(seen) < FEWEST:
            return None
        step = _Step.fitted(seen, rng)
        expected, error = step.expected(before, now), step.error(now)
        if last:
            missed = np.prod(ndtr(expected / error), axis=2)
        drawn = expected + error * rng.standard_normal(now.shape)
        before, now = now, np.minimum(np.minimum(drawn, now), least[rows])
    return _Futures(now.min(axis=2), 1 - missed.mean(axis=1))


class _Scale(NamedTuple):
    """The scale on which curves are close to straight: the logarithm of the distance to a value that none reaches, where the
    winner's distance is 1."""

    beyond: float
    unit: float

    @staticmethod
    def around(winner: float, top: float, finals: Floats) -> _Scale:
        """Return the scale whose end is as far beyond the best as the best is beyond the median of the whole trials."""
        reach = top - float(np.median([winner, *finals]))
        beyond = top + max(reach, 1e-9 * max(abs(top), 1e-9))
        return _Scale(beyond, beyond - winner)

    def log(self, values: Floats) -> Floats:
        return np.log((self.beyond - values) / self.unit)

    def value(self, logs: Floats) -> Floats:
        return self.beyond - self.unit * np.exp(logs)


class _Step(NamedTuple):
    """Regressions of the change over a step on the value before it and on the change before that. Each is drawn from those that the
    trials leave possible. The error of a trial is in proportion to its distance from the winner."""

    weights: Floats
    """The mean change at the winner's value and the two slopes, of shape (FITS, 3)."""
    errors: Floats
    """The error in proportion to the distance, of shape (FITS,)."""

    @staticmethod
    def fitted(seen: Floats, rng: np.random.Generator) -> _Step:
        """Fit to values of shape (trials, 3): at the epoch before, at the step's begin, and at its end."""
        distance = _distance(seen[:, 1])
        inputs = np.column_stack([np.ones(len(seen)), seen[:, 1], seen[:, 1] - seen[:, 0]]) / distance[:, None]
        change = (seen[:, 2] - seen[:, 1]) / distance
        # A pseudo-inverse, since there may be no earlier change: then its slope is zero.
        inverse = np.linalg.pinv(inputs.T @ inputs, rcond=1e-10, hermitian=True)
        weights = inverse @ (inputs.T @ change)
        left = change - inputs @ weights
        free = max(len(seen) - int(np.linalg.matrix_rank(inputs)), 1)
        errors = np.sqrt(max(float(left @ left), 1e-18) / rng.chisquare(free, FITS))
        levels, vectors = np.linalg.eigh(inverse)
        root = vectors * np.sqrt(np.maximum(levels, 0))
        return _Step(weights + errors[:, None] * (rng.standard_normal((FITS, 3)) @ root.T), errors)

    def expected(self, before: Floats, now: Floats) -> Floats:
        """Return the expected values after the step, of paths of shape (FITS, paths, trials)."""
        change, slope, momentum = self.weights.T[:, :, None, None]
        after: Floats = now + change + slope * now + momentum * (now - before)
        return after

    def error(self, now: Floats) -> Floats:
        """Return the standard deviations of the values after the step."""
        errors: Floats = self.errors[:, None, None] * _distance(now)
        return errors


def _distance(logs: Floats) -> Floats:
    distance: Floats = NEAR + np.maximum(logs, 0)
    return distance


def _with_paths(paths: Floats, values: Floats) -> Floats:
    """Return the paths with those of further trials, which all begin with the values that are known."""
    return np.concatenate([paths, np.broadcast_to(values, (*paths.shape[:2], len(values)))], axis=2)


def _steps(recorded: NDArray[np.int64], epochs: int) -> list[int]:
    """Return the epochs between which values are imputed: those at which trials were stopped, or some of them, and the last. An
    epoch before them comes first."""
    rungs = np.unique(recorded)
    if len(rungs) > STEPS:
        rungs = np.unique(np.quantile(recorded, np.linspace(0, 1, STEPS, endpoint=False), method="lower"))
    return [max(int(rungs[0]) // 2, 1), *(int(rung) for rung in rungs), epochs]


def _interval(values: Floats) -> Estimate:
    low, high = np.quantile(values, [0.025, 0.975])
    return Estimate(float(values.mean()), float(low), float(high))
