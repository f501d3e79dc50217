"""How the weights of each layer are spread: before training, after it, and from epoch to epoch."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import nn

from tune_mlp.explain.layers import weight_layers
from tune_mlp.explain.trained_again import Recipe, TrainedAgain, train_again

MOST_BINS = 48
MOST_EPOCHS = 8
"""The largest number of epochs whose weights are drawn."""
WeightsOfLayers = dict[str, NDArray[np.float32]]


def weights_of(nets: Sequence[nn.Sequential]) -> WeightsOfLayers:
    """Return all weights of each layer, without the biases, over all nets."""
    found: dict[str, list[NDArray[np.float32]]] = {}
    for net in nets:
        for name, layer in weight_layers(net):
            found.setdefault(name, []).append(layer.weight.detach().numpy().ravel().copy())
    return {name: np.concatenate(parts) for name, parts in found.items()}


def histograms(stages: Mapping[str, WeightsOfLayers]) -> pd.DataFrame:
    """Return a row for each stage, layer and bin: the share of the layer's weights that lie in it.

    All stages of a layer have the same bins. `attrs["spread"]` has the standard deviation by layer and stage.
    """
    rows = []
    layers = list(dict.fromkeys(name for weights in stages.values() for name in weights))
    for layer in layers:
        of_layer = {stage: weights[layer] for stage, weights in stages.items() if layer in weights}
        low = min(float(values.min()) for values in of_layer.values())
        high = max(float(values.max()) for values in of_layer.values())
        count = len(next(iter(of_layer.values())))
        bins = min(MOST_BINS, max(6, round(2 * count ** (1 / 3))))  # the rule of Rice
        edges = np.linspace(low, high if high > low else low + 1, bins + 1)
        for stage, values in of_layer.items():
            counts, _ = np.histogram(values, edges)
            rows += [
                (stage, layer, float(edges[i]), float(edges[i + 1]), float(inside / len(values)))
                for i, inside in enumerate(counts)
            ]
    frame = pd.DataFrame(rows, columns=["stage", "layer", "low", "high", "share"])
    frame.attrs["spread"] = {
        layer: {stage: float(weights[layer].std()) for stage, weights in stages.items() if layer in weights}
        for layer in layers
    }
    return frame


class WeightsByEpoch(NamedTuple):
    """The weights of some epochs of a net that was trained again."""

    epochs: dict[int, WeightsOfLayers]
    again: TrainedAgain


def weights_by_epoch(recipe: Recipe) -> WeightsByEpoch:
    """Train a net again, and keep the weights before its first epoch, after its last one and after even steps between them."""
    wanted = set(np.linspace(0, recipe.epochs, min(MOST_EPOCHS, recipe.epochs + 1)).round().astype(int).tolist())
    kept: dict[int, WeightsOfLayers] = {}

    def look(epoch: int, net: nn.Module) -> None:
        if epoch in wanted:
            kept[epoch] = weights_of([net for net in [copy.deepcopy(net).cpu()] if isinstance(net, nn.Sequential)])

    return WeightsByEpoch(kept, train_again(recipe, look))
