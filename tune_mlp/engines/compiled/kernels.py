"""The kernels: a chunk of batches trained, or a chunk of samples evaluated, in one compiled call.

Weights are one flat array; layer l's matrix stands in it input-major, [inputs, outputs], so that a sample walks rows.
A first layer over pictures skips their zeros. With inputs scaled as a*x + c, its sums are

    z = bias + a * (sum of x_i * w_i) + c * (sum of all w_i),

and a gradient step adds to each row i  -lr * d * (a*x_i + c):  a part for the non-zero pixels, and a part, u, that all
rows share. So with w = v + u a plain SGD step touches only the rows of non-zero pixels, u, and the columns' sum.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tune_mlp.engines.compiled import activations, losses, optimisers
from tune_mlp.engines.compiled.jit import inline, kernel
from tune_mlp.engines.compiled.sparse import add_outer, add_rows

Array = Any  # as numba sees np.ndarray; a kernel's types are numba's to infer

F = np.float32
ZERO, ONE = F(0), F(1)

SMALL_BATCH = 4
"""Up to so many samples a matrix product by rows beats a call of BLAS."""

BN_MOMENTUM, BN_EPS = F(0.1), F(1e-5)


@inline
def matrix(p: Array, places: Array, dims: Array, layer: Any) -> Array:
    """Layer l's weights, [inputs, outputs]."""
    start = places[layer, 0]
    return p[start : start + dims[layer] * dims[layer + 1]].reshape(dims[layer], dims[layer + 1])


@inline
def vector(p: Array, places: Array, dims: Array, layer: Any, which: Any) -> Array:
    """Layer l's bias (1), or its batch norm's scale (2) or shift (3)."""
    start = places[layer, which]
    return p[start : start + dims[layer + 1]]


@inline
def product(x: Array, w: Array, z: Array) -> None:
    """z += x @ w by rows, skipping zeros of x."""
    for r in range(x.shape[0]):
        row = z[r]
        for i in range(x.shape[1]):
            value = x[r, i]
            if value != ZERO:
                for j in range(row.shape[0]):
                    row[j] += value * w[i, j]


@inline
def layer_sums(x: Array, w: Array, bias: Array, z: Array) -> None:
    """z = x @ w + bias."""
    if x.shape[0] <= SMALL_BATCH:
        for r in range(z.shape[0]):
            z[r, :] = bias
        product(x, w, z)
    else:
        np.dot(x, w, z)
        for r in range(z.shape[0]):
            for j in range(z.shape[1]):
                z[r, j] += bias[j]


@inline
def first_sums(
    rows: Array, start: Array, places: Array, values: Array, a: Any, c: Any, w: Array, u: Array, s: Array,
    bias: Array, z: Array,
) -> None:  # fmt: skip
    """z = bias + (a*x + c) @ (w + u), over the non-zero pixels of samples `rows`; s is the columns' sum of w + u."""
    for r in range(rows.shape[0]):
        row = z[r]
        row[:] = ZERO
        total = add_rows(start[rows[r]], start[rows[r] + 1], places, values, w, row)
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


@inline
def normalise(
    z: Array, scale: Array, shift: Array, mean: Array, var: Array, xhat: Array, inv: Array, train: bool
) -> None:
    """z = batch norm of z. In training with two samples or more, by the batch's moments, which the running ones follow;
    inv is 1/deviation, negative where the running moments were used."""
    b, n = z.shape
    use_batch = train and b > 1
    for j in range(n):
        if use_batch:
            inv[j] = ZERO
    if use_batch:
        sums = xhat[0]  # borrowed until it is filled
        sums[:] = ZERO
        for r in range(b):
            for j in range(n):
                sums[j] += z[r, j]
        m = sums / F(b)
        for r in range(b):
            for j in range(n):
                away = z[r, j] - m[j]
                inv[j] += away * away
        for j in range(n):
            biased = inv[j] / F(b)
            mean[j] += BN_MOMENTUM * (m[j] - mean[j])
            var[j] += BN_MOMENTUM * (inv[j] / F(b - 1) - var[j])
            inv[j] = ONE / np.sqrt(biased + BN_EPS)
        for r in range(b):
            for j in range(n):
                xhat[r, j] = (z[r, j] - m[j]) * inv[j]
                z[r, j] = xhat[r, j] * scale[j] + shift[j]
        return
    for j in range(n):
        inv[j] = ONE / np.sqrt(var[j] + BN_EPS)
    for r in range(b):
        for j in range(n):
            xhat[r, j] = (z[r, j] - mean[j]) * inv[j]
            z[r, j] = xhat[r, j] * scale[j] + shift[j]


