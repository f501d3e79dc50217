"""Rungs of schedulers that pause trials: who came to which epoch with which score, and who may go on from there.

No Ray and no trial is needed here. A score is the metric with the sign that makes a higher one better, and a trial is its number.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

Curve = Mapping[int, float]
"""The scores of a trial by epoch."""
DISTANCE_PERCENTILE = 90
"""PASHA's noise is this percentile of the distances between trials whose curves cross twice, as Bohdal et al. took it."""


@dataclass
class Rung:
    """An epoch at which trials are compared, and those that came to it."""

    epoch: int
    scores: dict[int, float] = field(default_factory=dict)
    """The score of each trial, in the order in which they came."""
    gone_on: set[int] = field(default_factory=set)
    """The trials that were let go on from here."""

    def ranked(self) -> list[int]:
        """Return the trials, best first; of equal ones the lower number is first."""
        return sorted(self.scores, key=lambda trial: (-self.scores[trial], trial))

    def cutoff(self, kept: int) -> float | None:
        """Return the lowest score of the best so many; None where fewer have come, or none is kept."""
        ranked = self.ranked()
        return self.scores[ranked[kept - 1]] if 0 < kept <= len(ranked) else None


class Ladder:
    """Promotion ASHA's rungs (Li et al. 2020): of each rung one trial in so many goes on as soon as it is among the best there."""

    def __init__(self, epochs: Iterable[int], factor: float) -> None:
        self.rungs = [Rung(epoch) for epoch in epochs]
        self._factor = factor

    @property
    def in_use(self) -> int:
        """How many rungs let trials go on."""
        return len(self.rungs)

    def at(self, epoch: int) -> Rung | None:
        """Return the rung of an epoch."""
        return next((rung for rung in self.rungs if rung.epoch == epoch), None)

    def enter(self, rung: Rung, trial: int, score: float, curves: Mapping[int, Curve]) -> None:
        """Take in a trial that has come to a rung."""
        rung.scores[trial] = score

    def kept(self, rung: Rung) -> int:
        """Return how many of a rung's trials may go on by now."""
        used = rung in self.rungs[: self.in_use]
        return math.floor(len(rung.scores) / self._factor) if used else 0

    def promotable(self, able: Iterable[int]) -> Iterator[tuple[Rung, int]]:
        """Yield the able trials that are among the best of their rung and haven't gone on from it: the highest rung first."""
        waiting = set(able)
        for rung in reversed(self.rungs[: self.in_use]):
            for trial in rung.ranked()[: self.kept(rung)]:
                if trial in waiting and trial not in rung.gone_on:
                    yield rung, trial

    def largest(self, epochs: int) -> int:
        """Return the epoch to which trials may be trained by now."""
        return [*(rung.epoch for rung in self.rungs), epochs][self.in_use]


class GrowingLadder(Ladder):
    """PASHA's rungs (Bohdal et al. 2022): at first only the lowest rung lets trials go on, and one more each time that the two
    highest rungs in use rank their trials differently.

    The ranking is soft: trials of the lower rung that differ by no more than the noise count as equal. The noise is estimated
    from the curves of the trials in the upper rung: the distances between those that cross at least twice.
    """

    def __init__(self, epochs: Iterable[int], factor: float) -> None:
        super().__init__(epochs, factor)
        self._in_use = min(1, len(self.rungs))
        self._distances: list[float] = []
        """The distances between trials of the highest rung in use whose curves cross twice."""

    @property
    def in_use(self) -> int:
        return self._in_use

    def enter(self, rung: Rung, trial: int, score: float, curves: Mapping[int, Curve]) -> None:
        """Take in a trial; if it has come to the highest rung in use, see whether the rankings agree."""
        if self._in_use < len(self.rungs) and rung is self.rungs[self._in_use]:
            mine = _until(curves.get(trial, {}), rung.epoch)
            others = (_until(curves.get(other, {}), rung.epoch) for other in rung.scores)
            self._distances += [gap for other in others if (gap := crossing_distance(mine, other)) is not None]
            super().enter(rung, trial, score, curves)
            noise = percentile(self._distances, DISTANCE_PERCENTILE)
            if ranked_differently(rung, self.rungs[self._in_use - 1], noise):
                self._in_use += 1
                self._distances = []
        else:
            super().enter(rung, trial, score, curves)


def ranked_differently(upper: Rung, lower: Rung, noise: float) -> bool:
    """True if a trial of the upper rung stands at a place where the lower rung has another, by more than the noise."""
    before = [trial for trial in lower.ranked() if trial in upper.scores]
    return any(
        trial in lower.scores and abs(lower.scores[trial] - lower.scores[before[place]]) > noise
        for place, trial in enumerate(trial for trial in upper.ranked() if trial in lower.scores)
    )


def crossing_distance(one: Sequence[tuple[int, float]], other: Sequence[tuple[int, float]]) -> float | None:
    """Return the last distance between two curves that cross at least twice, which only noise explains; else None."""
    there = dict(other)
    gaps = [value - there[epoch] for epoch, value in one if epoch in there]
    signs = [gap > 0 for gap in gaps if gap]
    crossings = sum(before != after for before, after in itertools.pairwise(signs))
    return abs(gaps[-1]) if crossings >= 2 else None


def percentile(values: Sequence[float], part: float) -> float:
    """Return a percentile of some values, interpolated between two of them; 0 of none."""
    if not values:
        return 0.0
    ordered, place = sorted(values), (len(values) - 1) * part / 100
    low, high = math.floor(place), math.ceil(place)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def _until(curve: Curve, epoch: int) -> list[tuple[int, float]]:
    return [(count, score) for count, score in sorted(curve.items()) if count <= epoch]
