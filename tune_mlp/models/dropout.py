"""Dropout whose masks are drawn in shared code, so that all engines drop the same units."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tune_mlp.seeds import derive

LEVELS = 2**16
TOGETHER = 2**24
"""About so many units are drawn together: those of a CNN are many."""


def mask_generator(seed: int, fold: int, epoch: int) -> np.random.Generator:
    """What an epoch's masks are drawn from, chunk after chunk of `batches.chunks`."""
    return np.random.Generator(np.random.SFC64(derive(seed, "dropout", fold, epoch)))


def draw_masks(generator: np.random.Generator, samples: int, units: int, p: float) -> NDArray[np.uint8]:
    """[samples, units of all hidden layers]: 1 where a unit is kept; p is met to within 1/65536."""
    count = samples * units
    drawn = generator.bit_generator.random_raw(-(-count // 4)).view(np.uint16)[:count]
    return (drawn >= round(p * LEVELS)).view(np.uint8).reshape(samples, units)


def draw_by_batch(
    generator: np.random.Generator, samples: int, batch_size: int, units: int, p: float
) -> Iterator[NDArray[np.uint8]]:
    """What `draw_masks` gives for all samples, batch by batch and never much of it at a time."""
    four = 4 * batch_size  # four units are drawn from one number: a multiple of that leaves none of it over
    piece = four * max(1, TOGETHER // (four * units))
    for start in range(0, samples, piece):
        drawn = draw_masks(generator, min(piece, samples - start), units, p)
        for low in range(0, len(drawn), batch_size):
            yield drawn[low : low + batch_size]


class Dropout(nn.Dropout):
    """Dropout by the mask it was given last; as nn.Dropout where there is none.

    `shape` is that of a sample: (units,), or (channels, height, width).
    """

    def __init__(self, p: float, shape: tuple[int, ...]) -> None:
        super().__init__(p)
        self.shape = shape
        self.mask: torch.Tensor | None = None
        """As the inputs, 1 where a unit is kept."""

    @property
    def units(self) -> int:
        return math.prod(self.shape)

    def take(self, drawn: torch.Tensor) -> None:
        """Use this part of `draw_masks`, [n, units]: of a picture each pixel's channels, pixel by pixel, which is how
        they lie in memory."""
        if len(self.shape) == 3:
            channels, *size = self.shape
            drawn = drawn.view(len(drawn), *size, channels).permute(0, 3, 1, 2)
        self.mask = drawn

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.mask is None or not self.training:
            return super().forward(x)
        return x * (self.mask * (1.0 / (1.0 - self.p)))
