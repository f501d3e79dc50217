"""The kernel for a batch of one sample and plain SGD: an epoch's chunk of them in one compiled call."""

from __future__ import annotations

from typing import Any

import numpy as np

from tune_mlp.engines.compiled import activations, losses
from tune_mlp.engines.compiled.jit import aligned, inline, kernel
from tune_mlp.engines.compiled.layers import column_sums, copy, fold, matrix, vector
from tune_mlp.engines.compiled.nonzero import SLACK, list_newly_nonzero, list_nonzero
from tune_mlp.engines.compiled.rows import add_rows, change_and_add_rows, dot_and_change_rows
from tune_mlp.engines.compiled.simd import prefetch

Array = Any  # as numba sees np.ndarray; a kernel's types are numba's to infer

F = np.float32
ZERO = F(0)
AHEAD = 3
"""A sample is asked for while the one so many before it is trained: memory takes as long as that to answer."""


def room(dims: Array) -> tuple[Array, Array]:
    """What the kernel writes on: work, two samples as numbers, 3 arrays of all hidden units (sums, outputs, gradients),
    one of the outputs, the first layer's sums, u and s; and lists, of how many are listed of each layer's inputs, and of
    these."""
    units, features = int(dims[1:-1].sum()), int(dims[0])
    work = 2 * (features + SLACK) + 3 * units + SLACK + int(dims[-1]) + 3 * int(dims[1])
    return aligned(work), np.empty(len(dims) + features + units + 2 * SLACK, np.uint32)


@inline
def read(sparse: bool, pictures: Array, rows: Array, x: Array, r: Any, sample: Array) -> Any:
    """Sample r as numbers; returns a picture's sum."""
    total = np.int32(0)
    if sparse:
        picture = pictures[rows[r]]
        for i in range(picture.shape[0]):
            sample[i] = picture[i]
        for i in range(picture.shape[0]):
            total = np.int32(total + np.int32(picture[i]))
    else:
        copy(x[r], sample)
    return F(total)


@kernel
def train_batches_of_one(
    sparse: bool, rows: Array, pictures: Array, a: Any, c: Any, x: Array, classes: Array, targets: Array,
    dims: Array, places: Array, hidden: Array, p: Array, activation: Any, loss: Any, lr: Any,
    work: Array, lists: Array, outputs: Array, batch_losses: Array,
) -> Any:  # fmt: skip
    """Train n batches of one sample by plain SGD: each row of weights is read once more on the way back, and changed in
    the same pass. A row of the first layer is then in the sums of the sample to come, too. No gradient is stored.

    sparse: samples are `rows` of the pictures; else the rows of x. work and lists: room to write on, as much as `room` says.
    """
    n = outputs.shape[0]
    layers = dims.shape[0] - 1
    units, features, wide = hidden[layers - 1], dims[0], dims[0] + SLACK
    even, odd = work[:features], work[wide : wide + features]
    at = 2 * wide
    zs, hs, ds = work[at : at + units], work[at + units : at + 2 * units], work[at + 2 * units : at + 3 * units]
    at += 3 * units + SLACK
    d_out = work[at : at + dims[layers]].reshape(1, dims[layers])
    at += dims[layers]
    first, u, s = work[at : at + dims[1]], work[at + dims[1] : at + 2 * dims[1]], work[at + 2 * dims[1] :]
    counts, listed_inputs, listed = lists[:layers], lists[layers : layers + wide], lists[layers + wide :]
    w0 = matrix(p, places, dims, 0)
    zeros = activation != activations.RELU  # one of its units that is 0 has no gradient either
    first[:] = ZERO
    u[:] = ZERO
    s[:] = ZERO
    if sparse:
        column_sums(w0, s)
    total = read(sparse, pictures, rows, x, 0, even)
    count = list_nonzero(even, listed_inputs, False)
    add_rows(even, listed_inputs[:count], w0, first)
    for r in range(n):
        if sparse and r + AHEAD < n:
            prefetch(pictures[rows[r + AHEAD]], 0, features)
        sample, coming = (even, odd) if r % 2 == 0 else (odd, even)
        for layer in range(layers):
            width = dims[layer + 1]
            last = layer == layers - 1
            z = outputs[r] if last else zs[hidden[layer] : hidden[layer] + width]
            bias = vector(p, places, dims, layer, 1)
            if layer == 0:
                for j in range(width):
                    z[j] = a * (first[j] + total * u[j]) + c * s[j] + bias[j]
            else:
                copy(bias, z)
                begin, end = hidden[layer - 1], hidden[layer - 1] + dims[layer]
                count = list_nonzero(hs[begin:end], listed[begin:], zeros)
                add_rows(hs[begin:end], listed[begin : begin + count], matrix(p, places, dims, layer), z)
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
                its_listed = listed[begin : begin + counts[layer]]
                dot_and_change_rows(hs[begin:end], its_listed, matrix(p, places, dims, layer), d, d_above, -lr)
                activations.backward(activation, zs[begin:end], hs[begin:end], d_above)
                d = d_above
                continue
            share = lr * (a * total + c * F(features))
            for j in range(width):
                u[j] -= lr * c * d[j]
                s[j] -= share * d[j]
            if r + 1 < n:
                total = read(sparse, pictures, rows, x, r + 1, coming)
            else:
                coming[:] = ZERO
            first[:] = ZERO
            count = list_nonzero(sample, listed_inputs, False)
            change_and_add_rows(sample, listed_inputs[:count], w0, d, coming, first, -lr * a)
            count = list_newly_nonzero(coming, sample, listed_inputs)
            add_rows(coming, listed_inputs[:count], w0, first)
    fold(w0, u)
    return n
