"""The kernel for all batches: a chunk of them trained, or only evaluated, in one compiled call."""

from __future__ import annotations

from typing import Any

import numpy as np

from tune_mlp.engines.compiled import losses, norm_act_dropout, optimisers
from tune_mlp.engines.compiled.jit import aligned, inline, kernel
from tune_mlp.engines.compiled.layers import (
    back_through,
    column_sums,
    first_sums,
    fold,
    layer_sums,
    matrix,
    outer,
    vector,
)
from tune_mlp.engines.compiled.nonzero import SLACK
from tune_mlp.engines.compiled.sparse import FEW_PIXELS, add_pictures_outer

Array = Any  # as numba sees np.ndarray; a kernel's types are numba's to infer

F = np.float32
ZERO, ONE = F(0), F(1)


def room(size: int, dims: Array, sparse: bool) -> tuple[Array, Array, Array]:
    """What a kernel writes on, for batches of `size`: work, 3 arrays of [size, hidden units] (sums, outputs, gradients), one
    of [size, outputs], batch norm's centre and 1/deviation of each hidden unit, the first layer's u and s, room for two
    layers' gradients, [units, size], for pictures as numbers, and their sums, and for what stays near; two lists; and
    which few pixels pictures have any of, and which each few pictures have."""
    units, widest, features = int(dims[1:-1].sum()), int(dims[1:].max()), int(dims[0]) if sparse else 0
    work = size * (3 * units + int(dims[-1]) + 2 * widest + features + 1) + 2 * units + 2 * int(dims[1])
    work += 2 * max(norm_act_dropout.NEAR, widest)
    lists = 2 * (max(size, int(dims.max())) + SLACK)
    seen = size * -(-features // FEW_PIXELS) + features + SLACK
    return aligned(work), np.empty(lists, np.uint32), np.empty(seen, np.uint8)


@inline
def widest_of(dims: Array) -> Any:
    widest = dims[1]
    for layer in range(2, dims.shape[0]):
        widest = max(widest, dims[layer])
    return widest


@kernel
def run_batches(
    learn: bool, sparse: bool, rows: Array, pictures: Array, a: Any, c: Any, x: Array,
    classes: Array, targets: Array, size: Any,
    dims: Array, places: Array, hidden: Array, p: Array, mean: Array, var: Array,
    activation: Any, loss: Any, norm: bool, masks: Array, keep: Any,
    optimiser: Any, numbers: Array, plain: bool, step: Any, m: Array, v: Array, g: Array,
    count: Any, work: Array, lists: Array, used: Array, outputs: Array, batch_losses: Array,
) -> Any:  # fmt: skip
    """Train the batches of one chunk, n samples in batches of `size`, or only evaluate them. Returns how many there were.

    sparse: samples are `rows` of the pictures; else the rows of x. hidden: where each hidden layer begins among all hidden
    units. masks [n, hidden units]: what dropout keeps, empty without dropout. count: how many of p are weights; behind
    them stand zeros, for the biases that layers under batch norm don't have. work, lists and used: room to write on, as
    much as `room` says.
    """
    n = outputs.shape[0]
    layers = dims.shape[0] - 1
    units = hidden[layers - 1]
    longest = lists.shape[0] // 2
    every, listed = lists[:longest], lists[longest:]
    for i in range(longest):
        every[i] = i
    lean = sparse and plain
    features = dims[0] if sparse else 0
    wide, widest, n_out = size * units, widest_of(dims), dims[layers]
    zs, hs, ds = work[:wide], work[wide : 2 * wide], work[2 * wide : 3 * wide]
    at = 3 * wide
    d_out = work[at : at + size * n_out]
    at += size * n_out
    centre, inv = work[at : at + units], work[at + units : at + 2 * units]
    at += 2 * units
    u, s = work[at : at + dims[1]], work[at + dims[1] : at + 2 * dims[1]]
    at += 2 * dims[1]
    turned = work[at : at + 2 * size * widest]
    at += 2 * size * widest
    all_near, sums = work[at : at + size * features], work[at + size * features : at + size * (features + 1)]
    here = work[at + size * (features + 1) :]
    fews = (features + FEW_PIXELS - 1) // FEW_PIXELS
    seen = used[size * fews : size * fews + features]
    near, near_used = all_near[:0].reshape(0, features), used[:0].reshape(0, fews)
    w0 = matrix(p, places, dims, 0)
    lr = F(numbers[optimisers.LR])
    l1 = F(numbers[optimisers.L1])
    if sparse:
        u[:] = ZERO
        column_sums(w0, s)
    low = 0
    batch = 0
    while low < n:
        high = min(low + size, n)
        b = high - low
        # Forward.
        for layer in range(layers):
            width = dims[layer + 1]
            last = layer == layers - 1
            if last:
                z = outputs[low:high]
            else:
                at = size * hidden[layer]
                z = zs[at : at + b * width].reshape(b, width)
            bias = vector(p, places, dims, layer, 1)
            if layer == 0 and sparse:
                near = all_near[: b * features].reshape(b, features)
                near_used = used[: b * fews].reshape(b, fews)
                first_sums(pictures, rows, low, learn, near, sums, near_used, a, c, w0, u, s, bias, z, seen, listed)
            elif layer == 0:
                layer_sums(x[low:high], w0, bias, z, every)
            else:
                at = size * hidden[layer - 1]
                above = hs[at : at + b * dims[layer]].reshape(b, dims[layer])
                layer_sums(above, matrix(p, places, dims, layer), bias, z, every)
            if last:
                break
            begin, end = hidden[layer], hidden[layer + 1]
            if norm and learn and b > 1:
                norm_act_dropout.batch_moments(z, mean[begin:end], var[begin:end], centre[begin:end], inv[begin:end])
            elif norm:
                norm_act_dropout.running_moments(mean[begin:end], var[begin:end], centre[begin:end], inv[begin:end])
            low_at, high_at = size * begin, size * begin + b * width
            norm_act_dropout.forward(
                activation, norm, keep, zs[low_at:high_at], hs[low_at:high_at], b, width,
                vector(p, places, dims, layer, 2), vector(p, places, dims, layer, 3), centre[begin:end], inv[begin:end],
                masks[low:high], begin, here,
            )  # fmt: skip
        d = d_out[: b * n_out].reshape(b, n_out)
        batch_losses[batch] = losses.gradient(loss, outputs[low:high], classes[low:high], targets[low:high], d)
        if not learn:
            low = high
            batch += 1
            continue
        step += 1
        # Backward, from the last layer to the first, each layer changed as soon as it has been passed, while it is near;
        # d is the gradient of the layer's sums.
        end = count
        for back in range(layers):
            layer = layers - 1 - back
            width, n_above = dims[layer + 1], dims[layer]
            w = matrix(p, places, dims, layer)
            g_bias = vector(g, places, dims, layer, 1)
            if layer == 0 or layer == layers - 1 or not norm:  # the first layer's serves its weights, too
                g_bias[:] = ZERO
                for r in range(b):
                    for j in range(width):
                        g_bias[j] += d[r, j]
            if layer > 0:
                low_at, high_at = size * hidden[layer - 1], size * hidden[layer - 1] + b * n_above
                above, d_above = hs[low_at:high_at].reshape(b, n_above), ds[low_at:high_at].reshape(b, n_above)
                back_through(d, w, d_above, turned, every)
            begin = places[layer, 0]
            if plain:
                if layer > 0:
                    outer(above, d, -lr, True, w, every)
                elif not sparse:
                    outer(x[low:high], d, -lr, True, w, every)
                else:
                    add_pictures_outer(near, near_used, -lr * a, d, w, listed)
                    for r in range(b):
                        share = lr * (a * sums[r] + c * F(n_above))
                        for j in range(width):
                            s[j] -= share * d[r, j]
                    for j in range(width):
                        u[j] -= lr * c * g_bias[j]
                for i in range(begin + n_above * width, end):
                    p[i] -= lr * g[i]
            else:
                gw = matrix(g, places, dims, layer)
                if layer > 0:
                    outer(above, d, ONE, False, gw, every)
                elif not sparse:
                    outer(x[low:high], d, ONE, False, gw, every)
                else:
                    for i in range(n_above):
                        for j in range(width):
                            gw[i, j] = c * g_bias[j]
                    add_pictures_outer(near, near_used, a, d, gw, listed)
                if l1 > ZERO:
                    for i in range(begin, begin + n_above * width):
                        g[i] += l1 * (ONE if p[i] > ZERO else (-ONE if p[i] < ZERO else p[i]))
                optimisers.update(optimiser, numbers, step, p[begin:end], g[begin:end], m[begin:end], v[begin:end])
            end = begin
            if layer > 0:
                first, last_one = hidden[layer - 1], hidden[layer]
                norm_act_dropout.backward(
                    activation, norm, keep, zs[low_at:high_at], hs[low_at:high_at], ds[low_at:high_at], b, n_above,
                    vector(p, places, dims, layer - 1, 2), vector(p, places, dims, layer - 1, 3),
                    centre[first:last_one], inv[first:last_one], masks[low:high], first, here,
                    vector(g, places, dims, layer - 1, 2), vector(g, places, dims, layer - 1, 3),
                )  # fmt: skip
                d = d_above
        if sparse and not lean and c != ZERO:
            column_sums(w0, s)
        low = high
        batch += 1
    if lean and learn:
        fold(w0, u)
    return batch
