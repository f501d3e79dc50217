"""A small CNN as a plain nn.Sequential: convolutions, then an MLP's layers.

Samples come flat, as an MLP's do, and the first layer makes pictures of them. It has no weights, so that a Sequential
written by hand, with nn.Unflatten or anything else in its place, loads the state dict without tune_mlp.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from tune_mlp.config import Cnn, TrialConfig
from tune_mlp.models.dropout import Dropout
from tune_mlp.models.layers import Conv, PictureNorm
from tune_mlp.models.mlp import ACTIVATIONS, dense_layers, drawn
from tune_mlp.models.pictures import Size, pooled, size_of


class Pictures(nn.Unflatten):
    """Turns [n, height * width * channels] into [n, channels, height, width].

    Channels stay last in memory: PyTorch's pooling is vectorised there, and an epoch of MNIST took 7.4 s in place of 9.2 s.
    """

    def __init__(self, size: Size) -> None:
        super().__init__(1, tuple(size))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).permute(0, 3, 1, 2)


def build_cnn(shape: tuple[int, ...], outputs: int, config: TrialConfig, seed: int) -> nn.Sequential:
    """Build the CNN of a configuration, as `build_mlp` builds an MLP; `shape` is `Dataset.shape`."""
    model = config.model
    assert isinstance(model, Cnn)
    generator = torch.Generator().manual_seed(seed)
    size = size_of(shape)
    flat = pooled(size, model)
    layers: list[nn.Module] = [Pictures(size)]
    for channels in model.channels:
        conv = Conv(size.channels, channels, model.kernel, padding=model.kernel // 2, bias=not config.batch_norm)
        layers.append(drawn(conv, config, generator))
        if config.batch_norm:
            layers.append(PictureNorm(channels))
        activation = ACTIVATIONS[config.activation]()
        if isinstance(activation, nn.ReLU):
            activation.inplace = True  # nobody needs its inputs again, and writing them anew took a fifth of an epoch
        layers.append(activation)
        if model.pool > 1:
            layers.append(nn.MaxPool2d(model.pool))
        size = Size(size.height // model.pool, size.width // model.pool, channels)
        if config.dropout > 0:
            layers.append(Dropout(config.dropout, (channels, size.height, size.width)))
    layers += [nn.Flatten(), *dense_layers(math.prod(flat), outputs, config, generator)]
    whole = nn.Sequential(*layers)
    whole.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return whole
