"""The kernel for a batch of one sample and plain SGD: an epoch's chunk of them in one compiled call.

Each row of weights is read once more on the way back, and changed in the same pass. A row of the first layer is then added to
the sums of the sample to come, too. No gradient of a weight is stored.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tune_mlp.engines.compiled import activations, losses
from tune_mlp.engines.compiled.arguments import BIAS, Chunk, Net, matrix, vector
from tune_mlp.engines.compiled.jit import aligned, inline, kernel, spliced
from tune_mlp.engines.compiled.layers import add_to_rows, column_sums, copy
from tune_mlp.engines.compiled.nonzero import list_nonzero, list_pixels, list_zero_in
from tune_mlp.engines.compiled.rows import add_rows, change_and_add_rows, dot_and_change_rows
from tune_mlp.engines.compiled.simd import prefetch
from tune_mlp.engines.compiled.sparse import picture_sum

Array = Any  # as numba sees np.ndarray; a kernel's types are numba's to infer

F = np.float32
ZERO = F(0)
AHEAD = 3
"""A sample is asked for while the one so many before it is trained: memory takes as long as that to answer."""


class ScratchOfOne(NamedTuple):
    """Room for the kernel to write on; a call finds nothing there of the one before."""

    samples: Array
    """float32 [2, features]: a sample and the one to come, in turns."""
    listed: Array
    """uint32 [2, features]: the places at which these two aren't zero."""
    newly_listed: Array
    """uint32 [features]: the places at which the sample to come isn't zero and the one before it is."""
    sums: Array
    """float32 [hidden units]: each hidden layer's sums, layer after layer."""
    outputs: Array
    """float32 [hidden units]: each hidden layer's outputs."""
    gradients: Array
    """float32 [hidden units]: the gradients of each hidden layer's outputs, and then of its sums."""
    units_listed: Array
    """uint32 [hidden units]: the units whose outputs aren't zero, layer after layer."""
    counts: Array
    """int64 [layers]: how many of a layer's inputs are listed."""
    last_gradients: Array
    """float32 [1, outputs]: the gradients of the last layer's sums."""
    first_sums: Array
    """float32 [first layer's outputs]: the sample's sums in the first layer."""
    shared: Array
    """float32 [first layer's outputs]: the part that all rows of a first layer share, see `sparse.py`."""
    columns: Array
    """float32 [first layer's outputs]: the sum of its weights' columns."""


def scratch_of_one(dims: Array) -> ScratchOfOne:
    """Make room for a net with these `Net.dims`."""
    features, units, outputs = int(dims[0]), int(dims[1:-1].sum()), int(dims[-1])
    return ScratchOfOne(
        samples=aligned(2 * features).reshape(2, features),
        listed=np.empty((2, features), np.uint32),
        newly_listed=np.empty(features, np.uint32),
        sums=aligned(units),
        outputs=aligned(units),
        gradients=aligned(units),
        units_listed=np.empty(units, np.uint32),
        counts=np.empty(len(dims) - 1, np.int64),
        last_gradients=aligned(outputs).reshape(1, outputs),
        first_sums=aligned(int(dims[1])),
        shared=aligned(int(dims[1])),
        columns=aligned(int(dims[1])),
    )


@inline
def read_sample(chunk: Chunk, r: Any, sample: Array, listed: Array) -> tuple[Any, Any]:
    """Write sample r as numbers, and list those that aren't zero; return a picture's sum, and how many are listed."""
    if not chunk.sparse:
        copy(chunk.inputs[r], sample)
        return ZERO, list_nonzero(sample, listed, False)
    picture = chunk.pictures[chunk.rows[r]]
    for i in range(picture.shape[0]):
        sample[i] = picture[i]
    return picture_sum(picture), list_pixels(picture, listed)


