"""The PyTorch training loop as its users write it: TensorDataset, DataLoader, nn.Sequential, `loss.item()` each step.

The inputs are scaled once, before any clock runs, which is kinder than a transform for each picture.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tune_mlp.config import Adam, Sgd, TrialConfig


def build_model(inputs: int, outputs: int, config: TrialConfig) -> nn.Sequential:
    """Linear, batch norm where wanted, ReLU, dropout where wanted; then the output layer."""
    layers: list[nn.Module] = []
    width = inputs
    for hidden in config.hidden:
        layers.append(nn.Linear(width, hidden))
        if config.batch_norm:
            layers.append(nn.BatchNorm1d(hidden))
        layers.append(nn.ReLU())
        if config.dropout > 0:
            layers.append(nn.Dropout(config.dropout))
        width = hidden
    layers.append(nn.Linear(width, outputs))
    return nn.Sequential(*layers)


def build_optimizer(model: nn.Module, config: TrialConfig) -> torch.optim.Optimizer:
    """SGD or Adam."""
    if isinstance(config.optimizer, Adam):
        return torch.optim.Adam(model.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    assert isinstance(config.optimizer, Sgd)
    momentum = config.optimizer.momentum
    return torch.optim.SGD(model.parameters(), lr=config.lr, momentum=momentum, weight_decay=config.weight_decay)


def train_one_epoch(
    model: nn.Module, loader: DataLoader[Any], criterion: nn.Module, optimizer: torch.optim.Optimizer
) -> float:
    """Train one epoch and return its mean loss."""
    model.train()
    running_loss = 0.0
    for inputs, labels in loader:
        optimizer.zero_grad()
        outputs = model(inputs)
        loss = criterion(outputs, labels)
        loss.backward()
        optimizer.step()
        running_loss += loss.item()
    return running_loss / len(loader)


def make(x: NDArray[Any], y: NDArray[Any], config: TrialConfig) -> Callable[[], float]:
    """Return a function that trains one more epoch on x float32 [n, features] and y int64 [n], and returns its loss."""
    assert config.loss == "cross_entropy"
    assert config.activation == "relu"
    model = build_model(x.shape[1], 10, config)
    optimizer = build_optimizer(model, config)
    criterion = nn.CrossEntropyLoss()
    dataset = TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
    loader = DataLoader(dataset, batch_size=config.batch_size, shuffle=True)
    return lambda: train_one_epoch(model, loader, criterion, optimizer)
