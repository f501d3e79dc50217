"""Activations of a flat array and their derivatives, chosen by number; written so that each loop is vectorised."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tune_mlp.config import ACTIVATION_NAMES
from tune_mlp.engines.compiled.jit import inline

Array = Any  # as numba sees np.ndarray; a kernel's types are numba's to infer: one dimension, float32, contiguous

IDENTITY, RELU, LEAKY_RELU, RELU6, ELU, SELU, GELU, SILU, HARDSWISH, TANH, SIGMOID, SOFTPLUS = range(12)
NUMBERS: dict[str, int] = {
    "identity": IDENTITY,
    "relu": RELU,
    "leaky_relu": LEAKY_RELU,
    "relu6": RELU6,
    "elu": ELU,
    "selu": SELU,
    "gelu": GELU,
    "silu": SILU,
    "hardswish": HARDSWISH,
    "tanh": TANH,
    "sigmoid": SIGMOID,
    "softplus": SOFTPLUS,
}
assert tuple(NUMBERS) == ACTIVATION_NAMES

F = np.float32
ONE, HALF, ZERO, TWO, THREE, SIX = F(1), F(0.5), F(0), F(2), F(3), F(6)
LEAK = F(0.01)
SELU_SCALE, SELU_ALPHA = F(1.0507009873554805), F(1.6732632423543772)
SELU_BOTH = F(SELU_SCALE * SELU_ALPHA)
LOG2E, LN2_HIGH, LN2_LOW = F(1.44269504088896341), F(0.693359375), F(-2.12194440e-4)
E5, E4, E3, E2, E1, E0 = (
    F(1.9875691500e-4),
    F(1.3981999507e-3),
    F(8.3334519073e-3),
    F(4.1665795894e-2),
    F(1.6666665459e-1),
    F(5.0000001201e-1),
)
EXP_LOW, EXP_HIGH = F(-87.0), F(88.0)
SQRT_HALF, INV_SQRT_2PI = F(0.7071067811865476), F(0.3989422804014327)
P, A1, A2, A3, A4, A5 = F(0.3275911), F(0.254829592), F(-0.284496736), F(1.421413741), F(-1.453152027), F(1.061405429)
SOFTPLUS_LINEAR = F(20)
SIXTH = F(1.0 / 6.0)


@inline
def exp(x: Any) -> Any:
    """Return e**x in float32 by Cephes' polynomial: without a call, so that loops over it are vectorised."""
    clipped = min(max(x, EXP_LOW), EXP_HIGH)
    power = np.floor(clipped * LOG2E + HALF)  # float32: math.floor makes an integer, and doubles of all that follows
    r = clipped - power * LN2_HIGH - power * LN2_LOW
    series = ((((E5 * r + E4) * r + E3) * r + E2) * r + E1) * r + E0
    scale = np.int32((np.int32(power) + np.int32(127)) << np.int32(23)).view(np.float32)
    return (series * r * r + r + ONE) * scale + x * ZERO  # a NaN or an infinity stays visible


@inline
def sigmoid(x: Any) -> Any:
    return ONE / (ONE + exp(-x))


@inline
def erf(x: Any) -> Any:
    """Return the error function by Abramowitz and Stegun 7.1.26, whose error of 1.5e-7 is float32's own."""
    size = abs(x)
    t = ONE / (ONE + P * size)
    value = ONE - ((((A5 * t + A4) * t + A3) * t + A2) * t + A1) * t * exp(-size * size)
    return value if x >= ZERO else -value


@inline
def forward(kind: Any, z: Array, h: Array) -> None:
    """Set h = f(z)."""
    n = z.shape[0]
    if kind == RELU:
        for i in range(n):
            h[i] = z[i] if not z[i] <= ZERO else ZERO  # a NaN goes through
    elif kind == TANH:
        for i in range(n):
            h[i] = ONE - TWO / (exp(TWO * z[i]) + ONE)
    elif kind == SIGMOID:
        for i in range(n):
            h[i] = sigmoid(z[i])
    elif kind == GELU:
        for i in range(n):
            h[i] = HALF * z[i] * (ONE + erf(z[i] * SQRT_HALF))
    elif kind == SILU:
        for i in range(n):
            h[i] = z[i] * sigmoid(z[i])
    elif kind == LEAKY_RELU:
        for i in range(n):
            h[i] = z[i] if z[i] > ZERO else LEAK * z[i]
    elif kind == RELU6:
        for i in range(n):
            h[i] = SIX if z[i] >= SIX else (z[i] if not z[i] <= ZERO else ZERO)
    elif kind == ELU:
        for i in range(n):
            h[i] = z[i] if z[i] > ZERO else exp(min(z[i], ZERO)) - ONE
    elif kind == SELU:
        for i in range(n):
            h[i] = SELU_SCALE * z[i] if z[i] > ZERO else SELU_BOTH * (exp(min(z[i], ZERO)) - ONE)
    elif kind == HARDSWISH:
        for i in range(n):
            h[i] = z[i] * min(max(z[i] + THREE, ZERO), SIX) * SIXTH
    elif kind == SOFTPLUS:
        for i in range(n):
            h[i] = z[i] if z[i] > SOFTPLUS_LINEAR else F(math.log1p(math.exp(z[i])))
    else:
        for i in range(n):
            h[i] = z[i]


@inline
def backward(kind: Any, z: Array, h: Array, d: Array) -> None:
    """Multiply d by f'(z), where h = f(z)."""
    n = z.shape[0]
    if kind == RELU:
        for i in range(n):
            d[i] = d[i] if z[i] > ZERO else ZERO
    elif kind == TANH:
        for i in range(n):
            d[i] *= ONE - h[i] * h[i]
    elif kind == SIGMOID:
        for i in range(n):
            d[i] *= h[i] * (ONE - h[i])
    elif kind == GELU:
        for i in range(n):
            density = INV_SQRT_2PI * exp(-HALF * z[i] * z[i])
            d[i] *= HALF * (ONE + erf(z[i] * SQRT_HALF)) + z[i] * density
    elif kind == SILU:
        for i in range(n):
            s = sigmoid(z[i])
            d[i] *= s * (ONE + z[i] * (ONE - s))
    elif kind == LEAKY_RELU:
        for i in range(n):
            d[i] = d[i] if z[i] > ZERO else LEAK * d[i]
    elif kind == RELU6:
        for i in range(n):
            d[i] = d[i] if ZERO < z[i] < SIX else ZERO
    elif kind == ELU:
        for i in range(n):
            d[i] = d[i] if z[i] > ZERO else d[i] * (h[i] + ONE)
    elif kind == SELU:
        for i in range(n):
            d[i] *= SELU_SCALE if z[i] > ZERO else h[i] + SELU_BOTH
    elif kind == HARDSWISH:
        for i in range(n):
            d[i] *= ZERO if z[i] <= -THREE else (ONE if z[i] >= THREE else z[i] * THREE * SIXTH * F(2.0 / 3.0) + HALF)
    elif kind == SOFTPLUS:
        for i in range(n):
            d[i] *= ONE if z[i] > SOFTPLUS_LINEAR else sigmoid(z[i])
