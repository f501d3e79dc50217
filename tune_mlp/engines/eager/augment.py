"""Augmentation: training pictures are turned and noise is added to inputs, drawn again in each epoch.

The draws depend on the seed, the fold and the epoch alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from statistics import NormalDist
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from tune_mlp.config import TrialConfig
from tune_mlp.data.batches import CHUNK
from tune_mlp.data.dataset import Dataset, Fold
from tune_mlp.engines.eager.optimisers import as_float32
from tune_mlp.models.pictures import Size, size_of
from tune_mlp.seeds import derive

Floats = NDArray[np.float32]

TOGETHER = 256
"""The number of pictures that are turned together: few calls, and little enough to stay in the cache."""


def augmented(
    config: TrialConfig, dataset: Dataset, fold: Fold, index: NDArray[np.int64], seed: int, number: int, epoch: int
) -> Iterator[tuple[Floats, NDArray[Any]]]:
    """Yield chunks of the training samples at `index`, like `batches.chunks`: raw pixels are turned, and noise is added to scaled
    inputs."""
    generator = np.random.Generator(np.random.SFC64(derive(seed, "augment", number, epoch)))
    angles = generator.uniform(-1.0, 1.0, len(index)) * math.radians(config.rotation)
    size = max(1, CHUNK // config.batch_size) * config.batch_size
    for start in range(0, len(index), size):
        rows = index[start : start + size]
        raw = dataset.x.take(rows, axis=0)
        if config.rotation > 0:
            raw = turned(raw, size_of(dataset.shape), angles[start : start + size])
        scaled = fold.inputs.apply(raw)
        if config.noise > 0:
            add_noise(scaled, generator, config.noise)
        yield scaled, fold.targets.apply(dataset.y.take(rows, axis=0))


def turned(pictures: NDArray[Any], size: Size, angles: NDArray[np.float64]) -> Floats:
    """Return flat pictures [n, features], each turned about its middle by its angle, clockwise as one sees it.

    Pixels are interpolated bilinearly, and zeros come in from outside. F.affine_grid isn't used: its product of small
    matrices took longer than all the rest.
    """
    height, width, _ = size
    across = (2 * torch.arange(width) + 1) / width - 1  # the middles of pixels where a picture goes from -1 to 1
    down = ((2 * torch.arange(height) + 1) / height - 1)[:, None]
    found = np.empty(pictures.shape, np.float32)
    for low in range(0, len(pictures), TOGETHER):
        part = slice(low, low + TOGETHER)
        raw = torch.from_numpy(pictures[part].astype(np.float32)).view(-1, *size).permute(0, 3, 1, 2)
        angle = torch.from_numpy(angles[part].astype(np.float32))[:, None, None]
        cosine, sine = angle.cos(), angle.sin()
        grid = torch.empty(len(raw), height, width, 2)
        torch.add(cosine * across, (sine * (height / width)) * down, out=grid[..., 0])
        torch.sub(cosine * down, (sine * (width / height)) * across, out=grid[..., 1])
        new = F.grid_sample(raw, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        found[part] = new.permute(0, 2, 3, 1).flatten(1).numpy()
    return found


def add_noise(x: Floats, generator: np.random.Generator, deviation: float) -> None:
    """Add Gaussian noise to x, [n, features], in place.

    It is drawn from a table of the distribution's quantiles, which takes a quarter of the time of NumPy's normal draws.
    """
    n, features = x.shape
    words = -(-features // 4)  # a row's own, so that how many rows come together doesn't matter
    places = generator.bit_generator.random_raw(n * words).view(np.uint16).reshape(n, 4 * words)[:, :features]
    with np.errstate(over="ignore", invalid="ignore"):
        levels: Floats = _quantiles() * np.float32(as_float32(deviation))
        x += levels.take(places)


@cache
def _quantiles() -> Floats:
    """Return the quantiles of the normal distribution in the middles of 65,536 equal shares, with standard deviation 1."""
    law, n = NormalDist(), 2**16
    upper = np.array([law.inv_cdf((n / 2 + i + 0.5) / n) for i in range(n // 2)])
    both = np.concatenate([-upper[::-1], upper])
    quantiles: Floats = (both / both.std()).astype(np.float32)
    return quantiles
