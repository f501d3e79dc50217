"""What stands between two layers' weights: batch norm, the activation and dropout, forward and back.

All of it is done to a few rows at a time, which stay in the processor's first cache from one part to the next.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tune_mlp.engines.compiled import activations
from tune_mlp.engines.compiled.activations import ELU, LEAKY_RELU, RELU, SELU, SIGMOID, TANH
from tune_mlp.engines.compiled.jit import inline

Array = Any  # as numba sees np.ndarray; a kernel's types are numba's to infer

F = np.float32
ZERO, ONE = F(0), F(1)

NEAR = 2048
"""So many numbers of each array are worked on together: five arrays of them fit into 48 KiB."""
BN_MOMENTUM, BN_EPS = F(0.1), F(1e-5)


@inline
def running_moments(mean: Array, var: Array, centre: Array, inv: Array) -> None:
    """Batch norm's centre and 1/deviation of each unit by what was seen so far."""
    for j in range(mean.shape[0]):
        centre[j] = mean[j]
        inv[j] = ONE / np.sqrt(var[j] + BN_EPS)


@inline
def batch_moments(z: Array, mean: Array, var: Array, centre: Array, inv: Array) -> None:
    """Batch norm's centre and 1/deviation of each unit over two samples or more; the running ones follow them."""
    b, n = z.shape
    centre[:] = ZERO
    for r in range(b):
        for j in range(n):
            centre[j] += z[r, j]
    share = ONE / F(b)
    for j in range(n):
        centre[j] *= share
        inv[j] = ZERO
    for r in range(b):
        for j in range(n):
            away = z[r, j] - centre[j]
            inv[j] += away * away
    unbiased = ONE / F(b - 1)
    for j in range(n):
        mean[j] += BN_MOMENTUM * (centre[j] - mean[j])
        var[j] += BN_MOMENTUM * (inv[j] * unbiased - var[j])
        inv[j] = ONE / np.sqrt(inv[j] * share + BN_EPS)


@inline
def normed(z: Array, centre: Array, inv: Array, scale: Array, shift: Array, near: Array) -> None:
    """near, flat, becomes what batch norm makes of z."""
    n = z.shape[1]
    for r in range(z.shape[0]):
        row = near[r * n : r * n + n]
        for j in range(n):
            row[j] = (z[r, j] - centre[j]) * inv[j] * scale[j] + shift[j]


@inline
def forward(
    kind: Any, norm: bool, keep: Any, zs: Array, hs: Array, b: Any, n: Any,
    scale: Array, shift: Array, centre: Array, inv: Array, masks: Array, begin: Any, near: Array,
) -> None:  # fmt: skip
    """h = dropout(activation(norm(z))) of b rows of n units, all flat.

    masks [b, hidden units]: what dropout keeps; this layer's units stand there from `begin`. near: room to write on.
    """
    z, h = zs.reshape(b, n), hs.reshape(b, n)
    together = max(1, NEAR // n)
    raised, first = ONE / keep, np.uint64(begin)  # an unsigned index can't be negative, which vectorises its loop
    for low in range(0, b, together):
        high = min(low + together, b)
        its_z = zs[low * n : high * n]
        if norm:
            its_z = near[: (high - low) * n]
            normed(z[low:high], centre, inv, scale, shift, its_z)
        activations.forward(kind, its_z, hs[low * n : high * n])
        if keep < ONE:
            for r in range(low, high):
                for j in range(n):
                    h[r, j] *= raised * F(masks[r, first + np.uint64(j)])


@inline
def backward(
    kind: Any, norm: bool, keep: Any, zs: Array, hs: Array, ds: Array, b: Any, n: Any,
    scale: Array, shift: Array, centre: Array, inv: Array, masks: Array, begin: Any, near: Array,
    g_scale: Array, g_shift: Array,
) -> None:  # fmt: skip
    """d, the gradient of h, becomes that of the layer's sums; on the way the gradients of batch norm's scale and shift.
    What norm made of z is worked out again: to write it down and read it took longer."""
    z, d = zs.reshape(b, n), ds.reshape(b, n)
    together = max(1, NEAR // n)
    raised, first = ONE / keep, np.uint64(begin)  # an unsigned index can't be negative, which vectorises its loop
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
                    d[r, j] *= raised * F(masks[r, first + np.uint64(j)])
        if undropped:  # where dropout dropped it, d is 0 and h of no account
            its_h = near[count : 2 * count]
            for i in range(count):
                its_h[i] = hs[low * n + i] * keep
        if kind in (RELU, LEAKY_RELU):  # which only ask for its sign, and h has the same
            its_z = its_h
        elif norm:
            its_z = near[:count]
            normed(z[low:high], centre, inv, scale, shift, its_z)
        activations.backward(kind, its_z, its_h, ds[low * n : high * n])
        if norm:
            for r in range(low, high):
                for j in range(n):
                    g_shift[j] += d[r, j]
                    g_scale[j] += d[r, j] * ((z[r, j] - centre[j]) * inv[j])
    if not norm:
        return
    if b == 1:  # by the running moments, which are constants
        for j in range(n):
            d[0, j] *= scale[j] * inv[j]
        return
    share = ONE / F(b)
    for r in range(b):
        for j in range(n):
            x = (z[r, j] - centre[j]) * inv[j]
            d[r, j] = scale[j] * inv[j] * (d[r, j] - share * (g_shift[j] + x * g_scale[j]))
