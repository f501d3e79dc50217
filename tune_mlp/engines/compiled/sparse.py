"""Pictures, most of whose pixels are zero: what a first layer does with them, leaving out the zeros.

One sample at a time it walks the weights' rows of the sample's own pixels. Of a batch it takes a few samples at a time, and
the pixels that any of them has; and for the gradient a few pixels at a time, and the samples that have any of them: tiles
of sums stay in registers then, which is worth more than the zeros that come along.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune_mlp.engines.compiled.jit import inline, kernel
from tune_mlp.engines.compiled.products import multiply

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


def read_only(x: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same pictures as they come from Ray's object store: one compiled form serves both."""
    shared = x.view()
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
def add_rows(low: Any, high: Any, places: Array, values: Array, w: Array, z: Array) -> None:
    """z += sum of value * w[place]."""
    p, v = places[low:high], values[low:high]
    n = p.shape[0]
    whole = n - n % 4
    for k in range(0, whole, 4):
        add_four(
            w[p[k]], w[p[k + 1]], w[p[k + 2]], w[p[k + 3]], F(v[k]), F(v[k + 1]), F(v[k + 2]), F(v[k + 3]), z
        )  # fmt: skip
    for k in range(whole, n):
        add_one(w[p[k]], F(v[k]), z)


@inline
def add_outer(low: Any, high: Any, places: Array, values: Array, factor: Any, d: Array, w: Array) -> None:
    """w[place] += factor * value * d for each non-zero pixel."""
    p, v = places[low:high], values[low:high]
    n = p.shape[0]
    whole = n - n % 4
    for k in range(0, whole, 4):
        add_to_four(
            w[p[k]], w[p[k + 1]], w[p[k + 2]], w[p[k + 3]],
            factor * F(v[k]), factor * F(v[k + 1]), factor * F(v[k + 2]), factor * F(v[k + 3]), d,
        )  # fmt: skip
    for k in range(whole, n):
        add_one(d, factor * F(v[k]), w[p[k]])


@inline
def add_one(row: Array, value: Any, z: Array) -> None:
    """z += value * row."""
    for j in range(z.shape[0]):
        z[j] += value * row[j]


@inline
def add_four(r0: Array, r1: Array, r2: Array, r3: Array, v0: Any, v1: Any, v2: Any, v3: Any, z: Array) -> None:
    """z += the sum of value * row: z is read a quarter as often as row by row."""
    for j in range(z.shape[0]):
        z[j] += v0 * r0[j] + v1 * r1[j] + v2 * r2[j] + v3 * r3[j]


@inline
def add_to_four(r0: Array, r1: Array, r2: Array, r3: Array, v0: Any, v1: Any, v2: Any, v3: Any, d: Array) -> None:
    """Each row += its value * d."""
    for j in range(d.shape[0]):
        r0[j] += v0 * d[j]
        r1[j] += v1 * d[j]
        r2[j] += v2 * d[j]
        r3[j] += v3 * d[j]


@inline
def spread(pictures: Array, rows: Array, x: Array, sums: Array, used: Array) -> None:
    """The pictures `rows` as numbers x, each one's sum, and which few pixels it has any of: used [rows, features / FEW]."""
    features = x.shape[1]
    whole = features // FEW
    for r in range(rows.shape[0]):
        picture = pictures[rows[r]]
        for i in range(features):
            x[r, i] = picture[i]
        total = np.int32(0)
        for i in range(features):
            total = np.int32(total + np.int32(picture[i]))
        sums[r] = total
        for few in range(whole):
            i = np.uint64(FEW * few)  # an unsigned index can't be negative, which vectorises its loop
            used[r, few] = (
                picture[i] | picture[i + np.uint64(1)] | picture[i + np.uint64(2)] | picture[i + np.uint64(3)]
            )
        if whole * FEW < features:
            used[r, whole] = 0
            for i in range(whole * FEW, features):
                used[r, whole] |= picture[i]


@inline
def add_pictures(x: Array, w: Array, z: Array, seen: Array, listed: Array) -> None:
    """z += x @ w. seen and listed: room for as many numbers as x has columns."""
    rows, features = x.shape
    for low in range(0, rows, FEW):
        high = min(low + FEW, rows)
        for i in range(features):
            seen[i] = x[low, i]
        for r in range(low + 1, high):
            for i in range(features):
                seen[i] += x[r, i]
        count = 0
        for i in range(features):
            listed[count] = i
            count += seen[i] != ZERO  # no branch: it couldn't be foretold
        multiply(x, w, low, high, listed[:count], ONE, True, z)


@inline
def add_pictures_outer(x: Array, used: Array, factor: Any, d: Array, w: Array, listed: Array) -> None:
    """w += factor * x.T @ d. listed: room for as many numbers as x has rows."""
    rows, features = x.shape
    for few in range(used.shape[1]):
        count = 0
        for r in range(rows):
            listed[count] = r
            count += used[r, few] != 0
        multiply(x.T, d, FEW * few, min(FEW * few + FEW, features), listed[:count], factor, True, w)
