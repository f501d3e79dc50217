"""The kernel for all batches: a chunk of them trained, or only evaluated, in one compiled call."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tune_mlp.engines.compiled import losses, norm_act_dropout, optimisers
from tune_mlp.engines.compiled.arguments import (
    BIAS,
    SCALE,
    SHIFT,
    Chunk,
    HiddenLayer,
    Net,
    Optimiser,
    layer_of,
    matrix,
    vector,
)
from tune_mlp.engines.compiled.jit import aligned, inline, kernel, spliced
from tune_mlp.engines.compiled.layers import add_to_rows, back_through, column_sums, layer_sums, outer
from tune_mlp.engines.compiled.sparse import FEW_PIXELS, Pixels, add_pictures, add_pictures_outer

Array = Any  # as numba sees np.ndarray; a kernel's types are numba's to infer

F = np.float32
ZERO, ONE = F(0), F(1)


class Scratch(NamedTuple):
    """Room for a kernel to write on, for batches of up to `size` samples; a call finds nothing there of the one before."""

    sums: Array
    """float32 [size * hidden units]: each hidden layer's sums, layer after layer."""
    outputs: Array
    """float32 [size * hidden units]: each hidden layer's outputs."""
    gradients: Array
    """float32 [size * hidden units]: the gradients of each hidden layer's outputs, and then of its sums."""
    last_gradients: Array
    """float32 [size * outputs]: the gradients of the last layer's sums."""
    centres: Array
    """float32 [hidden units]: what batch norm takes away."""
    inverses: Array
    """float32 [hidden units]: 1 over what batch norm divides by."""
    shared: Array
    """float32 [first layer's outputs]: the part that all rows of a first layer over pictures share, see `sparse.py`."""
    columns: Array
    """float32 [first layer's outputs]: the sum of its weights' columns."""
    transposed: Array
    """float32 [2 * size * widest]: two layers' gradients as [units, size]."""
    near: Array
    """float32 [2 * NEAR]: what stays in the first cache."""
    pixels: Array
    """float32 [size * features]: pictures as numbers."""
    pixel_sums: Array
    """float32 [size]: the sum of each picture's pixels."""
    used: Array
    """uint8 [size * groups]: which groups of pixels each picture has any of."""
    seen: Array
    """uint8 [features]: which pixels any of a few pictures has."""
    listed: Array
    """uint32: a list of places, as long as the batch and each layer are."""
    every: Array
    """uint32: 0, 1, 2, ..., as many as `listed` has room for."""


