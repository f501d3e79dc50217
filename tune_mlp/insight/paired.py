"""Paired tests: whether one trial is better than others on the same samples, with an interval of the difference.

- Right or wrong, one seed: the exact test of McNemar, which looks only at the samples that one of the two got right. The interval is the wider,
  on each side, of the adjusted Wald interval of Bonett and Price (2012) and the exact one that inverts the test; the first alone covers well
  but may contradict the test, and the second alone is too narrow where one trial is far better.
- All else (errors, and shares of several seeds): the paired t-test and its interval, on what each sample contributes to the metric.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, betaincinv, ndtri, stdtr, stdtrit  # scipy.stats takes a second to import

from tune_mlp.insight.samples import Floats, SampleScores

CONFIDENCE = 0.95
_UPPER = (1 + CONFIDENCE) / 2


class Differences(NamedTuple):
    """How one trial differs from each of several others. Each member has a value for each of the others."""

    difference: Floats
    """The trial's metric less the other's."""
    low: Floats
    high: Floats
    """The ends of the difference's 95 % interval."""
    p: Floats
    """The probability of so large a difference, in either direction, if both were equally good."""
    only_first: NDArray[np.int64]
    only_other: NDArray[np.int64]
    """How many samples one of the two alone got right, or got right in more of its seeds."""


def differences(scores: SampleScores, first: int, others: Sequence[int]) -> Differences:
    """Compare the trial at the place `first` with those at the places `others`."""
    value, other = scores.values[first], scores.values[list(others)]
    only_first = np.count_nonzero(value > other, axis=1).astype(np.int64)
    only_other = np.count_nonzero(value < other, axis=1).astype(np.int64)
    if scores.binary:
        found = _mcnemar(only_first, only_other, scores.samples)
    else:
        found = _paired_t(scores.contributions(first), [scores.contributions(place) for place in others])
    return Differences(*found, only_first, only_other)


def _mcnemar(b: NDArray[np.int64], c: NDArray[np.int64], n: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Return difference, interval and p from how many of `n` samples each of the two alone got right."""
    unlike = b + c
    p = np.minimum(1.0, 2 * bdtr(np.minimum(b, c), unlike, 0.5))
    adjusted = (b - c) / (n + 2)
    half = ndtri(_UPPER) * np.sqrt(((unlike + 2) / (n + 2) - np.square(adjusted)) / (n + 2))
    # Clopper and Pearson's interval of the share of `unlike` that the first got right.
    share_low = np.where(b > 0, betaincinv(np.maximum(b, 1), c + 1, 1 - _UPPER), 0.0)
    share_high = np.where(c > 0, betaincinv(b + 1, np.maximum(c, 1), _UPPER), 1.0)
    low = np.minimum(adjusted - half, unlike / n * (2 * share_low - 1))
    high = np.maximum(adjusted + half, unlike / n * (2 * share_high - 1))
    return (b - c) / n, np.maximum(low, -1.0), np.minimum(high, 1.0), p


def _paired_t(first: Floats, others: Sequence[Floats]) -> tuple[Floats, Floats, Floats, Floats]:
    """Return difference, interval and p from what each sample contributes."""
    n = len(first)
    by_sample = first - np.reshape(others, (len(others), n))
    difference = by_sample.mean(axis=1)
    if n < 2:
        return difference, np.full_like(difference, -np.inf), np.full_like(difference, np.inf), np.ones_like(difference)
    error = by_sample.std(axis=1, ddof=1) / np.sqrt(n)
    # Contributions that differ by rounding alone are no difference.
    error = np.maximum(error, np.abs(first).mean() * 1e-12 + np.finfo(float).tiny)
    half = stdtrit(n - 1, _UPPER) * error
    p = 2 * stdtr(n - 1, -np.abs(difference) / error)
    return difference, difference - half, difference + half, p


def wilson(share: Floats, n: int) -> tuple[Floats, Floats]:
    """Return Wilson's interval of a share of `n` samples."""
    z2 = float(ndtri(_UPPER)) ** 2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n**2))) / (1 + z2 / n)
    return np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)


def around(scores: SampleScores, place: int, centre: float) -> tuple[float, float]:
    """Return the 95 % interval around a metric of the trial at a place: Wilson's for a share of right samples, else the t interval."""
    if scores.binary:
        low, high = wilson(np.array([centre]), scores.samples)
        return float(low[0]), float(high[0])
    n = scores.samples
    if n < 2:
        return -np.inf, np.inf
    half = float(stdtrit(n - 1, _UPPER)) * float(scores.contributions(place).std(ddof=1)) / np.sqrt(n)
    return centre - half, centre + half


def holm(p: Floats) -> Floats:
    """Return p values corrected for their number after Holm (1979): of all claims at 0.05, none is false with probability 0.95."""
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(1.0, stepped)
    return corrected
