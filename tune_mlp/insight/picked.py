"""The score of the winner, corrected for having been picked: the best of many measured scores is the best partly by luck.

The correction is the bootstrap bias correction of Tsamardinos, Greasidou and Borboudakis (2018, BBC-CV): in each of several hundred
bootstraps, the best trial on samples drawn with replacement is scored on the samples that weren't drawn; the corrected score is the mean.
"""

from __future__ import annotations

import numpy as np

from tune_mlp.insight.samples import SampleScores

BOOTSTRAPS = 500
TOGETHER = 100
"""The number of bootstraps that are worked out in one product of matrices."""


def corrected_score(scores: SampleScores, seed: int, bootstraps: int = BOOTSTRAPS) -> float:
    """Return the score that is to be expected of the winner on new samples; NaN where there are too few samples to tell.

    Of trials that are equal on a bootstrap's samples any may be taken: the first in the ranking would bring its luck with it.
    The corrected score is never better than the measured one of the winner, which is the first: being picked brings no bad luck, and
    where the mean of the bootstraps is better, it is by their own chance.
    """
    generator = np.random.default_rng(seed)
    n = scores.samples
    by_sample = np.ascontiguousarray(scores.values.T)
    found: list[float] = []
    for first in range(0, bootstraps, TOGETHER):
        count = min(TOGETHER, bootstraps - first)
        drawn = np.stack([np.bincount(generator.integers(n, size=n), minlength=n) for _ in range(count)])
        sums = drawn.astype(np.float32) @ by_sample
        best = (sums if scores.mode == "max" else -sums).max(axis=1, keepdims=True)
        tied = np.abs(sums) == np.abs(best)
        picked = (tied * generator.random(tied.shape)).argmax(axis=1)
        left_out = drawn == 0
        sizes = np.count_nonzero(left_out, axis=1)
        outside = np.einsum("ij,ij->i", scores.values[picked], left_out, dtype=np.float64)
        able = sizes > 0
        found.extend(scores.of(outside[able] / sizes[able]))
    if not found:
        return float("nan")
    worse = min if scores.mode == "max" else max
    return worse(float(np.mean(found)), float(scores.scores[0]))
