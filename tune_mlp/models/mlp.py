"""The multilayer perceptron that a TrialConfig describes, as a plain nn.Sequential.

Its state dict has the keys of the Sequential that one would write by hand (`0.weight`, `0.bias`, `2.weight`, ...), so
that it loads without tune_mlp.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from tune_mlp.config import TrialConfig
from tune_mlp.models.dropout import Dropout
from tune_mlp.models.init import INITS, Layer
from tune_mlp.models.layers import BatchNorm, Linear

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "identity": nn.Identity,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "relu6": nn.ReLU6,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "hardswish": nn.Hardswish,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "softplus": nn.Softplus,
}


def build_mlp(inputs: int, outputs: int, config: TrialConfig, seed: int) -> nn.Sequential:
    """Build the MLP on the CPU, whatever device it goes to later: the same seed then gives the same weights everywhere."""
    return nn.Sequential(*dense_layers(inputs, outputs, config, torch.Generator().manual_seed(seed)))


def dense_layers(inputs: int, outputs: int, config: TrialConfig, generator: torch.Generator) -> list[nn.Module]:
    """Return the hidden layers and the last one, with which every model ends."""
    layers: list[nn.Module] = []
    width = inputs
    for hidden in config.hidden:
        # Batch norm takes any bias away again: one that is there all the same would follow the noise of rounding.
        layers.append(drawn(Linear(width, hidden, bias=not config.batch_norm), config, generator))
        if config.batch_norm:
            layers.append(BatchNorm(hidden))
        layers.append(ACTIVATIONS[config.activation]())
        if config.dropout > 0:
            layers.append(Dropout(config.dropout, (hidden,)))
        width = hidden
    layers.append(drawn(Linear(width, outputs), config, generator))
    if config.loss == "nll":
        layers.append(nn.LogSoftmax(dim=1))
    return layers


def drawn(layer: Layer, config: TrialConfig, generator: torch.Generator) -> Layer:
    """Draw the layer's initial weights, and return the layer."""
    with torch.no_grad():
        INITS[config.init.name](config.init, layer, generator)
    return layer
