"""Dropout whose masks are drawn in shared code, so that all engines drop the same units."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tune_mlp.seeds import derive

LEVELS = 2**16


def mask_generator(seed: int, fold: int, epoch: int) -> np.random.Generator:
    """What an epoch's masks are drawn from, chunk after chunk of `batches.chunks`."""
    return np.random.Generator(np.random.SFC64(derive(seed, "dropout", fold, epoch)))


def draw_masks(generator: np.random.Generator, samples: int, units: int, p: float) -> NDArray[np.uint8]:
    """[samples, units of all hidden layers]: 1 where a unit is kept; p is met to within 1/65536."""
    count = samples * units
    drawn = generator.bit_generator.random_raw(-(-count // 4)).view(np.uint16)[:count]
    return (drawn >= round(p * LEVELS)).view(np.uint8).reshape(samples, units)


class Dropout(nn.Dropout):
    """Dropout by the mask it was given last; as nn.Dropout where there is none."""

    mask: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.mask is None or not self.training:
            return super().forward(x)
        return x * self.mask * (1.0 / (1.0 - self.p))
