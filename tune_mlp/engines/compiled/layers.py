"""What the kernels do with one layer's weights: find them in the flat array, and multiply by them.

Weights are one flat array; layer l's matrix stands in it input-major, [inputs, outputs], so that a sample walks rows.
A first layer over pictures skips their zeros. With inputs scaled as a*x + c, its sums are

    z = bias + a * (sum of x_i * w_i) + c * (sum of all w_i),

and a gradient step adds to each row i  -lr * d * (a*x_i + c):  a part for the non-zero pixels, and a part, u, that all
rows share. So with w = v + u a plain SGD step touches only the rows of non-zero pixels, u, and the columns' sum.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tune_mlp.engines.compiled.jit import inline, spliced
from tune_mlp.engines.compiled.matmul import multiply, transpose
from tune_mlp.engines.compiled.sparse import add_pictures

Array = Any  # as numba sees np.ndarray; a kernel's types are numba's to infer

ZERO, ONE = np.float32(0), np.float32(1)

SMALL_BATCH = 4
"""Up to so many samples a product of matrices is slower than walking the weights' rows."""


@spliced
def matrix(p: Array, places: Array, dims: Array, layer: Any) -> Array:
    """Layer l's weights, [inputs, outputs]."""
    start = places[layer, 0]
    return p[start : start + dims[layer] * dims[layer + 1]].reshape(dims[layer], dims[layer + 1])


@spliced
def vector(p: Array, places: Array, dims: Array, layer: Any, which: Any) -> Array:
    """Layer l's bias (1), or its batch norm's scale (2) or shift (3)."""
    start = places[layer, which]
    return p[start : start + dims[layer + 1]]


@inline
def copy(values: Array, row: Array) -> None:
    """Copy values into a row. For `row[:] = values` numba would compile error messages about shapes for three seconds."""
    for j in range(row.shape[0]):
        row[j] = values[j]


@inline
def add_by_rows(x: Array, w: Array, z: Array) -> None:
    """z += x @ w by rows, skipping zeros of x."""
    for r in range(x.shape[0]):
        row = z[r]
        for i in range(x.shape[1]):
            value = x[r, i]
            if value != ZERO:
                for j in range(row.shape[0]):
                    row[j] += value * w[i, j]


@spliced
def layer_sums(x: Array, w: Array, bias: Array, z: Array, every: Array) -> None:
    """z = x @ w + bias."""
    for r in range(z.shape[0]):
        copy(bias, z[r])
    if x.shape[0] <= SMALL_BATCH:
        add_by_rows(x, w, z)
    else:
        multiply(x, w, 0, z.shape[0], every[: w.shape[0]], ONE, True, z)


@spliced
def back_through(d: Array, w: Array, d_above: Array, turned: Array, every: Array) -> None:
    """d_above = d @ w.T. turned: room for d.T and d_above.T, or for w.T where that is smaller."""
    b, width = d.shape
    n_above = w.shape[0]
    if n_above * width <= b * (n_above + width):
        w_turned = turned[: n_above * width].reshape(width, n_above)
        transpose(w, w_turned)
        multiply(d, w_turned, 0, b, every[:width], ONE, False, d_above)
        return
    if b > SMALL_BATCH:
        d_turned = turned[: b * width].reshape(width, b)
        d_above_turned = turned[b * width : b * (width + n_above)].reshape(n_above, b)
        transpose(d, d_turned)
        multiply(w, d_turned, 0, n_above, every[:width], ONE, False, d_above_turned)
        transpose(d_above_turned, d_above)
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
    """w = factor * x.T @ d, added to what is there if `add`."""
    multiply(x.T, d, 0, w.shape[0], every[: d.shape[0]], factor, add, w)


@spliced
def first_sums(
    pictures: Array, rows: Array, low: Any, learn: bool, x: Array, sums: Array, used: Array, a: Any, c: Any, w: Array,
    u: Array, s: Array, bias: Array, z: Array, seen: Array, listed: Array,
) -> None:  # fmt: skip
    """z = bias + (a*x + c) @ (w + u), where x become the pictures rows[low:]; s is the columns' sum of w + u."""
    for r in range(z.shape[0]):
        z[r][:] = ZERO
    add_pictures(pictures, rows, low, learn, x, sums, used, w, z, seen, listed)
    for r in range(z.shape[0]):
        row, total = z[r], sums[r]
        for j in range(row.shape[0]):
            row[j] = a * (row[j] + total * u[j]) + c * s[j] + bias[j]


@inline
def column_sums(w: Array, s: Array) -> None:
    s[:] = ZERO
    for i in range(w.shape[0]):
        for j in range(w.shape[1]):
            s[j] += w[i, j]


@inline
def fold(w: Array, u: Array) -> None:
    """w + u as w."""
    for i in range(w.shape[0]):
        for j in range(w.shape[1]):
            w[i, j] += u[j]
    u[:] = ZERO
