"""Optimisers by name, from torch.optim, and the L1 term that none of them has.

fused=True wherever PyTorch has it: at a batch of one on 784-64-10 (one thread of a 2-core machine, PyTorch 2.13) a
whole step took 101 against 113 us with SGD's momentum and 130 against 230 us with Adam. Plain SGD of a shallow model is
the exception, with 95 against 90 us; on 784-512-512-10 it took 266 against 364 us.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from tune_mlp.config import Adam, Adamax, AdamW, RmsProp, Sgd, TrialConfig

Parameters = Sequence[nn.Parameter]

SHALLOW = 4
"""Up to this number of tensors plain SGD is faster without `fused`: weights and biases of one hidden layer and the last."""


def as_float32(value: float) -> float:
    """Return infinity for what float32 can't hold: PyTorch raises on such a number, and the trial should diverge instead."""
    return value if abs(value) <= torch.finfo(torch.float32).max else float("inf")


def sgd(parameters: Parameters, config: TrialConfig, options: Sgd) -> torch.optim.Optimizer:
    fused = options.momentum > 0 or len(parameters) > SHALLOW
    return torch.optim.SGD(
        parameters,
        lr=as_float32(config.lr),
        momentum=options.momentum,
        nesterov=options.nesterov,
        dampening=options.dampening,
        weight_decay=as_float32(config.weight_decay),
        fused=fused,
        foreach=False,
    )


def _adam_like(options: Adam | AdamW | Adamax, config: TrialConfig) -> dict[str, Any]:
    return {
        "lr": as_float32(config.lr),
        "betas": (options.beta1, options.beta2),
        "eps": as_float32(options.eps),
        "weight_decay": as_float32(config.weight_decay),
    }


def adam(parameters: Parameters, config: TrialConfig, options: Adam) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, **_adam_like(options, config), fused=True)


def adamw(parameters: Parameters, config: TrialConfig, options: AdamW) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, **_adam_like(options, config), fused=True)


def adamax(parameters: Parameters, config: TrialConfig, options: Adamax) -> torch.optim.Optimizer:
    settings = _adam_like(options, config)
    if as_float32(config.lr / (1.0 - options.beta1)) == float("inf"):  # what the first step multiplies by
        settings["lr"] = float("inf")
    return torch.optim.Adamax(parameters, **settings)


def rmsprop(parameters: Parameters, config: TrialConfig, options: RmsProp) -> torch.optim.Optimizer:
    return torch.optim.RMSprop(
        parameters,
        lr=as_float32(config.lr),
        alpha=options.alpha,
        momentum=options.momentum,
        eps=as_float32(options.eps),
        weight_decay=as_float32(config.weight_decay),
    )


# Any: each takes its own options, and `config.Optimizer` pairs the name with them.
OPTIMISERS: dict[str, Callable[[Parameters, TrialConfig, Any], torch.optim.Optimizer]] = {
    "sgd": sgd,
    "adam": adam,
    "adamw": adamw,
    "adamax": adamax,
    "rmsprop": rmsprop,
}


def build_optimiser(parameters: Parameters, config: TrialConfig) -> torch.optim.Optimizer:
    return OPTIMISERS[config.optimizer.name](parameters, config, config.optimizer)


def set_rate(optimiser: torch.optim.Optimizer, config: TrialConfig, epoch: int) -> None:
    """Set the learning rate of an epoch."""
    for group in optimiser.param_groups:
        group["lr"] = as_float32(config.lr_in(epoch))


def add_l1(matrices: Sequence[torch.Tensor], l1: float) -> None:
    """Add the L1 term's gradient, l1 * sign(weight), to gradients that are there already."""
    for matrix in matrices:
        assert matrix.grad is not None
        matrix.grad.add_(matrix.detach().sign(), alpha=l1)


def penalised_weights(model: nn.Module) -> list[torch.Tensor]:
    """Return the weights that L1 acts on: those of linear layers and convolutions, without biases and batch norm."""
    return [layer.weight for layer in model.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
