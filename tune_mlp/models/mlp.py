"""The multilayer perceptron that a TrialConfig describes, as a plain nn.Sequential.

Its state dict has the keys of the Sequential that one would write by hand (`0.weight`, `0.bias`, `2.weight`, ...), so
that it loads without tune_mlp.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import skip_init

from tune_mlp.config import TrialConfig
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


class Dropout(nn.Dropout):
    """Dropout that draws from a generator of its own; from PyTorch's global one where there is none."""

    def __init__(self, p: float, generator: torch.Generator | None = None) -> None:
        super().__init__(p)
        self.generator = generator

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return x
        keep = 1.0 - self.p
        return x * torch.empty_like(x).bernoulli_(keep, generator=self.generator).div_(keep)


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation that meets a training batch of one sample, which has no variance, with the running statistics."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training and len(x) == 1:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        return super().forward(x)


def build_mlp(
    inputs: int, outputs: int, config: TrialConfig, seed: int, dropout: torch.Generator | None = None
) -> nn.Sequential:
    """On the CPU, whatever device it goes to later: the same seed means the same weights everywhere.

    `dropout` is what the masks are drawn from; it has to be on the device that the model will run on.
    """
    generator = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    width = inputs
    for hidden in config.hidden:
        layers.append(_linear(width, hidden, config, generator))
        if config.batch_norm:
            layers.append(BatchNorm(hidden))
        layers.append(ACTIVATIONS[config.activation]())
        if config.dropout > 0:
            layers.append(Dropout(config.dropout, dropout))
        width = hidden
    layers.append(_linear(width, outputs, config, generator))
    if config.loss == "nll":
        layers.append(nn.LogSoftmax(dim=1))
    return nn.Sequential(*layers)


def _linear(inputs: int, outputs: int, config: TrialConfig, generator: torch.Generator) -> nn.Linear:
    # nn.Linear's own constructor draws its weights from the global generator.
    layer = skip_init(nn.Linear, inputs, outputs)  # type: ignore[no-untyped-call]
    assert isinstance(layer, nn.Linear)
    with torch.no_grad():
        INITS[config.init.name](config.init, layer, generator)
    return layer