@kernel
def train_batches_of_one(net: Net, chunk: Chunk, lr: Any, scratch: ScratchOfOne) -> Any:
    """Train a chunk's samples one by one by plain SGD; return how many there were."""
    n, layers = chunk.outputs.shape[0], net.dims.shape[0] - 1
    w0, features = matrix(net.weights, net, 0), net.dims[0]
    scratch.first_sums[:] = ZERO
    scratch.shared[:] = ZERO
    scratch.columns[:] = ZERO
    if chunk.sparse:
        column_sums(w0, scratch.columns)
    total, count = read_sample(chunk, 0, scratch.samples[0], scratch.listed[0])
    add_rows(scratch.samples[0], scratch.listed[0][:count], w0, scratch.first_sums)
    for r in range(n):
        if chunk.sparse and r + AHEAD < n:
            prefetch(chunk.pictures[chunk.rows[r + AHEAD]])
        forward(net, chunk, scratch, r, total)
        chunk.losses[r] = losses.weighted_gradient(
            net.loss,
            chunk.outputs[r : r + 1],
            chunk.classes[r : r + 1],
            chunk.targets[r : r + 1],
            chunk.class_weights,
            scratch.last_gradients,
        )
        d = backward(net, scratch, lr, layers)
        share = lr * (chunk.scale * total + chunk.shift * F(features))
        for j in range(d.shape[0]):
            scratch.shared[j] -= lr * chunk.shift * d[j]
            scratch.columns[j] -= share * d[j]
        now, then = r % 2, (r + 1) % 2
        sample, coming, coming_listed = scratch.samples[now], scratch.samples[then], scratch.listed[then]
        coming_count = 0
        if r + 1 < n:
            total, coming_count = read_sample(chunk, r + 1, coming, coming_listed)
        else:
            coming[:] = ZERO
        scratch.first_sums[:] = ZERO
        factor = -lr * chunk.scale
        change_and_add_rows(sample, scratch.listed[now][:count], w0, d, coming, scratch.first_sums, factor)
        new_count = list_zero_in(sample, coming_listed[:coming_count], scratch.newly_listed)
        add_rows(coming, scratch.newly_listed[:new_count], w0, scratch.first_sums)
        count = coming_count
    add_to_rows(scratch.shared, w0)
    return n


@spliced
def forward(net: Net, chunk: Chunk, scratch: ScratchOfOne, r: Any, total: Any) -> None:
    """Compute sample r's outputs, where the first layer's sums of its pixels are there already."""
    layers = net.dims.shape[0] - 1
    listed_zeros = net.activation != activations.RELU  # one of its units that is 0 has no gradient either
    for layer in range(layers):
        last = layer == layers - 1
        begin, end = net.units_before[layer], net.units_before[layer] + net.dims[layer + 1]
        z = chunk.outputs[r] if last else scratch.sums[begin:end]
        bias = vector(net.weights, net, layer, BIAS)
        if layer == 0:
            for j in range(z.shape[0]):
                picture_part = scratch.first_sums[j] + total * scratch.shared[j]
                z[j] = chunk.scale * picture_part + chunk.shift * scratch.columns[j] + bias[j]
        else:
            above, below = net.units_before[layer - 1], net.units_before[layer]
            h, listed = scratch.outputs[above:below], scratch.units_listed[above:below]
            copy(bias, z)
            count = list_nonzero(h, listed, listed_zeros)
            add_rows(h, listed[:count], matrix(net.weights, net, layer), z)
            scratch.counts[layer] = count
        if not last:
            activations.forward(net.activation, z, scratch.outputs[begin:end])


@spliced
def backward(net: Net, scratch: ScratchOfOne, lr: Any, layers: Any) -> Array:
    """Change all weights but the first layer's matrix; return the gradients of the first layer's sums."""
    d = scratch.last_gradients[0]
    for back in range(layers):
        layer = layers - 1 - back
        bias = vector(net.weights, net, layer, BIAS)
        for j in range(d.shape[0]):
            bias[j] -= lr * d[j]
        if layer > 0:
            begin, end = net.units_before[layer - 1], net.units_before[layer]
            d_above, h = scratch.gradients[begin:end], scratch.outputs[begin:end]
            d_above[:] = ZERO
            listed = scratch.units_listed[begin : begin + scratch.counts[layer]]
            dot_and_change_rows(h, listed, matrix(net.weights, net, layer), d, d_above, -lr)
            activations.backward(net.activation, scratch.sums[begin:end], h, d_above)
            d = d_above
    return d
