"""Which pictures the output units of a net answer to: products of its weights, and pictures found by gradient ascent."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tune_mlp.data.encoder import TableEncoder
from tune_mlp.explain.trained_net import TrainedNet
from tune_mlp.seeds import derive

STEPS, RATE = 100, 0.1
"""The number of steps of gradient ascent, and how far each changes the pixel that matters most; a pixel goes from 0 to 1."""
KEPT = nn.Linear | nn.Conv2d | nn.Flatten | nn.Unflatten | nn.BatchNorm1d | nn.BatchNorm2d
"""The layers that are linear once a net is trained."""


def receptive_fields(nets: list[nn.Sequential], inputs: int) -> NDArray[np.float64]:
    """Return [outputs, inputs]: how much each input adds to each output if every activation is left out.

    That is the product of the weight matrices, and of what batch norm multiplies with. Of a CNN the pooling is a mean. It is
    the mean of several nets.
    """
    fields = [_field(net, inputs) for net in nets]
    found: NDArray[np.float64] = np.mean(fields, axis=0)
    return found


def _field(net: nn.Sequential, inputs: int) -> NDArray[np.float64]:
    linear = nn.Sequential(
        *(
            nn.AvgPool2d(layer.kernel_size) if isinstance(layer, nn.MaxPool2d) else layer
            for layer in net
            if isinstance(layer, KEPT | nn.MaxPool2d)
        )
    ).eval()
    x = torch.zeros(1, inputs, requires_grad=True)
    outputs = linear(x)[0]
    rows = [torch.autograd.grad(output, x, retain_graph=True)[0][0] for output in outputs]
    found: NDArray[np.float64] = torch.stack(rows).double().numpy()
    return found


class Ascent(NamedTuple):
    """Pictures that gradient ascent made, one for each class."""

    pictures: NDArray[np.float64]
    """[classes, pixels], from 0 to 1."""
    before: NDArray[np.float64]
    """The output of each class for the random picture that its ascent began with, [classes]."""
    after: NDArray[np.float64]
    """The same for the picture that it ended with."""
    probabilities: NDArray[np.float64]
    """The probability that the net gives to each class for its picture, [classes]."""


def ascend(net: TrainedNet, seed: int = 0, steps: int = STEPS) -> Ascent:
    """Begin with a random picture, and change its pixels so that the output of a class grows, for each class."""
    generator = torch.Generator().manual_seed(derive(seed, "ascent"))
    pixels, classes = int(net.dataset.x.shape[1]), len(net.classes)
    x = torch.rand(1, pixels, generator=generator).repeat(classes, 1).requires_grad_(True)
    own = torch.arange(classes)
    before = torch.empty(0)
    for step in range(steps):
        outputs = _logits(net, _as_inputs(net, x))[own, own]
        if step == 0:
            before = outputs.detach().clone()
        gradient = torch.autograd.grad(outputs.sum(), x)[0]
        with torch.no_grad():
            largest = gradient.abs().amax(dim=1, keepdim=True).clamp(min=1e-30)
            x.add_(RATE * gradient / largest).clamp_(0, 1)
    with torch.no_grad():
        inputs = _as_inputs(net, x)
        after = _logits(net, inputs)[own, own]
        shares = net.model.probabilities(net.module(inputs).double().numpy())
    pictures = x.detach().double().numpy()
    return Ascent(
        pictures, before.double().numpy(), after.double().numpy(), shares[np.arange(classes), np.arange(classes)]
    )


def _logits(net: TrainedNet, inputs: torch.Tensor) -> torch.Tensor:
    """Return outputs before a softmax, which would leave nothing to climb once a class is sure."""
    nets = [nn.Sequential(*(layer for layer in one if not isinstance(layer, nn.LogSoftmax))) for one in net.nets]
    return torch.stack([one(inputs) for one in nets]).mean(dim=0)


def pixel_range(net: TrainedNet) -> tuple[float, float]:
    """Return the least and the largest value of a pixel."""
    x = net.dataset.x
    return (0.0, 255.0) if x.dtype == np.uint8 else (float(np.nanmin(x)), float(np.nanmax(x)))


def _as_inputs(net: TrainedNet, unit: torch.Tensor) -> torch.Tensor:
    """Scale pixels from 0 to 1 as the samples were scaled in training."""
    scaler = net.model.scaler
    assert not isinstance(scaler, TableEncoder)
    low, high = pixel_range(net)
    raw = low + (high - low) * unit
    if scaler.per_sample:
        return (raw - raw.mean(dim=1, keepdim=True)) / raw.std(dim=1, keepdim=True, correction=0)
    return raw * torch.from_numpy(scaler.scale) + torch.from_numpy(scaler.shift)
