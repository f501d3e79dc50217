"""Losses of a batch's outputs and their gradients, chosen by number, as PyTorch defines them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tune_mlp.config import LOSS_NAMES
from tune_mlp.engines.compiled.activations import exp
from tune_mlp.engines.compiled.jit import inline, kernel

Array = Any  # as numba sees np.ndarray; a kernel's types are numba's to infer

CROSS_ENTROPY, NLL, MULTI_MARGIN, MSE, MAE, SMOOTH_L1 = range(6)
NUMBERS: dict[str, int] = {
    "cross_entropy": CROSS_ENTROPY,
    "nll": NLL,
    "multi_margin": MULTI_MARGIN,
    "mse": MSE,
    "mae": MAE,
    "smooth_l1": SMOOTH_L1,
}
assert tuple(NUMBERS) == LOSS_NAMES

F = np.float32
ONE, ZERO, HALF, TWO = F(1), F(0), F(0.5), F(2)
LARGE = 1e200
"""A product up to this size can be multiplied by one more sum over outputs without overflow."""


@inline
def gradient(kind: Any, z: Array, classes: Array, values: Array, d: Array) -> Any:
    """Return the mean loss of outputs z [b, outputs], and set d to its gradient.

    `values` [b, outputs] are the targets of a regression. Where they are empty, `classes` [b] are the targets, as one-hot
    rows for the losses that compare numbers.
    """
    b, outputs = z.shape
    total = 0.0
    if kind in (CROSS_ENTROPY, NLL):  # the same function: nll's log-softmax is the model's last layer
        for r in range(b):
            top = z[r, 0]
            for j in range(1, outputs):
                top = max(top, z[r, j])
            total += float(top) - float(z[r, classes[r]])
            for j in range(outputs):
                d[r, j] = z[r, j] - top
        flat = d.reshape(b * outputs)  # one loop over all is vectorised, and a row's is too short for that
        for i in range(b * outputs):
            flat[i] = exp(flat[i])
        share, product = ONE / F(b), 1.0
        for r in range(b):
            summed = ZERO
            for j in range(outputs):
                summed += d[r, j]
            product *= float(summed)  # each is 1 at least: a logarithm of many factors takes as long as of one
            if product > LARGE:
                total += math.log(product)
                product = 1.0
            for j in range(outputs):
                d[r, j] *= share / summed
            d[r, classes[r]] -= share
        return (total + math.log(product)) / b
    if kind == MULTI_MARGIN:
        share = ONE / F(b * outputs)
        for r in range(b):
            wanted = classes[r]
            violations = 0
            for j in range(outputs):
                margin = ONE - z[r, wanted] + z[r, j]
                d[r, j] = ZERO
                if j != wanted and margin > ZERO:
                    total += margin
                    d[r, j] = share
                    violations += 1
            d[r, wanted] = -share * F(violations)
        return total / (b * outputs)
    share = ONE / F(b * outputs)
    one_hot = values.shape[0] == 0
    for r in range(b):
        for j in range(outputs):
            target = (ONE if classes[r] == j else ZERO) if one_hot else values[r, j]
            away = z[r, j] - target
            size = abs(away)
            sign = ONE if away > ZERO else (-ONE if away < ZERO else away)
            if kind == MSE:
                total += away * away
                d[r, j] = TWO * away * share
            elif kind == MAE:
                total += size
                d[r, j] = sign * share
            elif size < ONE:
                total += HALF * away * away
                d[r, j] = away * share
            else:
                total += size - HALF
                d[r, j] = sign * share
    return total / (b * outputs)


@inline
def weighted_gradient(kind: Any, z: Array, classes: Array, values: Array, weights: Array, d: Array) -> Any:
    """Return `gradient`'s loss with each sample's share multiplied by its class's weight, and set d to its gradient.

    `weights` [classes] are empty where all samples count alike.
    """
    b = z.shape[0]
    weighted = weights.shape[0] > 0
    rows = 1 if weighted else b
    total = 0.0
    for low in range(0, b, rows):  # one place that calls `gradient`, which is inlined wherever it is called
        high = low + rows
        loss = gradient(kind, z[low:high], classes[low:high], values[low:high], d[low:high])
        if not weighted:
            return loss
        weight = weights[classes[low]]
        total += float(weight) * loss
        for j in range(z.shape[1]):
            d[low, j] *= weight / F(b)
    return total / b


@kernel
def largest_outputs(z: Array, found: Array) -> None:
    """Find the place of each row's largest output, the first of equals: without branches, which couldn't be foretold."""
    for r in range(z.shape[0]):
        top, place = z[r, 0], 0
        for j in range(1, z.shape[1]):
            higher = z[r, j] > top
            place = j if higher else place
            top = z[r, j] if higher else top
        found[r] = place
