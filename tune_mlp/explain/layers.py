"""What the layers of a net look like, and what they answer to samples: shapes, activations, kernels and feature maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from tune_mlp.explain.confusion import confusion, most_confused
from tune_mlp.explain.trained_net import TOGETHER, TrainedNet
from tune_mlp.models.mlp import ACTIVATIONS

Floats = NDArray[np.float64]
ACTIVE = tuple(kind for kind in (type(make()) for make in ACTIVATIONS.values()))
"""The types of the layers that are activation functions."""


class LayerOutput(NamedTuple):
    """What a hidden layer answers to samples, after its activation function."""

    name: str
    values: Floats
    """[n, units], or [n, channels, height, width] of a convolution."""


def weight_layers(net: nn.Sequential) -> list[tuple[str, nn.Linear | nn.Conv2d]]:
    """Return the layers that have weights, each with a name that says its place."""
    found = [layer for layer in net if isinstance(layer, nn.Linear | nn.Conv2d)]
    return [(layer_name(number, layer, len(found)), layer) for number, layer in enumerate(found, start=1)]


def layer_name(number: int, layer: nn.Linear | nn.Conv2d, layers: int) -> str:
    """Name a layer by its place and its size: `layer 1: 784 to 128`."""
    if isinstance(layer, nn.Conv2d):
        return f"layer {number}: {layer.out_channels} kernels of {layer.kernel_size[0]}x{layer.kernel_size[1]}"
    return f"{'output' if number == layers else 'layer'} {number}: {layer.in_features} to {layer.out_features}"


def layer_outputs(net: nn.Sequential, inputs: NDArray[np.float32]) -> list[LayerOutput]:
    """Return what each hidden layer answers to samples, after its activation."""
    parts: dict[str, list[Floats]] = {}
    with torch.inference_mode():
        for x in torch.split(torch.from_numpy(inputs), TOGETHER):
            number = 0
            for layer in net:
                x = layer(x)
                number += isinstance(layer, nn.Linear | nn.Conv2d)
                if isinstance(layer, ACTIVE):
                    parts.setdefault(f"layer {number}", []).append(x.double().numpy().copy())
    return [LayerOutput(name, np.concatenate(values)) for name, values in parts.items()]


def before_the_output(net: nn.Sequential, inputs: NDArray[np.float32]) -> Floats:
    """Return what goes into a net's last layer of weights, [n, units]: what the second-last layer makes of the samples."""
    last = max(place for place, layer in enumerate(net) if isinstance(layer, nn.Linear))
    with torch.inference_mode():
        parts = [net[:last](x).double().numpy() for x in torch.split(torch.from_numpy(inputs), TOGETHER)]
    found: Floats = np.concatenate(parts)
    return found


def hidden_layers(net: nn.Sequential) -> int:
    """Return the number of layers of weights before the last one."""
    return len(weight_layers(net)) - 1


class Chosen(NamedTuple):
    """Samples whose activations are shown."""

    places: list[int]
    """Their places among the samples."""
    words: list[str]
    """What each of them is."""


def chosen_samples(net: TrainedNet, pair: Sequence[str] = ()) -> Chosen:
    """Choose three samples of two classes: one that is taken for the other class (or that is nearest to it), and the surest of
    each class. The classes are a `pair` of names, or those that are confused most often."""
    wanted, shares = net.samples.wanted, net.probabilities
    names = net.classes
    if pair:
        one, other = names.index(pair[0]), names.index(pair[1])
    else:
        found = most_confused(confusion(wanted, net.found, len(names)))
        one, other = (found.wanted, found.found) if found else (0, 1)
    of_one, of_other = np.flatnonzero(wanted == one), np.flatnonzero(wanted == other)
    if not len(of_one) or not len(of_other):
        return Chosen([], [])
    doubtful = int(of_one[shares[of_one, other].argmax()])
    sure_one, sure_other = int(of_one[shares[of_one, one].argmax()]), int(of_other[shares[of_other, other].argmax()])
    answer = int(net.found[doubtful])
    said = f"taken for {names[answer]}" if answer != one else f"nearly taken for {names[other]}"
    words = [f"one {names[one]} that is {said}", f"one clear {names[one]}", f"one clear {names[other]}"]
    return Chosen([doubtful, sure_one, sure_other], words)


def shapes(net: nn.Sequential, inputs: int) -> pd.DataFrame:
    """Return a row for each step of a net: what it does, the shape of what comes out, and how many weights it has."""
    rows = [("input", f"{inputs}", 0)]
    x = torch.zeros(1, inputs)
    with torch.inference_mode():
        for layer in net:
            x = layer(x)
            weights = sum(parameter.numel() for parameter in layer.parameters())
            rows.append((_said(layer), "x".join(map(str, x.shape[1:])), weights))
    return pd.DataFrame(rows, columns=["step", "shape", "weights"])


def _said(layer: nn.Module) -> str:
    names = {
        nn.Conv2d: "convolution",
        nn.Linear: "linear",
        nn.MaxPool2d: "max pooling",
        nn.Flatten: "flatten",
        nn.Unflatten: "as picture",
        nn.BatchNorm1d: "batch norm",
        nn.BatchNorm2d: "batch norm",
        nn.Dropout: "dropout",
        nn.LogSoftmax: "log softmax",
    }
    for kind, name in names.items():
        if isinstance(layer, kind):
            return name
    return next((name for name, make in ACTIVATIONS.items() if type(make()) is type(layer)), type(layer).__name__)
