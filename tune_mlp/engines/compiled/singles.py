"""The kernel for a batch of one sample and plain SGD: an epoch's chunk of them in one compiled call."""

from __future__ import annotations

from typing import Any

import numpy as np

from tune_mlp.engines.compiled import activations, losses
from tune_mlp.engines.compiled.jit import aligned, inline, kernel
from tune_mlp.engines.compiled.layers import column_sums, copy, fold, matrix, vector
from tune_mlp.engines.compiled.rows import add_rows, change_rows, dot_and_change_rows
from tune_mlp.engines.compiled.vectors import ask_for

Array = Any  # as numba sees np.ndarray; a kernel's types are numba's to infer

F = np.float32
ZERO = F(0)


@inline
def list_rows(values: Array, listed: Array, kept: Array, skips: bool) -> Any:
    """List the values' places, and the values, without the zeros if `skips`; returns how many there are."""
    count = 0
    for i in range(values.shape[0]):
        listed[count] = i
        kept[count] = values[i]
        count += 1 if not skips else values[i] != ZERO  # no branch: it couldn't be foretold
    return count


def room(dims: Array) -> tuple[Array, Array]:
    """What the kernel writes on: work, 3 arrays of all hidden units (sums, outputs, gradients), one of the outputs, the
    first layer's u and s, and the inputs and outputs that aren't zero; lists, of these, and how many they are."""
    units, features = int(dims[1:-1].sum()), int(dims[0])
    work = 4 * units + int(dims[-1]) + 2 * int(dims[1]) + features
    return aligned(work), np.empty(features + units + len(dims), np.uint32)


@kernel
def train_singles(
    sparse: bool, rows: Array, start: Array, pixels: Array, values: Array, sums: Array, a: Any, c: Any, x: Array,
    classes: Array, targets: Array, dims: Array, places: Array, hidden: Array, p: Array,
    activation: Any, loss: Any, lr: Any, work: Array, lists: Array, outputs: Array, batch_losses: Array,
) -> Any:  # fmt: skip
    """Train n batches of one sample by plain SGD: each row of weights is read once more on the way back, and changed in
    the same pass. No gradient is stored. work and lists: room to write on, as much as `room` says."""
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
    features, listed, counts = lists[: dims[0]], lists[dims[0] : dims[0] + units], lists[dims[0] + units :]
    at += 2 * dims[1]
    inputs, kept = work[at : at + dims[0]], work[at + dims[0] : at + dims[0] + units]
    u[:] = ZERO
    if sparse:
        column_sums(w0, s)
    total = ZERO
    for r in range(n):
        if sparse and r + 2 < n:
            soon = rows[r + 2]
            ask_for(start, soon, soon + 2)
            ask_for(sums, soon, soon + 1)
            soon = rows[r + 1]
            ask_for(pixels, start[soon], start[soon + 1])
            ask_for(values, start[soon], start[soon + 1])
        for layer in range(layers):
            width = dims[layer + 1]
            last = layer == layers - 1
            z = outputs[r] if last else zs[hidden[layer] : hidden[layer] + width]
            bias = vector(p, places, dims, layer, 1)
            if layer == 0 and sparse:
                low, high = start[rows[r]], start[rows[r] + 1]
                its_values = values[low:high]
                for k in range(its_values.shape[0]):
                    inputs[k] = its_values[k]
                total = sums[rows[r]]
                z[:] = ZERO
                add_rows(inputs[: high - low], pixels[low:high], w0, z)
                for j in range(width):
                    z[j] = a * (z[j] + total * u[j]) + c * s[j] + bias[j]
            elif layer == 0:
                copy(bias, z)
                counts[0] = list_rows(x[r], features, inputs, True)
                add_rows(inputs[: counts[0]], features[: counts[0]], w0, z)
            else:
                copy(bias, z)
                begin = hidden[layer - 1]
                count = list_rows(hs[begin : begin + dims[layer]], listed[begin:], kept[begin:], skips)
                add_rows(kept[begin : begin + count], listed[begin : begin + count], matrix(p, places, dims, layer), z)
                counts[layer] = count
            if not last:
                activations.forward(activation, z, hs[hidden[layer] : hidden[layer] + width])
        batch_losses[r] = losses.gradient(loss, outputs[r : r + 1], classes[r : r + 1], targets[r : r + 1], d_out)
        d = d_out[0]
        for back in range(layers):
            layer = layers - 1 - back
            width = dims[layer + 1]
            bias = vector(p, places, dims, layer, 1)
            for j in range(width):
                bias[j] -= lr * d[j]
            if layer > 0:
                begin, end = hidden[layer - 1], hidden[layer - 1] + dims[layer]
                d_above = ds[begin:end]
                d_above[:] = ZERO
                its_kept, its_listed = kept[begin : begin + counts[layer]], listed[begin : begin + counts[layer]]
                dot_and_change_rows(its_kept, its_listed, matrix(p, places, dims, layer), d, -lr, d_above)
                activations.backward(activation, zs[begin:end], hs[begin:end], d_above)
                d = d_above
            elif sparse:
                low, high = start[rows[r]], start[rows[r] + 1]
                change_rows(inputs[: high - low], pixels[low:high], w0, d, -lr * a)
                share = lr * (a * total + c * F(dims[0]))
                for j in range(width):
                    u[j] -= lr * c * d[j]
                    s[j] -= share * d[j]
            else:
                change_rows(inputs[: counts[0]], features[: counts[0]], w0, d, -lr)
    fold(w0, u)
    return n