@inline
def normalise_back(d: Array, xhat: Array, scale: Array, inv: Array, g_scale: Array, g_shift: Array) -> None:
    """d, the gradient after batch norm, becomes the one before it; the gradients of scale and shift on the way."""
    b, n = d.shape
    g_scale[:] = ZERO
    g_shift[:] = ZERO
    for r in range(b):
        for j in range(n):
            g_shift[j] += d[r, j]
            g_scale[j] += d[r, j] * xhat[r, j]
    if b == 1:  # by the running moments, which are constants
        for j in range(n):
            d[0, j] *= scale[j] * inv[j]
        return
    share = ONE / F(b)
    for r in range(b):
        for j in range(n):
            d[r, j] = scale[j] * inv[j] * (d[r, j] - share * (g_shift[j] + xhat[r, j] * g_scale[j]))


@kernel
def train_batches(
    sparse: bool, rows: Array, start: Array, pixels: Array, values: Array, a: Any, c: Any, x: Array,
    classes: Array, targets: Array, size: Any,
    dims: Array, places: Array, hidden: Array, p: Array, mean: Array, var: Array,
    activation: Any, loss: Any, norm: bool, masks: Array, keep: Any,
    optimiser: Any, numbers: Array, plain: bool, step: Any, m: Array, v: Array, g: Array,
    count: Any, work: Array, room: Any, outputs: Array, batch_losses: Array,
) -> Any:  # fmt: skip
    """Train the batches of one chunk: n samples in batches of `size`. Returns how many steps were done.

    sparse: samples are `rows` of the pixels; else the rows of x. hidden: where each hidden layer begins among all hidden
    units. masks [n, hidden units]: what dropout keeps, empty without dropout. count: how many of p are weights; behind
    them stand zeros, for the biases that layers under batch norm don't have. work: 4 arrays of [room, hidden units]
    (sums, outputs, batch norm's xhat, gradients), then one of [room, outputs] and the first layer's u and s.
    """
    n = outputs.shape[0]
    layers = dims.shape[0] - 1
    units = hidden[layers - 1]
    wide = room * units
    zs, hs, xs, ds = work[:wide], work[wide : 2 * wide], work[2 * wide : 3 * wide], work[3 * wide : 4 * wide]
    n_out = dims[layers]
    at = 4 * wide
    d_out = work[at : at + room * n_out]
    at += room * n_out
    inv = work[at : at + units]
    at += units
    u = work[at : at + dims[1]]
    s = work[at + dims[1] : at + 2 * dims[1]]
    lean = sparse and plain
    w0 = matrix(p, places, dims, 0)
    lr = F(numbers[optimisers.LR])
    l1 = F(numbers[optimisers.L1])
    u[:] = ZERO
    if sparse:
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
                at = room * hidden[layer]
                z = zs[at : at + b * width].reshape(b, width)
            bias = vector(p, places, dims, layer, 1)
            if layer == 0 and sparse:
                first_sums(rows[low:high], start, pixels, values, a, c, w0, u, s, bias, z)
            elif layer == 0:
                layer_sums(x[low:high], w0, bias, z)
            else:
                at = room * hidden[layer - 1]
                above = hs[at : at + b * dims[layer]].reshape(b, dims[layer])
                layer_sums(above, matrix(p, places, dims, layer), bias, z)
            if last:
                break
            at = room * hidden[layer]
            if norm:
                begin = hidden[layer]
                normalise(
                    z,
                    vector(p, places, dims, layer, 2),
                    vector(p, places, dims, layer, 3),
                    mean[begin : begin + width],
                    var[begin : begin + width],
                    xs[at : at + b * width].reshape(b, width),
                    inv[begin : begin + width],
                    True,
                )
            activations.forward(activation, zs[at : at + b * width], hs[at : at + b * width])
            if keep < ONE:
                h = hs[at : at + b * width].reshape(b, width)
                raised = ONE / keep
                for r in range(b):
                    for j in range(width):
                        h[r, j] *= raised * F(masks[low + r, hidden[layer] + j])
        d = d_out[: b * n_out].reshape(b, n_out)
        batch_losses[batch] = losses.gradient(loss, outputs[low:high], classes[low:high], targets[low:high], d)
        step += 1
        # Backward, from the last layer to the first; d is the gradient of the layer's sums.
        for back in range(layers):
            layer = layers - 1 - back
            width = dims[layer + 1]
            w = matrix(p, places, dims, layer)
            g_bias = vector(g, places, dims, layer, 1)
            g_bias[:] = ZERO
            for r in range(b):
                for j in range(width):
                    g_bias[j] += d[r, j]
            if layer == 0:
                if lean:
                    for r in range(b):
                        row = rows[low + r]
                        add_outer(start[row], start[row + 1], pixels, values, -lr * a, d[r], w0)
                    for j in range(width):
                        u[j] -= lr * c * g_bias[j]
                    for r in range(b):
                        row = rows[low + r]
                        total = F(0)
                        for k in range(start[row], start[row + 1]):
                            total += F(values[k])
                        share = lr * (a * total + c * F(dims[0]))
                        for j in range(width):
                            s[j] -= share * d[r, j]
                elif sparse:
                    gw = matrix(g, places, dims, 0)
                    for i in range(dims[0]):
                        for j in range(width):
                            gw[i, j] = c * g_bias[j]
                    for r in range(b):
                        row = rows[low + r]
                        add_outer(start[row], start[row + 1], pixels, values, a, d[r], gw)
                else:
                    np.dot(x[low:high].T, d, matrix(g, places, dims, 0))
                break
            at = room * hidden[layer - 1]
            above = hs[at : at + b * dims[layer]].reshape(b, dims[layer])
            np.dot(above.T, d, matrix(g, places, dims, layer))
            d_above = ds[at : at + b * dims[layer]].reshape(b, dims[layer])
            np.dot(d, w.T, d_above)
            if keep < ONE:
                raised = ONE / keep
                for r in range(b):
                    for j in range(dims[layer]):
                        kept = raised * F(masks[low + r, hidden[layer - 1] + j])
                        d_above[r, j] *= kept
                        above[r, j] = above[r, j] / raised if kept > ZERO else above[r, j]
            activations.backward(
                activation, zs[at : at + b * dims[layer]], hs[at : at + b * dims[layer]], ds[at : at + b * dims[layer]]
            )
            if norm:
                begin = hidden[layer - 1]
                normalise_back(
                    d_above,
                    xs[at : at + b * dims[layer]].reshape(b, dims[layer]),
                    vector(p, places, dims, layer - 1, 2),
                    inv[begin : begin + dims[layer]],
                    vector(g, places, dims, layer - 1, 2),
                    vector(g, places, dims, layer - 1, 3),
                )
            d = d_above
        if lean:
            for i in range(dims[0] * dims[1], count):  # the first layer's matrix stands first, and is done
                p[i] -= lr * g[i]
        else:
            if l1 > ZERO:
                for layer in range(layers):
                    begin = places[layer, 0]
                    for i in range(begin, begin + dims[layer] * dims[layer + 1]):
                        g[i] += l1 * (ONE if p[i] > ZERO else (-ONE if p[i] < ZERO else p[i]))
            optimisers.update(optimiser, numbers, step, p[:count], g, m, v)
            if sparse and c != ZERO:
                column_sums(w0, s)
        low = high
        batch += 1
    if lean:
        fold(w0, u)
    return batch


