"""Simulated searches whose truth is known: trials of given qualities answer samples of given difficulties, each by its own luck."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tune_mlp.insight.samples import RIGHT, SQUARED, SampleScores

DIFFICULTY = 3.0
"""The spread of the samples' difficulty. Trials agree on most samples, as nets do: two of 96 % differ on some 4 %."""
GOOD = 6.0
"""The quality of a trial that gets 96 % right."""
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(99)


class Search(NamedTuple):
    """The outcomes of a search, best trial first, and each trial's true score."""

    scores: SampleScores
    truth: NDArray[np.float64]


def accuracy(quality: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of all samples that there could be that a trial of this quality gets right."""
    share: NDArray[np.float64] = _chance(quality[:, None] - DIFFICULTY * NODES) @ WEIGHTS / WEIGHTS.sum()
    return share


def classification(
    generator: np.random.Generator, quality: NDArray[np.float64], samples: int, seeds: int = 1
) -> Search:
    """Let each trial answer the same samples; their difficulty is what makes trials alike."""
    chance = _chance(quality[:, None] - generator.normal(0, DIFFICULTY, samples))
    right = generator.random((seeds, *chance.shape)) < chance
    return _ranked(right.mean(axis=0).astype(np.float32), accuracy(quality), RIGHT, seeds)


def regression(generator: np.random.Generator, spread: NDArray[np.float64], samples: int) -> Search:
    """Let each trial predict the same samples; an error is the sample's own and the trial's own, of this spread."""
    errors = generator.normal(0, 1, samples) + generator.normal(0, 1, (len(spread), samples)) * spread[:, None]
    return _ranked(np.square(errors).astype(np.float32), np.sqrt(1 + np.square(spread)), SQUARED, 1)


def _ranked(values: NDArray[np.float32], truth: NDArray[np.float64], measure: str, seeds: int) -> Search:
    means = values.mean(axis=1)
    order = np.argsort(-means if measure == RIGHT else means, kind="stable")
    return Search(SampleScores(measure, order, values[order], seeds), truth[order])


def _chance(quality: NDArray[np.float64]) -> NDArray[np.float64]:
    chance: NDArray[np.float64] = 1 / (1 + np.exp(-quality))
    return chance
