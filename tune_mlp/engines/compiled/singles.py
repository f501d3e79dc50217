"""The kernel for a batch of one sample and plain SGD: an epoch's chunk of them in one compiled call."""

from __future__ import annotations

from typing import Any

import numpy as np

from tune_mlp.engines.compiled import activations, losses
from tune_mlp.engines.compiled.jit import kernel
from tune_mlp.engines.compiled.layers import column_sums, fold, matrix, vector
from tune_mlp.engines.compiled.sparse import add_outer, add_rows

Array = Any  # as numba sees np.ndarray; a kernel's types are numba's to infer

F = np.float32
ZERO = F(0)


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
                z[:] = bias
                for i in range(dims[layer]):
                    value = above[i]
                    if value != ZERO:
                        for j in range(width):
                            z[j] += value * w[i, j]
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
            for i in range(dims[layer]):
                if skips and above[i] == ZERO:
                    d_above[i] = ZERO
                    continue
                factor = lr * above[i]
                dot = ZERO
                for j in range(width):
                    dot += w[i, j] * d[j]
                    w[i, j] -= factor * d[j]
                d_above[i] = dot
            activations.backward(activation, zs[begin : begin + dims[layer]], above, d_above)
            d = d_above
    fold(w0, u)
    return n