@kernel
def train_singles(
    sparse: bool, rows: Array, start: Array, pixels: Array, values: Array, a: Any, c: Any, x: Array,
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
                total = add_rows(start[rows[r]], start[rows[r] + 1], pixels, values, w0, z)
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


@kernel
def evaluate_block(
    sparse: bool, rows: Array, start: Array, pixels: Array, values: Array, a: Any, c: Any, x: Array,
    dims: Array, places: Array, hidden: Array, p: Array, mean: Array, var: Array,
    activation: Any, norm: bool, work: Array, room: Any, outputs: Array,
) -> None:  # fmt: skip
    """The outputs of n samples in evaluation mode."""
    n = outputs.shape[0]
    layers = dims.shape[0] - 1
    widest = 0
    for layer in range(1, layers):
        widest = max(widest, dims[layer])
    ahead, behind = work[: room * widest], work[room * widest : 2 * room * widest]
    at = 2 * room * widest
    spare = work[at : at + room * widest]
    at += room * widest
    inv = work[at : at + widest]
    at += widest
    u = work[at : at + dims[1]]
    s = work[at + dims[1] : at + 2 * dims[1]]
    w0 = matrix(p, places, dims, 0)
    u[:] = ZERO
    if sparse:
        column_sums(w0, s)
    low = 0
    while low < n:
        high = min(low + room, n)
        b = high - low
        for layer in range(layers):
            width = dims[layer + 1]
            last = layer == layers - 1
            z = outputs[low:high] if last else ahead[: b * width].reshape(b, width)
            bias = vector(p, places, dims, layer, 1)
            if layer == 0 and sparse:
                first_sums(rows[low:high], start, pixels, values, a, c, w0, u, s, bias, z)
            elif layer == 0:
                layer_sums(x[low:high], w0, bias, z)
            else:
                layer_sums(behind[: b * dims[layer]].reshape(b, dims[layer]), matrix(p, places, dims, layer), bias, z)
            if last:
                break
            if norm:
                begin = hidden[layer]
                normalise(
                    z,
                    vector(p, places, dims, layer, 2),
                    vector(p, places, dims, layer, 3),
                    mean[begin : begin + width],
                    var[begin : begin + width],
                    spare[: b * width].reshape(b, width),
                    inv[:width],
                    False,
                )
            activations.forward(activation, ahead[: b * width], behind[: b * width])
        low = high
