"""What a first layer does with pictures, most of whose pixels are zero: it leaves the zeros out.

A lone sample walks the weights' rows of its own pixels. Of a batch a few samples are taken at a time, over the pixels that
any of them has; and for the gradient a few pixels at a time, over the samples that have any of them: tiles of sums stay in
registers then, which is worth more than the zeros that come along.

With inputs scaled as a*x + c, the layer's sums are

    z = bias + a * (sum of x_i * w_i) + c * (sum of all w_i),

and a gradient step adds to each row i  -lr * d * (a*x_i + c):  a part for the pixels that aren't zero, and a part that all
rows share. So with w = v + shared a plain SGD step changes only v's rows of these pixels, `shared`, and the columns' sums.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tune_mlp.engines.compiled.arguments import Chunk
from tune_mlp.engines.compiled.jit import inline, spliced
from tune_mlp.engines.compiled.matmul import multiply
from tune_mlp.engines.compiled.nonzero import list_pixels
from tune_mlp.engines.compiled.simd import prefetch

Array = Any  # as numba sees np.ndarray; a kernel's types are numba's to infer
F = np.float32
ZERO, ONE = F(0), F(1)
FEW_SAMPLES, FEW_PIXELS = 6, 4
"""So many at a time: with more, more zeros come along, and with fewer, weights are read more often."""
AHEAD = 6
"""A picture is asked for while the one so many before it is read: memory takes as long as that to answer."""


class Pixels(NamedTuple):
    """A batch of b pictures as the first layer needs them."""

    numbers: Array
    """float32 [b, features]."""
    sums: Array
    """float32 [b]: each picture's sum of its pixels."""
    used: Array
    """uint8 [b, groups]: not 0 where a picture has any of a group of FEW_PIXELS pixels."""


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """Return the array as it comes from Ray's object store, so that one compiled form serves both."""
    shared = array.view()
    shared.flags.writeable = False
    return shared


@inline
def unpack_pictures(chunk: Chunk, low: Any, learn: bool, pixels: Pixels, seen: Array) -> None:
    """Make a few of the chunk's pictures, rows[low:], pixels, and say in `seen` which pixels any of them has.

    The pictures' sums, and which groups of pixels they have, are needed to learn alone.
    """
    numbers, used = pixels.numbers, pixels.used
    features = numbers.shape[1]
    whole = features // FEW_PIXELS
    seen[:] = 0
    for r in range(numbers.shape[0]):
        if low + r + AHEAD < chunk.rows.shape[0]:
            prefetch(chunk.pictures[chunk.rows[low + r + AHEAD]])
        picture = chunk.pictures[chunk.rows[low + r]]
        for i in range(features):
            numbers[r, i] = picture[i]
        for i in range(features):
            seen[i] |= picture[i]
        if not learn:
            pixels.sums[r] = ZERO
            continue
        pixels.sums[r] = picture_sum(picture)
        for group in range(whole):
            at = np.uint64(FEW_PIXELS * group)  # an unsigned index can't be negative, which vectorises its loop
            used[r, group] = (
                picture[at] | picture[at + np.uint64(1)] | picture[at + np.uint64(2)] | picture[at + np.uint64(3)]
            )
        if whole * FEW_PIXELS < features:
            used[r, whole] = 0
            for rest in range(whole * FEW_PIXELS, features):
                used[r, whole] |= picture[rest]


@inline
def picture_sum(picture: Array) -> Any:
    """Return the sum of a picture's pixels."""
    total = np.int32(0)
    for i in range(picture.shape[0]):
        total = np.int32(total + np.int32(picture[i]))
    return F(total)


@spliced
def add_pictures(
    chunk: Chunk, low: Any, learn: bool, pixels: Pixels, w: Array, z: Array, seen: Array, listed: Array
) -> None:
    """Make the chunk's pictures rows[low:] pixels x, and add x @ w to z. seen and listed have room for a picture's pixels."""
    b = z.shape[0]
    for first in range(0, b, FEW_SAMPLES):
        beyond = min(first + FEW_SAMPLES, b)
        few = Pixels(pixels.numbers[first:beyond], pixels.sums[first:beyond], pixels.used[first:beyond])
        unpack_pictures(chunk, low + first, learn, few, seen)
        count = list_pixels(seen, listed)
        multiply(pixels.numbers, w, first, beyond, listed[:count], ONE, True, z)


@spliced
def add_pictures_outer(pixels: Pixels, factor: Any, d: Array, w: Array, listed: Array) -> None:
    """Add factor * x.T @ d to w, where x are the pixels. listed has room for as many places as there are samples."""
    x, used = pixels.numbers, pixels.used
    rows, features = x.shape
    for group in range(used.shape[1]):
        count = 0
        for r in range(rows):
            listed[count] = r
            count += used[r, group] != 0
        low, high = FEW_PIXELS * group, min(FEW_PIXELS * group + FEW_PIXELS, features)
        multiply(x.T, d, low, high, listed[:count], factor, True, w)
