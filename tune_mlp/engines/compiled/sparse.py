"""Pictures without their zeros: each sample's non-zero pixels, and the two things that a first layer does with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune_mlp.engines.compiled.jit import inline, kernel

Array = Any  # as numba sees np.ndarray; a kernel's types are numba's to infer
F = np.float32


@dataclass(frozen=True, eq=False)
class Pixels:
    """Sample r has the values `values[start[r]:start[r + 1]]` at the places `places[...]`, in order."""

    start: NDArray[np.int64]
    places: NDArray[np.uint32]
    values: NDArray[np.uint8]
    sums: NDArray[np.float32]
    """Of each sample's values."""


def without_zeros(x: NDArray[np.uint8]) -> Pixels:
    """The non-zero pixels of pictures [n, features]."""
    shared = x.view()
    shared.flags.writeable = False  # as it comes from Ray's object store: one compiled form serves both
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
def add_rows(low: Any, high: Any, places: Array, values: Array, w: Array, z: Array) -> None:
    """z += sum of value * w[place]. Four rows at a time: z is then read a quarter as often."""
    width = z.shape[0]
    k = low
    while k + 4 <= high:
        i0, i1, i2, i3 = places[k], places[k + 1], places[k + 2], places[k + 3]
        v0, v1, v2, v3 = F(values[k]), F(values[k + 1]), F(values[k + 2]), F(values[k + 3])
        for j in range(width):
            z[j] += v0 * w[i0, j] + v1 * w[i1, j] + v2 * w[i2, j] + v3 * w[i3, j]
        k += 4
    while k < high:
        i0 = places[k]
        v0 = F(values[k])
        for j in range(width):
            z[j] += v0 * w[i0, j]
        k += 1


@inline
def add_outer(low: Any, high: Any, places: Array, values: Array, factor: Any, d: Array, w: Array) -> None:
    """w[place] += factor * value * d for each non-zero pixel."""
    width = d.shape[0]
    k = low
    while k + 4 <= high:
        i0, i1, i2, i3 = places[k], places[k + 1], places[k + 2], places[k + 3]
        v0, v1, v2, v3 = (
            factor * F(values[k]),
            factor * F(values[k + 1]),
            factor * F(values[k + 2]),
            factor * F(values[k + 3]),
        )
        for j in range(width):
            w[i0, j] += v0 * d[j]
            w[i1, j] += v1 * d[j]
            w[i2, j] += v2 * d[j]
            w[i3, j] += v3 * d[j]
        k += 4
    while k < high:
        i0 = places[k]
        v0 = factor * F(values[k])
        for j in range(width):
            w[i0, j] += v0 * d[j]
        k += 1
