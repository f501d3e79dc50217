"""Initial weights: each distribution is drawn from a given generator, never from PyTorch's global one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import nn

from tune_mlp.config import ConstantInit, DefaultInit, Kaiming, NormalInit, UniformInit, Xavier

Layer = nn.Linear | nn.Conv2d


def fans(layer: Layer) -> tuple[int, int]:
    """Return the fan-in and the fan-out: how many inputs an output has, and how many outputs an input goes to."""
    outputs, inputs, *window = layer.weight.shape
    area = math.prod(window)
    return inputs * area, outputs * area


def _uniform(tensor: torch.Tensor, bound: float, generator: torch.Generator) -> None:
    # Scaled afterwards: uniform_(-bound, bound) raises where 2 * bound is beyond float32, and such a trial should
    # diverge like any other.
    tensor.uniform_(-1.0, 1.0, generator=generator).mul_(bound)


def _normal(tensor: torch.Tensor, std: float, generator: torch.Generator) -> None:
    tensor.normal_(generator=generator).mul_(std)


def _zero_bias(layer: Layer) -> None:
    if layer.bias is not None:  # there is none under batch norm
        layer.bias.zero_()


DISTRIBUTIONS: dict[Literal["uniform", "normal"], Callable[[torch.Tensor, float, torch.Generator], None]] = {
    # uniform in ±sqrt(3) * std has the standard deviation std
    "uniform": lambda tensor, std, generator: _uniform(tensor, math.sqrt(3.0) * std, generator),
    "normal": _normal,
}
"""The functions that fill a tensor with mean 0 and a given standard deviation."""


def default(options: DefaultInit, layer: Layer, generator: torch.Generator) -> None:
    # Both layers' reset_parameters is a kaiming_uniform_(a=sqrt(5)), which comes to this bound.
    bound = 1.0 / math.sqrt(fans(layer)[0])
    _uniform(layer.weight, bound, generator)
    if layer.bias is not None:
        _uniform(layer.bias, bound, generator)


def xavier(options: Xavier, layer: Layer, generator: torch.Generator) -> None:
    std = options.gain * math.sqrt(2.0 / sum(fans(layer)))
    DISTRIBUTIONS[options.distribution](layer.weight, std, generator)
    _zero_bias(layer)


def kaiming(options: Kaiming, layer: Layer, generator: torch.Generator) -> None:
    DISTRIBUTIONS[options.distribution](layer.weight, options.gain / math.sqrt(fans(layer)[0]), generator)
    _zero_bias(layer)


def uniform(options: UniformInit, layer: Layer, generator: torch.Generator) -> None:
    _uniform(layer.weight, options.bound, generator)
    _zero_bias(layer)


def normal(options: NormalInit, layer: Layer, generator: torch.Generator) -> None:
    _normal(layer.weight, options.std, generator)
    _zero_bias(layer)


def constant(options: ConstantInit, layer: Layer, generator: torch.Generator) -> None:
    layer.weight.zero_().add_(1.0).mul_(options.value)
    _zero_bias(layer)


# Any: each takes its own options, and `config.Init` pairs the name with them.
INITS: dict[str, Callable[[Any, Layer, torch.Generator], None]] = {
    "default": default,
    "xavier": xavier,
    "kaiming": kaiming,
    "uniform": uniform,
    "normal": normal,
    "constant": constant,
}
