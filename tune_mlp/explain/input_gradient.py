"""The gradient of a net's answer by its inputs: which pixels or columns of a sample move the score of what the net answers."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tune_mlp.data.encoder import TableEncoder
from tune_mlp.models.average import Average
from tune_mlp.prediction.fitted_model import FittedModel


def input_gradient(model: FittedModel, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return how much the score of each sample's answer rises with each of its encoded inputs, [n, inputs].

    The score is that before a softmax, which would leave no gradient where the net is sure. Of a regression it is the sum of the answers.
    """
    x = torch.from_numpy(inputs).clone().requires_grad_(True)
    scores = _scores(model.module, x)
    if model.task == "classification":
        scores = scores.gather(1, model.module(x).argmax(dim=1, keepdim=True))
    found: NDArray[np.float64] = torch.autograd.grad(scores.sum(), x)[0].double().numpy()
    return found


def by_pixel(model: FittedModel, samples: NDArray[np.float32], gradient: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the gradient by the raw numbers of samples, from that by encoded inputs, [n, pixels]."""
    scaler = model.scaler
    assert not isinstance(scaler, TableEncoder)
    if not scaler.per_sample:
        return gradient * scaler.scale.astype(np.float64)
    raw = samples.astype(np.float64)
    spread = raw.std(axis=1, keepdims=True)
    spread[spread == 0] = 1
    scaled = (raw - raw.mean(axis=1, keepdims=True)) / spread
    along = (gradient * scaled).mean(axis=1, keepdims=True)
    moved: NDArray[np.float64] = (gradient - gradient.mean(axis=1, keepdims=True) - scaled * along) / spread
    return moved


def by_column(model: FittedModel, gradient: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how strongly each of a table's columns moves the answer, [n, columns]: the norm of the gradient by its encoded inputs.

    Encoded inputs have about the same spread, so columns can be compared with each other.
    """
    encoder = model.scaler
    assert isinstance(encoder, TableEncoder)
    places = {name: place for place, name in enumerate(model.feature_names_in_)}
    squares = np.zeros((len(gradient), len(places)))
    start = 0
    for column, encoding in zip(encoder.columns, encoder.encodings, strict=True):
        end = start + len(encoding.features)
        squares[:, places[column.source]] += (gradient[:, start:end] ** 2).sum(axis=1)
        start = end
    strength: NDArray[np.float64] = np.sqrt(squares)
    return strength


def _scores(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Return a net's outputs before a softmax; of several nets their mean."""
    nets = list(module.nets) if isinstance(module, Average) else [module]
    bare = [
        nn.Sequential(*(layer for layer in net if not isinstance(layer, nn.LogSoftmax)))
        for net in nets
        if isinstance(net, nn.Sequential)
    ]
    return torch.stack([net(x) for net in bare]).mean(dim=0)
