"""Sums and changes of some rows of a layer's weights for one sample.

`values` are the layer's inputs, one for each row of w, and `listed` are the rows of those that aren't zero. A few rows are
taken together, so that a sum is read and written once for them. (Hand-written vector instructions were no faster than
what numba makes of these loops: see "What vector instructions gain over plain numba" in benchmarks/RECORDS.md.)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tune_mlp.engines.compiled.jit import inline

Array = Any  # as numba sees np.ndarray; a kernel's types are numba's to infer

ZERO = np.float32(0)


@inline
def add_rows(values: Array, listed: Array, w: Array, z: Array) -> None:
    """Add to z the sum of values[row] * w[row] over the listed rows."""
    fours = listed.shape[0] // 4 * 4
    for index in range(0, fours, 4):
        r0, r1, r2, r3 = listed[index], listed[index + 1], listed[index + 2], listed[index + 3]
        v0, v1, v2, v3 = values[r0], values[r1], values[r2], values[r3]
        for j in range(z.shape[0]):
            z[j] += v0 * w[r0, j] + v1 * w[r1, j] + v2 * w[r2, j] + v3 * w[r3, j]
    for index in range(fours, listed.shape[0]):
        r0 = listed[index]
        v0 = values[r0]
        for j in range(z.shape[0]):
            z[j] += v0 * w[r0, j]


@inline
def dot_and_change_rows(values: Array, listed: Array, w: Array, d: Array, dots: Array, factor: Any) -> None:
    """Do dots[row] += w[row] @ d, and then w[row] += factor * values[row] * d, for each listed row."""
    twos = listed.shape[0] // 2 * 2
    for index in range(0, twos, 2):
        r0, r1 = listed[index], listed[index + 1]
        change0, change1 = factor * values[r0], factor * values[r1]
        dot0, dot1 = ZERO, ZERO
        for j in range(d.shape[0]):
            w0, w1 = w[r0, j], w[r1, j]
            dot0 += w0 * d[j]
            dot1 += w1 * d[j]
            w[r0, j] = w0 + change0 * d[j]
            w[r1, j] = w1 + change1 * d[j]
        dots[r0] += dot0
        dots[r1] += dot1
    for index in range(twos, listed.shape[0]):
        r0 = listed[index]
        change0, dot0 = factor * values[r0], ZERO
        for j in range(d.shape[0]):
            w0 = w[r0, j]
            dot0 += w0 * d[j]
            w[r0, j] = w0 + change0 * d[j]
        dots[r0] += dot0


@inline
def change_and_add_rows(values: Array, listed: Array, w: Array, d: Array, coming: Array, z: Array, factor: Any) -> None:
    """Do w[row] += factor * values[row] * d, and then z += coming[row] * w[row], for each listed row."""
    fours = listed.shape[0] // 4 * 4
    for index in range(0, fours, 4):
        r0, r1, r2, r3 = listed[index], listed[index + 1], listed[index + 2], listed[index + 3]
        change0, change1 = factor * values[r0], factor * values[r1]
        change2, change3 = factor * values[r2], factor * values[r3]
        v0, v1, v2, v3 = coming[r0], coming[r1], coming[r2], coming[r3]
        for j in range(d.shape[0]):
            w0, w1 = w[r0, j] + change0 * d[j], w[r1, j] + change1 * d[j]
            w2, w3 = w[r2, j] + change2 * d[j], w[r3, j] + change3 * d[j]
            w[r0, j], w[r1, j], w[r2, j], w[r3, j] = w0, w1, w2, w3
            z[j] += v0 * w0 + v1 * w1 + v2 * w2 + v3 * w3
    for index in range(fours, listed.shape[0]):
        r0 = listed[index]
        change0, v0 = factor * values[r0], coming[r0]
        for j in range(d.shape[0]):
            w0 = w[r0, j] + change0 * d[j]
            w[r0, j] = w0
            z[j] += v0 * w0
