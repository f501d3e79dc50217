"""The loss functions by name: each takes outputs [n, outputs] and targets, and returns the mean loss."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional as F

from tune_mlp.config import REGRESSION_LOSSES, Loss

LossFunction = Callable[..., torch.Tensor]
"""A function of outputs and targets, and of `reduction`, as PyTorch's losses are."""

# Regression losses take the mean over samples and outputs alike.
LOSSES: dict[str, LossFunction] = {
    "cross_entropy": F.cross_entropy,
    "nll": F.nll_loss,
    "multi_margin": F.multi_margin_loss,
    "mse": F.mse_loss,
    "mae": F.l1_loss,
    "smooth_l1": F.smooth_l1_loss,
}


def weighted(loss: LossFunction, weights: torch.Tensor) -> LossFunction:
    """Return the loss with each sample's share multiplied by its class's weight, `weights` [classes]."""

    def weighted_loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        each = loss(outputs, targets, reduction="none")
        if targets.is_floating_point():  # one-hot rows, for the losses that compare numbers
            return (each.mean(dim=1) * (targets @ weights)).mean()
        return (each * weights[targets]).mean()

    return weighted_loss


def loss_targets(loss: Loss, y: torch.Tensor, outputs: int) -> torch.Tensor:
    """Return the targets that `LOSSES[loss]` takes: where the loss compares numbers, classes become one-hot rows."""
    if loss in REGRESSION_LOSSES and not y.is_floating_point():
        return F.one_hot(y, outputs).to(torch.float32)
    return y
