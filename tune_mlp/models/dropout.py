"""Dropout, whose masks are drawn in code that all engines share, so that they drop the same units."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tune_mlp.seeds import derive

LEVELS = 2**16
TOGETHER = 2**24
"""About the number of units whose masks are drawn together: a CNN has many."""


def mask_generator(seed: int, fold: int, epoch: int) -> np.random.Generator:
    """Return the generator that an epoch's masks are drawn from, chunk after chunk of `batches.chunks`."""
    return np.random.Generator(np.random.SFC64(derive(seed, "dropout", fold, epoch)))


def draw_masks(generator: np.random.Generator, samples: int, units: int, p: float) -> NDArray[np.uint8]:
    """Return masks [samples, units of all hidden layers], with 1 where a unit is kept.

    A byte is drawn for each unit, and one more for each sample, which says whether the sample's p is the multiple of 1/256
    below p or the one above: over all samples p is met to within 1/65536.
    """
    words = units // 8 + 1
    drawn = generator.bit_generator.random_raw(samples * words).view(np.uint8).reshape(samples, 8 * words)
    below, rest = divmod(round(p * LEVELS), 256)
    least: NDArray[Any] = np.array(below, np.uint8 if below < 255 else np.uint16) + (drawn[:, :1] < rest)
    kept: NDArray[np.bool_] = drawn[:, 1 : units + 1] >= least
    return kept.view(np.uint8)


def draw_by_batch(
    generator: np.random.Generator, samples: int, batch_size: int, units: int, p: float
) -> Iterator[NDArray[np.uint8]]:
    """Yield what `draw_masks` returns for all samples, batch by batch, and never hold much of it."""
    piece = batch_size * max(1, TOGETHER // (batch_size * units))
    for start in range(0, samples, piece):
        drawn = draw_masks(generator, min(piece, samples - start), units, p)
        for low in range(0, len(drawn), batch_size):
            yield drawn[low : low + batch_size]


class Dropout(nn.Dropout):
    """Dropout by the mask that it was given last; without one it is nn.Dropout.

    `shape` is that of a sample: (units,), or (channels, height, width).
    """

    def __init__(self, p: float, shape: tuple[int, ...]) -> None:
        super().__init__(p)
        self.shape = shape
        self.mask: torch.Tensor | None = None
        """The mask has the shape of the inputs; it is 1 where a unit is kept."""

    @property
    def units(self) -> int:
        return math.prod(self.shape)

    def take(self, drawn: torch.Tensor) -> None:
        """Use this part of `draw_masks`, [n, units], as the mask.

        A picture's units are each pixel's channels, pixel by pixel, which is how they lie in memory.
        """
        if len(self.shape) == 3:
            channels, *size = self.shape
            drawn = drawn.view(len(drawn), *size, channels).permute(0, 3, 1, 2)
        self.mask = drawn

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.mask is None or not self.training:
            return super().forward(x)
        return x * (self.mask * (1.0 / (1.0 - self.p)))
