"""Plain numba forms of the vector instructions in matmul, rows and nonzero, for processors without AVX.

Each function here takes the same arguments and computes the same numbers as the form of vector instructions that bears its
name. `benchmarks/ablation.py` measures what those gain over these.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tune_mlp.engines.compiled.jit import inline

Array = Any  # as numba sees np.ndarray; a kernel's types are numba's to infer

ZERO = np.float32(0)


@inline
def multiply(x: Array, y: Array, low: Any, high: Any, listed: Array, alpha: Any, add: bool, out: Array) -> None:
    """Set out[low:high] = alpha * x[low:high, listed] @ y[listed]; add it to what is there if `add`.

    Four rows are taken together, so that a row of y is read once for them.
    """
    columns = out.shape[1]
    if not add:
        for r in range(low, high):
            for j in range(columns):
                out[r, j] = ZERO
    fours = low + (high - low) // 4 * 4
    for r in range(low, fours, 4):
        for index in range(listed.shape[0]):
            k = listed[index]
            x0, x1, x2, x3 = alpha * x[r, k], alpha * x[r + 1, k], alpha * x[r + 2, k], alpha * x[r + 3, k]
            for j in range(columns):
                value = y[k, j]
                out[r, j] += x0 * value
                out[r + 1, j] += x1 * value
                out[r + 2, j] += x2 * value
                out[r + 3, j] += x3 * value
    for r in range(fours, high):
        for index in range(listed.shape[0]):
            k = listed[index]
            x0 = alpha * x[r, k]
            for j in range(columns):
                out[r, j] += x0 * y[k, j]


@inline
def transpose(x: Array, out: Array) -> None:
    """Set out = x.T, eight rows of x at a time, so that eight neighbours of out are written together."""
    rows, columns = x.shape
    eights = rows // 8 * 8
    for r in range(0, eights, 8):
        for c in range(columns):
            x0, x1, x2, x3 = x[r, c], x[r + 1, c], x[r + 2, c], x[r + 3, c]
            x4, x5, x6, x7 = x[r + 4, c], x[r + 5, c], x[r + 6, c], x[r + 7, c]
            out[c, r], out[c, r + 1], out[c, r + 2], out[c, r + 3] = x0, x1, x2, x3
            out[c, r + 4], out[c, r + 5], out[c, r + 6], out[c, r + 7] = x4, x5, x6, x7
    for r in range(eights, rows):
        for c in range(columns):
            out[c, r] = x[r, c]


@inline
def add_rows(values: Array, listed: Array, w: Array, z: Array) -> None:
    """Add to z the sum of values[row] * w[row] over the listed rows, four rows at a time."""
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
    """Compute, for each listed row: dots[row] += w[row] @ d, and then w[row] += factor * values[row] * d. Two rows at a time."""
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
    """Compute, for each listed row: w[row] += factor * values[row] * d, and then z += coming[row] * w[row]. Four rows at a time."""
    fours = listed.shape[0] // 4 * 4
    for index in range(0, fours, 4):
        r0, r1, r2, r3 = listed[index], listed[index + 1], listed[index + 2], listed[index + 3]
        change0, change1, change2, change3 = (
            factor * values[r0], factor * values[r1], factor * values[r2], factor * values[r3],
        )  # fmt: skip
        for j in range(d.shape[0]):
            w0, w1 = w[r0, j] + change0 * d[j], w[r1, j] + change1 * d[j]
            w2, w3 = w[r2, j] + change2 * d[j], w[r3, j] + change3 * d[j]
            w[r0, j], w[r1, j], w[r2, j], w[r3, j] = w0, w1, w2, w3
            z[j] += coming[r0] * w0 + coming[r1] * w1 + coming[r2] * w2 + coming[r3] * w3
    for index in range(fours, listed.shape[0]):
        r0 = listed[index]
        change0 = factor * values[r0]
        for j in range(d.shape[0]):
            w0 = w[r0, j] + change0 * d[j]
            w[r0, j] = w0
            z[j] += coming[r0] * w0


@inline
def list_nonzero(values: Array, listed: Array, zeros: bool) -> Any:
    """List the places of numbers that aren't zero, and all others too if `zeros`; return how many are listed."""
    count = 0
    for i in range(values.shape[0]):
        listed[count] = i
        count += zeros or values[i] != 0
    return count


@inline
def list_newly_nonzero(values: Array, before: Array, listed: Array) -> Any:
    """List the places of numbers that aren't zero where `before` is; return how many are listed."""
    count = 0
    for i in range(values.shape[0]):
        listed[count] = i
        count += values[i] != 0 and before[i] == 0
    return count


@inline
def prefetch(array: Array, low: Any, high: Any) -> None:
    """Do nothing: the processor is left to foretell what is read next."""