def scratch(size: int, dims: Array, sparse: bool) -> Scratch:
    """Make room for batches of up to `size` samples of a net with these `Net.dims`."""
    units, widest, features = int(dims[1:-1].sum()), int(dims[1:].max()), int(dims[0]) if sparse else 0
    longest = max(size, int(dims.max()))
    return Scratch(
        sums=aligned(size * units),
        outputs=aligned(size * units),
        gradients=aligned(size * units),
        last_gradients=aligned(size * int(dims[-1])),
        centres=aligned(units),
        inverses=aligned(units),
        shared=aligned(int(dims[1])),
        columns=aligned(int(dims[1])),
        transposed=aligned(2 * size * widest),
        near=aligned(2 * max(norm_act_dropout.NEAR, widest)),
        pixels=aligned(size * features),
        pixel_sums=aligned(size),
        used=np.empty(size * -(-features // FEW_PIXELS), np.uint8),
        seen=np.empty(features, np.uint8),
        listed=np.empty(longest, np.uint32),
        every=np.arange(longest, dtype=np.uint32),
    )


@kernel
def run_batches(learn: bool, net: Net, chunk: Chunk, optimiser: Optimiser, scratch: Scratch) -> Any:
    """Train the batches of a chunk, or only evaluate them unless `learn`; return how many there were."""
    n = chunk.outputs.shape[0]
    first_matrix = matrix(net.weights, net, 0)
    if chunk.sparse:
        scratch.shared[:] = ZERO
        column_sums(first_matrix, scratch.columns)
    low = 0
    batch = 0
    while low < n:
        high = min(low + chunk.size, n)
        forward(learn, net, chunk, scratch, low, high)
        d = last_gradients(net, scratch, high - low)
        chunk.losses[batch] = losses.weighted_gradient(
            net.loss,
            chunk.outputs[low:high],
            chunk.classes[low:high],
            chunk.targets[low:high],
            chunk.class_weights,
            d,
        )
        if learn:
            backward(net, chunk, optimiser, scratch, low, high, optimiser.steps + batch + 1)
            if chunk.sparse and not optimiser.plain and chunk.shift != ZERO:
                column_sums(first_matrix, scratch.columns)
        low = high
        batch += 1
    if chunk.sparse and learn and optimiser.plain:
        add_to_rows(scratch.shared, first_matrix)
    return batch


@spliced
def last_gradients(net: Net, scratch: Scratch, b: Any) -> Array:
    """Return the room for the gradients of a batch's outputs, [b, outputs]."""
    outputs = net.dims[net.dims.shape[0] - 1]
    return scratch.last_gradients[: b * outputs].reshape(b, outputs)


@spliced
def hidden_layer(net: Net, chunk: Chunk, scratch: Scratch, layer: Any, low: Any, high: Any) -> HiddenLayer:
    """Return a hidden layer of the batch of samples from `low` to `high`."""
    b, begin, end = high - low, net.units_before[layer], net.units_before[layer + 1]
    return HiddenLayer(
        layer_of(scratch.sums, net, layer, chunk.size, b),
        layer_of(scratch.outputs, net, layer, chunk.size, b),
        layer_of(scratch.gradients, net, layer, chunk.size, b),
        vector(net.weights, net, layer, SCALE),
        vector(net.weights, net, layer, SHIFT),
        scratch.centres[begin:end],
        scratch.inverses[begin:end],
        chunk.masks[low:high],
        begin,
    )


@spliced
def pixels_of(scratch: Scratch, b: Any, features: Any) -> Pixels:
    """Return the room for a batch of b pictures."""
    groups = (features + FEW_PIXELS - 1) // FEW_PIXELS
    return Pixels(
        scratch.pixels[: b * features].reshape(b, features),
        scratch.pixel_sums[:b],
        scratch.used[: b * groups].reshape(b, groups),
    )


@spliced
def forward(learn: bool, net: Net, chunk: Chunk, scratch: Scratch, low: Any, high: Any) -> None:
    """Compute the outputs of the samples from `low` to `high`."""
    b, layers = high - low, net.dims.shape[0] - 1
    for layer in range(layers):
        last = layer == layers - 1
        z = chunk.outputs[low:high] if last else layer_of(scratch.sums, net, layer, chunk.size, b)
        w, bias = matrix(net.weights, net, layer), vector(net.weights, net, layer, BIAS)
        if layer == 0 and chunk.sparse:
            picture_sums(chunk, scratch, low, learn, w, bias, z)
        elif layer == 0:
            layer_sums(chunk.inputs[low:high], w, bias, z, scratch.every)
        else:
            layer_sums(layer_of(scratch.outputs, net, layer - 1, chunk.size, b), w, bias, z, scratch.every)
        if last:
            break
        its = hidden_layer(net, chunk, scratch, layer, low, high)
        if net.batch_norm:
            begin, end = net.units_before[layer], net.units_before[layer + 1]
            means, variances = net.means[begin:end], net.variances[begin:end]
            if learn and b > 1:
                norm_act_dropout.use_batch_moments(z, means, variances, its.centre, its.inverse)
            else:
                norm_act_dropout.use_running_moments(means, variances, its.centre, its.inverse)
        norm_act_dropout.forward(net.activation, net.batch_norm, chunk.keep, its, scratch.near)


@spliced
def picture_sums(chunk: Chunk, scratch: Scratch, low: Any, learn: bool, w: Array, bias: Array, z: Array) -> None:
    """Set z to the first layer's sums of the pictures rows[low:], see `sparse.py`."""
    for r in range(z.shape[0]):
        z[r][:] = ZERO
    pixels = pixels_of(scratch, z.shape[0], w.shape[0])
    add_pictures(chunk, low, learn, pixels, w, z, scratch.seen, scratch.listed)
    scale_picture_sums(chunk.scale, chunk.shift, pixels.sums, scratch.shared, scratch.columns, bias, z)


@inline
def scale_picture_sums(a: Any, c: Any, sums: Array, shared: Array, columns: Array, bias: Array, z: Array) -> None:
    """Turn z = x @ v into (a*x + c) @ (v + shared) + bias, where `sums` are x's and `columns` are of v + shared."""
    for r in range(z.shape[0]):
        row, total = z[r], sums[r]
        for j in range(row.shape[0]):
            row[j] = a * (row[j] + total * shared[j]) + c * columns[j] + bias[j]


@spliced
def backward(net: Net, chunk: Chunk, optimiser: Optimiser, scratch: Scratch, low: Any, high: Any, step: Any) -> None:
    """Change all weights by the gradients of the samples from `low` to `high`, from the last layer to the first.

    Each layer is changed as soon as it has been passed, while it is near; d are the gradients of the layer's sums.
    """
    b, layers = high - low, net.dims.shape[0] - 1
    d = last_gradients(net, scratch, b)
    end = net.weight_count
    for back in range(layers):
        layer = layers - 1 - back
        w, g_bias = matrix(net.weights, net, layer), vector(optimiser.gradients, net, layer, BIAS)
        if layer == 0 or layer == layers - 1 or not net.batch_norm:  # the first layer's serves its weights, too
            column_sums(d, g_bias)
        above = max(layer - 1, 0)
        if layer > 0:
            d_above = layer_of(scratch.gradients, net, above, chunk.size, b)
            back_through(d, w, d_above, scratch.transposed, scratch.every)
        begin = net.places[layer, 0]
        change_layer(net, chunk, optimiser, scratch, layer, low, high, d, end, step)
        end = begin
        if layer > 0:
            norm_act_dropout.backward(
                net.activation,
                net.batch_norm,
                chunk.keep,
                hidden_layer(net, chunk, scratch, above, low, high),
                scratch.near,
                vector(optimiser.gradients, net, above, SCALE),
                vector(optimiser.gradients, net, above, SHIFT),
            )
            d = d_above


@spliced
def change_layer(
    net: Net, chunk: Chunk, optimiser: Optimiser, scratch: Scratch, layer: Any, low: Any, high: Any, d: Array, end: Any,
    step: Any,
) -> None:  # fmt: skip
    """Change a layer's weights, which end at `end`, by the gradients d of its sums; those of its bias are there already."""
    b, inputs, units = high - low, net.dims[layer], net.dims[layer + 1]
    begin = net.places[layer, 0]
    w = matrix(net.weights, net, layer)
    lr = F(optimiser.settings[optimisers.LR])
    # A step of plain SGD is added to the weights at once; else the gradient is written down for the optimiser.
    target = w if optimiser.plain else matrix(optimiser.gradients, net, layer)
    factor, add = (-lr, True) if optimiser.plain else (ONE, False)
    if layer > 0:
        outer(layer_of(scratch.outputs, net, max(layer - 1, 0), chunk.size, b), d, factor, add, target, scratch.every)
    elif not chunk.sparse:
        outer(chunk.inputs[low:high], d, factor, add, target, scratch.every)
    else:
        pixels = pixels_of(scratch, b, inputs)
        g_bias = vector(optimiser.gradients, net, layer, BIAS)
        if optimiser.plain:
            change_shared(chunk, scratch, lr, inputs, pixels.sums, d, g_bias)
        else:
            for i in range(inputs):
                for j in range(units):
                    target[i, j] = chunk.shift * g_bias[j]
        add_pictures_outer(pixels, factor * chunk.scale, d, target, scratch.listed)
    if optimiser.plain:
        for i in range(begin + inputs * units, end):
            net.weights[i] -= lr * optimiser.gradients[i]
        return
    l1 = F(optimiser.settings[optimisers.L1])
    if l1 > ZERO:
        for i in range(begin, begin + inputs * units):
            weight = net.weights[i]
            optimiser.gradients[i] += l1 * (ONE if weight > ZERO else (-ONE if weight < ZERO else weight))
    optimisers.update(optimiser, net.weights, begin, end, step)


@inline
def change_shared(chunk: Chunk, scratch: Scratch, lr: Any, features: Any, sums: Array, d: Array, g_bias: Array) -> None:
    """Take a plain step with the part that all rows of a first layer over pictures share, and its columns' sums."""
    for r in range(d.shape[0]):
        share = lr * (chunk.scale * sums[r] + chunk.shift * F(features))
        for j in range(d.shape[1]):
            scratch.columns[j] -= share * d[r, j]
    for j in range(d.shape[1]):
        scratch.shared[j] -= lr * chunk.shift * g_bias[j]
