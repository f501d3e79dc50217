"""What the kernels do with one layer's weights: sums forward, gradients of the layer above, gradients of the weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from tune_mlp.engines.compiled.jit import inline, spliced
from tune_mlp.engines.compiled.matmul import multiply, transpose

Array = Any  # as numba sees np.ndarray; a kernel's types are numba's to infer

ZERO, ONE = np.float32(0), np.float32(1)

SMALL_BATCH = 4
"""Up to so many samples a product of matrices is slower than walking the weights' rows."""


@inline
def copy(values: Array, row: Array) -> None:
    """Set row[:] = values, for which numba compiles three seconds of messages about shapes."""
    for j in range(row.shape[0]):
        row[j] = values[j]


@inline
def add_by_rows(x: Array, w: Array, z: Array) -> None:
    """Add x @ w to z by rows, leaving out zeros of x."""
    for r in range(x.shape[0]):
        row = z[r]
        for i in range(x.shape[1]):
            value = x[r, i]
            if value != ZERO:
                for j in range(row.shape[0]):
                    row[j] += value * w[i, j]


@spliced
def layer_sums(x: Array, w: Array, bias: Array, z: Array, every: Array) -> None:
    """Set z = x @ w + bias. every: 0, 1, 2, ..., at least as many as w has rows."""
    for r in range(z.shape[0]):
        copy(bias, z[r])
    if x.shape[0] <= SMALL_BATCH:
        add_by_rows(x, w, z)
    else:
        multiply(x, w, 0, z.shape[0], every[: w.shape[0]], ONE, True, z)


@spliced
def back_through(d: Array, w: Array, d_above: Array, transposed: Array, every: Array) -> None:
    """Set d_above = d @ w.T. transposed has room for d.T and d_above.T, or for w.T where that is smaller."""
    b, width = d.shape
    n_above = w.shape[0]
    if n_above * width <= b * (n_above + width):
        w_transposed = transposed[: n_above * width].reshape(width, n_above)
        transpose(w, w_transposed)
        multiply(d, w_transposed, 0, b, every[:width], ONE, False, d_above)
        return
    if b > SMALL_BATCH:
        d_transposed = transposed[: b * width].reshape(width, b)
        d_above_transposed = transposed[b * width : b * (width + n_above)].reshape(n_above, b)
        transpose(d, d_transposed)
        multiply(w, d_transposed, 0, n_above, every[:width], ONE, False, d_above_transposed)
        transpose(d_above_transposed, d_above)
        return
    for i in range(w.shape[0]):
        row = w[i]
        for r in range(d.shape[0]):
            total = ZERO
            for j in range(row.shape[0]):
                total += d[r, j] * row[j]
            d_above[r, i] = total


@spliced
def outer(x: Array, d: Array, factor: Any, add: bool, w: Array, every: Array) -> None:
    """Set w = factor * x.T @ d; add it to what is there if `add`."""
    multiply(x.T, d, 0, w.shape[0], every[: d.shape[0]], factor, add, w)


@inline
def column_sums(w: Array, sums: Array) -> None:
    """Set sums to the sum of all rows of w: a number for each column."""
    sums[:] = ZERO
    for i in range(w.shape[0]):
        for j in range(w.shape[1]):
            sums[j] += w[i, j]


@inline
def add_to_rows(shared: Array, w: Array) -> None:
    """Add a part that all rows of w share to each of them, and set that part to zero."""
    for i in range(w.shape[0]):
        for j in range(w.shape[1]):
            w[i, j] += shared[j]
    shared[:] = ZERO
