"""The multilayer perceptron that a TrialConfig describes, as a plain nn.Sequential.

Its state dict has the keys of the Sequential that one would write by hand (`0.weight`, `0.bias`, `2.weight`, ...), so
that it loads without tune_mlp.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from tune_mlp.config import TrialConfig
from tune_mlp.models.dropout import Dropout
from tune_mlp.models.init import INITS

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


class Linear(nn.Linear):
    """A linear layer whose weights are left for `INITS` to draw; nn.Linear's own would come from the global generator."""

    def reset_parameters(self) -> None:
        pass


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation that meets a training batch of one sample, which has no variance, with the running statistics."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training and len(x) == 1:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        return super().forward(x)


def build_mlp(inputs: int, outputs: int, config: TrialConfig, seed: int) -> nn.Sequential:
    """On the CPU, whatever device it goes to later: the same seed means the same weights everywhere."""
    generator = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    width = inputs
    for hidden in config.hidden:
        # Batch norm takes any bias away again: one that is there all the same would follow the noise of rounding.
        layers.append(_linear(width, hidden, config, generator, bias=not config.batch_norm))
        if config.batch_norm:
            layers.append(BatchNorm(hidden))
        layers.append(ACTIVATIONS[config.activation]())
        if config.dropout > 0:
            layers.append(Dropout(config.dropout))
        width = hidden
    layers.append(_linear(width, outputs, config, generator))
    if config.loss == "nll":
        layers.append(nn.LogSoftmax(dim=1))
    return nn.Sequential(*layers)


def _linear(inputs: int, outputs: int, config: TrialConfig, generator: torch.Generator, bias: bool = True) -> nn.Linear:
    layer = Linear(inputs, outputs, bias=bias)
    with torch.no_grad():
        INITS[config.init.name](config.init, layer, generator)
    return layer
