"""Pictures, most of whose pixels are zero: what a first layer does with them, leaving out the zeros.

A lone sample walks the weights' rows of its own pixels. Of a batch a few samples are taken at a time, and the pixels that
any of them has; and for the gradient a few pixels at a time, and the samples that have any of them: tiles of sums stay in
registers then, which is worth more than the zeros that come along.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune_mlp.engines.compiled.jit import inline, spliced
from tune_mlp.engines.compiled.matmul import multiply
from tune_mlp.engines.compiled.nonzero import list_nonzero
from tune_mlp.engines.compiled.simd import prefetch

Array = Any  # as numba sees np.ndarray; a kernel's types are numba's to infer
F = np.float32
ZERO, ONE = F(0), F(1)
FEW_SAMPLES, FEW_PIXELS = 6, 4
"""So many at a time: with more, more zeros come along, and with fewer, weights are read more often."""
AHEAD = 6
"""A picture is asked for while the one so many before it is read: memory takes as long as that to answer."""


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """The same as it comes from Ray's object store: one compiled form serves both."""
    shared = array.view()
    shared.flags.writeable = False
    return shared


@inline
def unpack_pictures(
    pictures: Array, rows: Array, low: Any, x: Array, sums: Array, seen: Array, learn: bool, used: Array
) -> None:
    """A few of the pictures, rows[low:], as numbers x, and which pixels any of them has; and to learn each one's sum, and
    which few pixels it has any of: used [rows, fews]."""
    features = x.shape[1]
    whole = features // FEW_PIXELS
    seen[:] = 0
    for r in range(x.shape[0]):
        if low + r + AHEAD < rows.shape[0]:
            prefetch(pictures[rows[low + r + AHEAD]], 0, features)
        picture = pictures[rows[low + r]]
        for i in range(features):
            x[r, i] = picture[i]
        for i in range(features):
            seen[i] |= picture[i]
        total = np.int32(0)
        if not learn:
            sums[r] = ZERO
            continue
        for i in range(features):
            total = np.int32(total + np.int32(picture[i]))
        sums[r] = total
        for few in range(whole):
            at = np.uint64(FEW_PIXELS * few)  # an unsigned index can't be negative, which vectorises its loop
            used[r, few] = (
                picture[at] | picture[at + np.uint64(1)] | picture[at + np.uint64(2)] | picture[at + np.uint64(3)]
            )
        if whole * FEW_PIXELS < features:
            used[r, whole] = 0
            for rest in range(whole * FEW_PIXELS, features):
                used[r, whole] |= picture[rest]


@spliced
def add_pictures(
    pictures: Array, rows: Array, low: Any, learn: bool, x: Array, sums: Array, used: Array, w: Array, z: Array,
    seen: Array, listed: Array,
) -> None:  # fmt: skip
    """z += x @ w, where x become the pictures rows[low:]; sums and used as `unpack_pictures` has them. seen and listed: room for as
    many as x has columns, and slack."""
    for first in range(0, x.shape[0], FEW_SAMPLES):
        beyond = min(first + FEW_SAMPLES, x.shape[0])
        unpack_pictures(
            pictures, rows, low + first, x[first:beyond], sums[first:beyond], seen, learn, used[first:beyond]
        )
        count = list_nonzero(seen, listed, False)
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
        multiply(
            x.T, d, FEW_PIXELS * few, min(FEW_PIXELS * few + FEW_PIXELS, features), listed[:count], factor, True, w
        )
