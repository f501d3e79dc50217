"""Layers that draw nothing from the global generator, and batch norm that trains on a batch of one sample."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm


class Linear(nn.Linear):
    """A linear layer whose weights are left for `INITS` to draw; nn.Linear's own would come from the global generator."""

    def reset_parameters(self) -> None:
        pass


class Conv(nn.Conv2d):
    """A convolution that draws no initial weights of its own, like `Linear` here."""

    def reset_parameters(self) -> None:
        pass


class _MeetsOneSample(_BatchNorm):
    """Batch norm that uses the running statistics for a training batch of one sample, which has no variance."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training and len(x) == 1:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        return super().forward(x)


class BatchNorm(_MeetsOneSample, nn.BatchNorm1d):
    """Batch norm of each unit over the batch."""


class PictureNorm(_MeetsOneSample, nn.BatchNorm2d):
    """Batch norm of each channel over batch, height and width.

    A single picture does have a variance, but `batch_norm` should mean the same for every model.
    """
