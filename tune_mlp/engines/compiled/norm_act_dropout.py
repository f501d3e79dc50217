"""What lies between two layers' weights: batch norm, the activation and dropout, forward and backward.

All of it is done to a few rows at a time, which stay in the processor's first cache from one part to the next.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tune_mlp.engines.compiled import activations
from tune_mlp.engines.compiled.activations import ELU, LEAKY_RELU, RELU, SELU, SIGMOID, TANH
from tune_mlp.engines.compiled.arguments import HiddenLayer
from tune_mlp.engines.compiled.jit import inline

Array = Any  # as numba sees np.ndarray; a kernel's types are numba's to infer

F = np.float32
ZERO, ONE = F(0), F(1)

NEAR = 2048
"""So many numbers of each array are worked on together: five arrays of them fit into 48 KiB."""
BN_MOMENTUM, BN_EPS = F(0.1), F(1e-5)


@inline
def use_running_moments(means: Array, variances: Array, centre: Array, inverse: Array) -> None:
    """Set batch norm's centre and 1/deviation of each unit by what was seen so far."""
    for j in range(means.shape[0]):
        centre[j] = means[j]
        inverse[j] = ONE / np.sqrt(variances[j] + BN_EPS)


@inline
def use_batch_moments(z: Array, means: Array, variances: Array, centre: Array, inverse: Array) -> None:
    """Set batch norm's centre and 1/deviation of each unit over two samples or more; the running ones follow them."""
    b, n = z.shape
    centre[:] = ZERO
    for r in range(b):
        for j in range(n):
            centre[j] += z[r, j]
    share = ONE / F(b)
    for j in range(n):
        centre[j] *= share
        inverse[j] = ZERO
    for r in range(b):
        for j in range(n):
            away = z[r, j] - centre[j]
            inverse[j] += away * away
    unbiased = ONE / F(b - 1)
    for j in range(n):
        means[j] += BN_MOMENTUM * (centre[j] - means[j])
        variances[j] += BN_MOMENTUM * (inverse[j] * unbiased - variances[j])
        inverse[j] = ONE / np.sqrt(inverse[j] * share + BN_EPS)


@inline
def normalise(z: Array, centre: Array, inverse: Array, scale: Array, shift: Array, near: Array) -> None:
    """Set near, flat, to what batch norm makes of z."""
    n = z.shape[1]
    for r in range(z.shape[0]):
        row = near[r * n : r * n + n]
        for j in range(n):
            row[j] = (z[r, j] - centre[j]) * inverse[j] * scale[j] + shift[j]


@inline
def forward(kind: Any, norm: bool, keep: Any, layer: HiddenLayer, near: Array) -> None:
    """Set the layer's outputs to dropout(activation(norm(sums))). near: room to write on."""
    z, h = layer.sums, layer.outputs
    b, n = z.shape
    zs, hs = z.reshape(b * n), h.reshape(b * n)
    together = max(1, NEAR // n)
    raised, first = ONE / keep, np.uint64(layer.first_unit)  # an unsigned index can't be negative: vectorised
    for low in range(0, b, together):
        high = min(low + together, b)
        its_z = zs[low * n : high * n]
        if norm:
            its_z = near[: (high - low) * n]
            normalise(z[low:high], layer.centre, layer.inverse, layer.scale, layer.shift, its_z)
        activations.forward(kind, its_z, hs[low * n : high * n])
        if keep < ONE:
            for r in range(low, high):
                for j in range(n):
                    h[r, j] *= raised * F(layer.masks[r, first + np.uint64(j)])


@inline
def backward(kind: Any, norm: bool, keep: Any, layer: HiddenLayer, near: Array, g_scale: Array, g_shift: Array) -> None:
    """Turn the layer's gradients, those of its outputs, into those of its sums.

    On the way the gradients of batch norm's scale and shift are computed. What batch norm made of the sums is worked out
    again: to write it down and read it took longer.
    """
    z, d, scale, inverse = layer.sums, layer.gradients, layer.scale, layer.inverse
    b, n = z.shape
    zs, hs, ds = z.reshape(b * n), layer.outputs.reshape(b * n), d.reshape(b * n)
    together = max(1, NEAR // n)
    raised, first = ONE / keep, np.uint64(layer.first_unit)  # an unsigned index can't be negative: vectorised
    undropped = keep < ONE and kind in (TANH, SIGMOID, ELU, SELU)
    if norm:
        g_scale[:] = ZERO
        g_shift[:] = ZERO
    for low in range(0, b, together):
        high = min(low + together, b)
        count = (high - low) * n
        its_z, its_h = zs[low * n : high * n], hs[low * n : high * n]
        if keep < ONE:
            for r in range(low, high):
                for j in range(n):
                    d[r, j] *= raised * F(layer.masks[r, first + np.uint64(j)])
        if undropped:  # where dropout dropped it, d is 0 and h of no account
            its_h = near[count : 2 * count]
            for i in range(count):
                its_h[i] = hs[low * n + i] * keep
        if kind in (RELU, LEAKY_RELU):  # which only ask for its sign, and h has the same
            its_z = its_h
        elif norm:
            its_z = near[:count]
            normalise(z[low:high], layer.centre, inverse, scale, layer.shift, its_z)
        activations.backward(kind, its_z, its_h, ds[low * n : high * n])
        if norm:
            for r in range(low, high):
                for j in range(n):
                    g_shift[j] += d[r, j]
                    g_scale[j] += d[r, j] * ((z[r, j] - layer.centre[j]) * inverse[j])
    if not norm:
        return
    if b == 1:  # by the running moments, which are constants
        for j in range(n):
            d[0, j] *= scale[j] * inverse[j]
        return
    share = ONE / F(b)
    for r in range(b):
        for j in range(n):
            x = (z[r, j] - layer.centre[j]) * inverse[j]
            d[r, j] = scale[j] * inverse[j] * (d[r, j] - share * (g_shift[j] + x * g_scale[j]))
