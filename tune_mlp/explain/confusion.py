"""Which classes a net takes for which others, which mistakes are the worst, and how far its probabilities can be believed."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tune_mlp.explain.trained_net import TrainedNet

BINS = 10
"""The number of intervals of confidence."""


def confusion(wanted: NDArray[np.int64], found: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Return the number of samples of each class (row) that are answered with each class (column)."""
    counts: NDArray[np.int64] = np.bincount(wanted * classes + found, minlength=classes * classes)
    return counts.reshape(classes, classes)


class Pair(NamedTuple):
    """The class that is taken for another one most often."""

    wanted: int
    found: int
    times: int


def most_confused(matrix: NDArray[np.int64]) -> Pair | None:
    """Return the largest number beside the diagonal; None if every sample is answered rightly."""
    wrong = matrix - np.diag(np.diag(matrix))
    wanted, found = np.unravel_index(int(wrong.argmax()), wrong.shape)
    count = int(wrong[wanted, found])
    return Pair(int(wanted), int(found), count) if count else None


class Mistakes(NamedTuple):
    """Samples that a net answers wrongly, by their places among the samples."""

    worst: NDArray[np.int64]
    """Those with the highest probability of the wrong class, the worst first."""
    ambiguous: NDArray[np.int64]
    """Those whose two likeliest classes are the nearest to each other, the nearest first."""
    times: int
    """The number of all mistakes."""


def mistakes(net: TrainedNet, most: int) -> Mistakes:
    """Return the worst and the most ambiguous mistakes."""
    wrong = np.flatnonzero(net.found != net.samples.wanted)
    shares = net.probabilities[wrong]
    highest = np.sort(shares, axis=1)[:, ::-1]
    worst = wrong[np.argsort(-highest[:, 0], kind="stable")[:most]]
    ambiguous = wrong[np.argsort(highest[:, 0] - highest[:, 1], kind="stable")[:most]]
    return Mistakes(worst, ambiguous, len(wrong))


def calibration(probabilities: NDArray[np.float64], wanted: NDArray[np.int64]) -> pd.DataFrame:
    """Return a row for each interval of confidence that has samples: their mean confidence, the share of right answers with its
    90 % interval after Wilson, and their number. `attrs["error"]` is the mean distance of the two, weighted by samples."""
    found = probabilities.argmax(axis=1)
    confidence = probabilities[np.arange(len(found)), found]
    right = (found == wanted).astype(np.float64)
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    rows = []
    for place in np.unique(bins):
        inside = bins == place
        n, share = int(inside.sum()), float(right[inside].mean())
        low, high = _wilson(share, n)
        row = (float(confidence[inside].mean()), share, low, high, n)
        rows.append(row)
    frame = pd.DataFrame(rows, columns=["confidence", "accuracy", "low", "high", "samples"])
    gaps = (frame["confidence"] - frame["accuracy"]).abs() * frame["samples"]
    frame.attrs["error"] = float(gaps.sum() / frame["samples"].sum())
    frame.attrs["confidence"], frame.attrs["accuracy"] = float(confidence.mean()), float(right.mean())
    return frame


def _wilson(share: float, n: int) -> tuple[float, float]:
    z = 1.6448536269514722
    middle, scale = share + z * z / (2 * n), 1 + z * z / n
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)
