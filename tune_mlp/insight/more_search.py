"""More search: what as many trials again would bring, judged by what the later half of the trials brought."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

HALVINGS = 400
"""The number of random halves and resamples."""


@dataclass(frozen=True)
class MoreTrials:
    """The gain in the best score that as many trials again are expected to bring, with a 90 % interval."""

    gain: float
    low: float
    high: float


def more_trials(scores: Floats, random: np.random.Generator) -> MoreTrials:
    """Forecast the gain from doubling the number of trials.

    Each doubling of a random search brings less than the one before it. How much less is read off the last two: from a
    quarter of the trials to a half, and from a half to all. Later trials of a searcher that learns do better.
    """
    gains = [_forecast(random.choice(scores, len(scores)), random) for _ in range(HALVINGS)]
    gain = _forecast(scores, random, HALVINGS)
    low, high = np.quantile(gains, [0.05, 0.95])
    return MoreTrials(gain, min(float(low), gain), max(float(high), gain))


def _forecast(scores: Floats, random: np.random.Generator, times: int = 20) -> float:
    count = len(scores)
    orders = np.argsort(random.random((times, count)), axis=1)
    shuffled = scores[orders]
    whole = float(scores.max())
    half = float(shuffled[:, : max(1, count // 2)].max(axis=1).mean())
    quarter = float(shuffled[:, : max(1, count // 4)].max(axis=1).mean())
    last, before = whole - half, half - quarter
    return last * min(1.0, last / before) if before > 0 else last
