"""More search: what as many trials again would bring, foreseen from how the best scores so far lie to each other.

The scores above a high threshold follow a generalised Pareto distribution, whatever the distribution of all scores is (Pickands 1975).
Its tail is taken to be no heavier than an exponential one, which means that no doubling of the number of trials is expected to bring
more than the one before it. The shape and the scale of the tail are unknown; both are averaged over what the best scores leave
possible, so the interval holds the gain itself: it knows that the scale is uncertain, that the best so far may have been luck, and
that the next trials may have some. The gain that is expected is read off the last two doublings, in all orders of the trials.
A region of good values in which no trial was can't be foreseen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SHAPES = np.array([1, 4 / 3, 2, 3, 5, 10, 1e6])
"""The shapes of the tail: the chance to be above a score falls with this power of the distance to the best possible score. The
last is an exponential tail."""
WEIGHTS = np.array([1, 1, 1, 1, 1, 1, 30])
"""How likely each shape is before any score is seen. The heaviest tail, under which more search brings most, counts so much
that the interval holds under it, too; where scores have an end it is wider than it need be."""
RATES = np.geomspace(0.1, 8, 120)
"""How fast the tail falls, in units of what the scores above the threshold have on average."""
FEWEST, MOST, PART = 5, 20, 4
"""So many scores above the threshold are used: one in PART of all, at least FEWEST and at most MOST."""
STEPS = np.concatenate([[0.0], np.geomspace(1e-2, 1e3, 80)])
"""The gains at which chances are worked out, in units of the distance between the best score and the threshold."""


@dataclass(frozen=True)
class MoreTrials:
    """The gain in the best score that more trials are expected to bring, with an interval that holds the gain itself."""

    gain: float
    low: float
    high: float


def more_trials(
    scores: Floats, certainty: float = 0.9, best: float | None = None, times: float = 1.0
) -> MoreTrials | None:
    """Foresee the gain from so many `times` as many trials; None where too few have a score.

    Higher scores are better, and a trial without one has minus infinity. The scores are taken for independent draws of one
    distribution, and the trials to come for draws of the same one. `best` is the best score so far, if that isn't among them.
    """
    above = min(MOST, max(FEWEST, len(scores) // PART))
    leading = np.sort(scores)[::-1][: above + 1]
    if len(leading) <= above or not np.isfinite(leading[-1]):
        return None
    threshold = float(leading[-1])
    unit = float(leading[0]) - threshold
    if unit <= 0:  # so many trials have the best value that a better one isn't in sight
        return MoreTrials(0.0, 0.0, 0.0)
    ahead = max(0.0, 0.0 if best is None else best - float(leading[0]))
    chances = _Tail.fitted((leading[:-1] - threshold) / unit).chances(1 + ahead / unit + STEPS, times)
    low, high = (unit * _step_where(chances, 0.5 + side * certainty / 2) for side in (1, -1))
    gain = max(0.0, _next_doubling(scores) * math.log2(1 + times) - ahead)
    return MoreTrials(gain, min(low, gain), max(high, gain))


def _next_doubling(scores: Floats) -> float:
    """Return the gain that another doubling is expected to bring.

    Each doubling of a random search brings less than the one before it. How much less is read off the last two: from a
    quarter of the trials to a half, and from a half to all.
    """
    count = len(scores)
    ranked = np.sort(np.where(np.isfinite(scores), scores, scores[np.isfinite(scores)].min()))[::-1]
    whole, half, quarter = (_expected_best(ranked, size) for size in (count, count // 2, count // 4))
    last, before = whole - half, half - quarter
    return last * min(1.0, last / before) if before > 0 else last


def _expected_best(ranked: Floats, size: int) -> float:
    """Return the mean of the best of so many of the scores, over all choices of so many; the scores stand best first."""
    count, size = len(ranked), max(1, size)
    places = np.arange(count - size + 1)
    missed = np.cumprod((count - size - places[:-1]) / (count - 1 - places[:-1]))
    chances = size / count * np.concatenate([[1.0], missed])
    return float(ranked[: len(chances)] @ chances)


@dataclass(frozen=True)
class _Tail:
    """The tails that the scores above the threshold leave possible. Their best score is at the distance 1 from the threshold."""

    shapes: Floats
    rates: Floats
    weights: Floats
    """How likely each is; their sum is 1."""
    above: int

    @classmethod
    def fitted(cls, distances: Floats) -> Self:
        """Weigh the tails by the distances of the scores from the threshold, under the prior that no unit of scores is special."""
        count = len(distances)
        shapes, rates = (one.ravel() for one in np.meshgrid(SHAPES, RATES / float(distances.mean()), indexing="ij"))
        prior = np.repeat(WEIGHTS, len(RATES)).astype(np.float64)
        possible = rates < shapes  # the end of the tail lies beyond the best score
        shapes, rates, prior = shapes[possible], rates[possible], prior[possible]
        logs = count * np.log(rates) + (shapes - 1) * np.log1p(-np.outer(distances, rates / shapes)).sum(axis=0)
        weights = prior * np.exp(logs - logs.max())
        return cls(shapes, rates, weights / weights.sum(), count)

    def chances(self, distances: Floats, times: float) -> Floats:
        """Return the chances that one of the trials to come is further than these distances above the threshold.

        How many of all trials are above the threshold is uncertain, too: the share is a gamma variable over their number.
        """
        beyond = np.minimum(np.outer(distances, self.rates / self.shapes), 1.0)
        with np.errstate(divide="ignore"):
            share = np.exp(self.shapes * np.log1p(-beyond))
        chances: Floats = (1 - (1 + times * share) ** -(self.above + 1.0)) @ self.weights
        return chances


def _step_where(chances: Floats, chance: float) -> float:
    """Return the gain that is exceeded with a chance, between two steps on a straight line; 0 if the chance of any gain is less."""
    return float(np.interp(-chance, -chances, STEPS))
