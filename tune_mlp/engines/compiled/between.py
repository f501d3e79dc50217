"""What stands between two layers' weights: batch norm, the activation and dropout, forward and back.

All of it is done to a few rows at a time, which stay in the processor's first cache from one part to the next.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tune_mlp.engines.compiled import activations
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
def forward(
    kind: Any, norm: bool, keep: Any, zs: Array, hs: Array, xs: Array, b: Any, n: Any,
    scale: Array, shift: Array, centre: Array, inv: Array, masks: Array, begin: Any,
) -> None:  # fmt: skip
    """h = dropout(activation(norm(z))) of b rows of n units, all flat; z becomes norm(z), and x what norm scales.

    masks [b, hidden units]: what dropout keeps; this layer's units stand there from `begin`.
    """
    z, h, x = zs.reshape(b, n), hs.reshape(b, n), xs.reshape(b, n)
    together = max(1, NEAR // n)
    raised, first = ONE / keep, np.uint64(begin)  # an unsigned index can't be negative, which vectorises its loop
    for low in range(0, b, together):
        high = min(low + together, b)
        if norm:
            for r in range(low, high):
                for j in range(n):
                    x[r, j] = (z[r, j] - centre[j]) * inv[j]
                    z[r, j] = x[r, j] * scale[j] + shift[j]
        activations.forward(kind, zs[low * n : high * n], hs[low * n : high * n])
        if keep < ONE:
            for r in range(low, high):
                for j in range(n):
                    h[r, j] *= raised * F(masks[r, first + np.uint64(j)])


@inline
def backward(
    kind: Any, norm: bool, keep: Any, zs: Array, hs: Array, xs: Array, ds: Array, b: Any, n: Any,
    scale: Array, inv: Array, masks: Array, begin: Any, g_scale: Array, g_shift: Array,
) -> None:  # fmt: skip
    """d, the gradient of h, becomes that of the layer's sums; on the way the gradients of batch norm's scale and shift."""
    h, x, d = hs.reshape(b, n), xs.reshape(b, n), ds.reshape(b, n)
    together = max(1, NEAR // n)
    raised, first = ONE / keep, np.uint64(begin)  # an unsigned index can't be negative, which vectorises its loop
    if norm:
        g_scale[:] = ZERO
        g_shift[:] = ZERO
    for low in range(0, b, together):
        high = min(low + together, b)
        if keep < ONE:
            for r in range(low, high):
                for j in range(n):
                    d[r, j] *= raised * F(masks[r, first + np.uint64(j)])
                    h[r, j] *= keep  # as it was before dropout; where that dropped it, d is 0 and h of no account
        activations.backward(kind, zs[low * n : high * n], hs[low * n : high * n], ds[low * n : high * n])
        if norm:
            for r in range(low, high):
                for j in range(n):
                    g_shift[j] += d[r, j]
                    g_scale[j] += d[r, j] * x[r, j]
    if not norm:
        return
    if b == 1:  # by the running moments, which are constants
        for j in range(n):
            d[0, j] *= scale[j] * inv[j]
        return
    share = ONE / F(b)
    for r in range(b):
        for j in range(n):
            d[r, j] = scale[j] * inv[j] * (d[r, j] - share * (g_shift[j] + x[r, j] * g_scale[j]))
