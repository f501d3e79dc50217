"""Pictures, most of whose pixels are zero: what a first layer does with them, leaving out the zeros.

A lone sample walks the weights' rows of its own pixels. Of a batch a few samples are taken at a time, and the pixels that
any of them has; and for the gradient a few pixels at a time, and the samples that have any of them: tiles of sums stay in
registers then, which is worth more than the zeros that come along.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune_mlp.engines.compiled.jit import inline, kernel, spliced
from tune_mlp.engines.compiled.products import multiply
from tune_mlp.engines.compiled.vectors import ask_for

Array = Any  # as numba sees np.ndarray; a kernel's types are numba's to infer
F = np.float32
ZERO, ONE = F(0), F(1)
FEW = 4
"""So many samples, or pixels, at a time: with more, more zeros come along."""


@dataclass(frozen=True, eq=False)
class Pixels:
    """Sample r has the values `values[start[r]:start[r + 1]]` at the places `places[...]`, in order."""

    start: NDArray[np.int64]
    places: NDArray[np.uint32]
    values: NDArray[np.uint8]
    sums: NDArray[np.float32]
    """Of each sample's values."""


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """The same as it comes from Ray's object store: one compiled form serves both."""
    shared = array.view()
    shared.flags.writeable = False
    return shared


def without_zeros(x: NDArray[np.uint8]) -> Pixels:
    """The non-zero pixels of pictures [n, features]."""
    shared = read_only(x)
    start = np.zeros(len(x) + 1, np.int64)
    _count(shared, start)
    places, values, sums = np.empty(start[-1], np.uint32), np.empty(start[-1], np.uint8), np.empty(len(x), np.float32)
    _fill(shared, start, places, values, sums)
    return Pixels(start, places, values, sums)


@kernel
def _count(x: Array, start: Array) -> None:
    for r in range(x.shape[0]):
        found = 0
        for i in range(x.shape[1]):
            found += x[r, i] != 0
        start[r + 1] = start[r] + found


@kernel
def _fill(x: Array, start: Array, places: Array, values: Array, sums: Array) -> None:
    for r in range(x.shape[0]):
        k = start[r]
        total = 0
        for i in range(x.shape[1]):
            if x[r, i] != 0:
                places[k] = i
                values[k] = x[r, i]
                total += x[r, i]
                k += 1
        sums[r] = total


@inline
def spread(pictures: Array, rows: Array, low: Any, high: Any, x: Array, sums: Array, used: Array) -> None:
    """The pictures rows[low:high] as numbers x, each one's sum, and which few pixels it has any of: used [rows, fews]."""
    features = x.shape[1]
    whole = features // FEW
    for r in range(high - low):
        picture = pictures[rows[low + r]]
        for i in range(features):
            x[r, i] = picture[i]
        total = np.int32(0)
        for i in range(features):
            total = np.int32(total + np.int32(picture[i]))
        sums[r] = total
        for few in range(whole):
            at = np.uint64(FEW * few)  # an unsigned index can't be negative, which vectorises its loop
            used[r, few] = (
                picture[at] | picture[at + np.uint64(1)] | picture[at + np.uint64(2)] | picture[at + np.uint64(3)]
            )
        if whole * FEW < features:
            used[r, whole] = 0
            for rest in range(whole * FEW, features):
                used[r, whole] |= picture[rest]
    for r in range(high, min(2 * high - low, rows.shape[0])):  # the next batch's
        ask_for(pictures[rows[r]], 0, features)


@spliced
def add_pictures(x: Array, w: Array, z: Array, seen: Array, listed: Array) -> None:
    """z += x @ w. seen and listed: room for as many numbers as x has columns."""
    rows, features = x.shape
    for first in range(0, rows, FEW):
        beyond = min(first + FEW, rows)
        for i in range(features):
            seen[i] = x[first, i]
        for r in range(first + 1, beyond):
            for i in range(features):
                seen[i] += x[r, i]
        count = 0
        for i in range(features):
            listed[count] = i
            count += seen[i] != ZERO  # no branch: it couldn't be foretold
        multiply(x, w, first, beyond, listed[:count], ONE, True, z)


@spliced
def add_pictures_outer(x: Array, used: Array, factor: Any, d: Array, w: Array, listed: Array) -> None:
    """w += factor * x.T @ d. listed: room for as many numbers as x has rows."""
    rows, features = x.shape
    for few in range(used.shape[1]):
        count = 0
        for r in range(rows):
            listed[count] = r
            count += used[r, few] != 0
        multiply(x.T, d, FEW * few, min(FEW * few + FEW, features), listed[:count], factor, True, w)
