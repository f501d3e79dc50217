"""The kernel for a batch of one sample and plain SGD: an epoch's chunk of them in one compiled call."""

from __future__ import annotations

from typing import Any

import numpy as np

from tune_mlp.engines.compiled import activations, losses
from tune_mlp.engines.compiled.jit import inline, kernel
from tune_mlp.engines.compiled.layers import column_sums, copy, fold, matrix, vector
from tune_mlp.engines.compiled.sparse import add_four, add_one, add_outer, add_rows

Array = Any  # as numba sees np.ndarray; a kernel's types are numba's to infer

F = np.float32
ZERO = F(0)


@inline
def list_rows(values: Array, listed: Array, skips: bool) -> Any:
    """List the values' places, without those of zeros if `skips`; returns how many there are."""
    count = 0
    for i in range(values.shape[0]):
        listed[count] = i
        count += 1 if not skips else values[i] != ZERO  # no branch: it couldn't be foretold
    return count


@inline
def add_listed(listed: Array, values: Array, w: Array, z: Array) -> None:
    """z += sum of value * row of w over the listed."""
    n = listed.shape[0]
    whole = n - n % 4
    for k in range(0, whole, 4):
        i0, i1, i2, i3 = listed[k], listed[k + 1], listed[k + 2], listed[k + 3]
        add_four(w[i0], w[i1], w[i2], w[i3], values[i0], values[i1], values[i2], values[i3], z)
    for k in range(whole, n):
        add_one(w[listed[k]], values[listed[k]], z)


@inline
def change_listed(listed: Array, values: Array, lr: Any, d: Array, w: Array, d_above: Array) -> None:
    """For the listed rows of w: d_above = w @ d, and then w -= lr * value * d, each row read once."""
    n = listed.shape[0]
    whole = n - n % 2
    for k in range(0, whole, 2):
        i0, i1 = listed[k], listed[k + 1]
        d_above[i0], d_above[i1] = change_two(w[i0], w[i1], lr * values[i0], lr * values[i1], d)
    for k in range(whole, n):
        d_above[listed[k]] = change_one(w[listed[k]], lr * values[listed[k]], d)


@inline
def change_one(row: Array, factor: Any, d: Array) -> Any:
    """row -= factor * d; returns what row @ d was before."""
    dot = ZERO
    for j in range(d.shape[0]):
        dot += row[j] * d[j]
        row[j] -= factor * d[j]
    return dot


@inline
def change_two(r0: Array, r1: Array, f0: Any, f1: Any, d: Array) -> Any:
    """As `change_one`, two rows at a time."""
    dot0, dot1 = ZERO, ZERO
    for j in range(d.shape[0]):
        dot0 += r0[j] * d[j]
        dot1 += r1[j] * d[j]
        r0[j] -= f0 * d[j]
        r1[j] -= f1 * d[j]
    return dot0, dot1


@kernel
def train_singles(
    sparse: bool, rows: Array, start: Array, pixels: Array, values: Array, sums: Array, a: Any, c: Any, x: Array,
    classes: Array, targets: Array, dims: Array, places: Array, hidden: Array, p: Array,
    activation: Any, loss: Any, lr: Any, work: Array, outputs: Array, batch_losses: Array,
) -> Any:  # fmt: skip
    """Train n batches of one sample by plain SGD: each row of weights is read once more on the way back, and changed in
    the same pass. No gradient is stored."""
    n = outputs.shape[0]
    layers = dims.shape[0] - 1
    units = hidden[layers - 1]
    zs, hs, ds = work[:units], work[units : 2 * units], work[2 * units : 3 * units]
    d_out = work[3 * units : 3 * units + dims[layers]].reshape(1, dims[layers])
    at = 3 * units + dims[layers]
    u = work[at : at + dims[1]]
    s = work[at + dims[1] : at + 2 * dims[1]]
    w0 = matrix(p, places, dims, 0)
    skips = activation == activations.RELU  # a unit that is 0 has no gradient either
    listed, counts = np.empty(units, np.uint32), np.empty(layers, np.int64)
    features = np.empty(dims[0], np.uint32)
    u[:] = ZERO
    if sparse:
        column_sums(w0, s)
    total = ZERO
    for r in range(n):
        for layer in range(layers):
            width = dims[layer + 1]
            last = layer == layers - 1
            z = outputs[r] if last else zs[hidden[layer] : hidden[layer] + width]
            bias = vector(p, places, dims, layer, 1)
            if layer == 0 and sparse:
                z[:] = ZERO
                add_rows(start[rows[r]], start[rows[r] + 1], pixels, values, w0, z)
                total = sums[rows[r]]
                for j in range(width):
                    z[j] = a * (z[j] + total * u[j]) + c * s[j] + bias[j]
            else:
                above = x[r] if layer == 0 else hs[hidden[layer - 1] : hidden[layer - 1] + dims[layer]]
                w = matrix(p, places, dims, layer)
                copy(bias, z)
                begin = hidden[layer - 1] if layer > 0 else 0
                used = listed[begin : begin + dims[layer]] if layer > 0 else features
                count = list_rows(above, used, skips or layer == 0)
                add_listed(used[:count], above, w, z)
                if layer > 0:
                    counts[layer - 1] = count
            if not last:
                activations.forward(activation, z, hs[hidden[layer] : hidden[layer] + width])
        batch_losses[r] = losses.gradient(loss, outputs[r : r + 1], classes[r : r + 1], targets[r : r + 1], d_out)
        d = d_out[0]
        for back in range(layers):
            layer = layers - 1 - back
            width = dims[layer + 1]
            w = matrix(p, places, dims, layer)
            bias = vector(p, places, dims, layer, 1)
            for j in range(width):
                bias[j] -= lr * d[j]
            if layer == 0:
                if sparse:
                    add_outer(start[rows[r]], start[rows[r] + 1], pixels, values, -lr * a, d, w0)
                    share = lr * (a * total + c * F(dims[0]))
                    for j in range(width):
                        u[j] -= lr * c * d[j]
                        s[j] -= share * d[j]
                else:
                    for i in range(dims[0]):
                        factor = lr * x[r, i]
                        if factor != ZERO:
                            for j in range(width):
                                w0[i, j] -= factor * d[j]
                break
            begin = hidden[layer - 1]
            above = hs[begin : begin + dims[layer]]
            d_above = ds[begin : begin + dims[layer]]
            d_above[:] = ZERO
            change_listed(listed[begin : begin + counts[layer - 1]], above, lr, d, w, d_above)
            activations.backward(activation, zs[begin : begin + dims[layer]], above, d_above)
            d = d_above
    fold(w0, u)
    return n
