"""Layers that start and train from what they are given: no global generator, and no batch too small."""

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
    """Batch normalisation that meets a training batch of one sample, which has no variance, with the running statistics."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training and len(x) == 1:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        return super().forward(x)


class BatchNorm(_MeetsOneSample, nn.BatchNorm1d):
    pass


class PictureNorm(_MeetsOneSample, nn.BatchNorm2d):
    """Each channel over batch, height and width. One picture would have a variance, but a setting should mean one thing."""
