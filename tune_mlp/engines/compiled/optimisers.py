"""Optimisers over all weights as one flat array, by number, step for step as torch.optim has them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tune_mlp.config import OPTIMISER_NAMES, Adam, Adamax, AdamW, RmsProp, Sgd, TrialConfig
from tune_mlp.engines.compiled.arguments import Optimiser
from tune_mlp.engines.compiled.jit import inline

Array = Any  # as numba sees np.ndarray; a kernel's types are numba's to infer

SGD, ADAM, ADAMW, ADAMAX, RMSPROP = range(5)
NUMBERS: dict[str, int] = {"sgd": SGD, "adam": ADAM, "adamw": ADAMW, "adamax": ADAMAX, "rmsprop": RMSPROP}
assert tuple(NUMBERS) == OPTIMISER_NAMES

F = np.float32
ZERO, ONE = F(0), F(1)

LR, DECAY, L1, FIRST, SECOND, EPS, NESTEROV = range(7)
"""Places in the array of settings. FIRST is momentum or beta1; SECOND is dampening, beta2 or alpha."""


def settings(config: TrialConfig) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return an optimiser's settings as numbers, in their places."""
    options = config.optimizer
    found = np.zeros(7)
    found[[LR, DECAY, L1]] = config.lr, config.weight_decay, config.l1
    if isinstance(options, Sgd):
        found[[FIRST, SECOND, NESTEROV]] = options.momentum, options.dampening, options.nesterov
    elif isinstance(options, RmsProp):
        found[[FIRST, SECOND, EPS]] = options.momentum, options.alpha, options.eps
    else:
        assert isinstance(options, Adam | AdamW | Adamax)
        found[[FIRST, SECOND, EPS]] = options.beta1, options.beta2, options.eps
    return found


def is_plain(config: TrialConfig) -> bool:
    """True for plain SGD, where a weight without a gradient stays as it is: a sparse input leaves most weights alone."""
    options = config.optimizer
    return isinstance(options, Sgd) and options.momentum == 0 and config.weight_decay == 0 and config.l1 == 0


@inline
def update(optimiser: Optimiser, weights: Array, begin: Any, end: Any, step: Any) -> None:
    """Take step number `step` (from 1) with the weights from `begin` to `end`; L1's part is in the gradients already."""
    numbers, kind, n = optimiser.settings, optimiser.kind, end - begin
    p, g = weights[begin:end], optimiser.gradients[begin:end]
    m, v = optimiser.first[begin:end], optimiser.second[begin:end]
    lr, decay, eps = F(numbers[LR]), F(numbers[DECAY]), F(numbers[EPS])
    first, second = F(numbers[FIRST]), F(numbers[SECOND])
    if kind == SGD:
        if numbers[FIRST] == 0.0:
            for i in range(n):
                p[i] -= lr * (g[i] + decay * p[i])
            return
        nesterov = numbers[NESTEROV] != 0.0
        kept = ONE if step == 1 else F(1.0 - numbers[SECOND])
        old = ZERO if step == 1 else first
        for i in range(n):
            grad = g[i] + decay * p[i]
            m[i] = old * m[i] + kept * grad
            p[i] -= lr * (grad + first * m[i] if nesterov else m[i])
    elif kind in (ADAM, ADAMW):
        size = F(numbers[LR] / (1.0 - numbers[FIRST] ** step))
        root = F(math.sqrt(1.0 - numbers[SECOND] ** step))
        rest1, rest2 = F(1.0 - numbers[FIRST]), F(1.0 - numbers[SECOND])
        shrink = F(1.0 - numbers[LR] * numbers[DECAY]) if kind == ADAMW else ONE
        added = ZERO if kind == ADAMW else decay
        for i in range(n):
            old_p = p[i] * shrink
            grad = g[i] + added * p[i]
            m[i] = first * m[i] + rest1 * grad
            v[i] = second * v[i] + rest2 * grad * grad
            p[i] = old_p - size * m[i] / (math.sqrt(v[i]) / root + eps)
    elif kind == ADAMAX:
        size = F(numbers[LR] / (1.0 - numbers[FIRST] ** step))
        rest1 = F(1.0 - numbers[FIRST])
        for i in range(n):
            grad = g[i] + decay * p[i]
            m[i] = first * m[i] + rest1 * grad
            v[i] = max(second * v[i], abs(grad) + eps)
            p[i] -= size * m[i] / v[i]
    else:
        rest2 = F(1.0 - numbers[SECOND])
        for i in range(n):
            grad = g[i] + decay * p[i]
            v[i] = second * v[i] + rest2 * grad * grad
            change = grad / (math.sqrt(v[i]) + eps)
            if first > ZERO:
                m[i] = first * m[i] + change
                change = m[i]
            p[i] -= lr * change
