"""The order of the samples in an epoch, and the scaled arrays whose slices are the batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune_mlp.data.dataset import InputTransform
from tune_mlp.data.transforms import TargetScaler
from tune_mlp.seeds import derive

CHUNK = 4096
"""The approximate number of samples that are gathered and scaled together: few NumPy calls an epoch, and little memory."""


def epoch_order(n: int, seed: int, fold: int, epoch: int) -> NDArray[np.int64]:
    """Return the order of `n` training samples in an epoch: a permutation that depends on the arguments alone."""
    generator = np.random.Generator(np.random.PCG64(derive(seed, "batches", fold, epoch)))
    return generator.permutation(n).astype(np.int64, copy=False)


def chunks(
    dataset_x: NDArray[Any],
    dataset_y: NDArray[Any],
    index: NDArray[Any],
    batch_size: int,
    inputs: InputTransform,
    targets: TargetScaler,
) -> Iterator[tuple[NDArray[np.float32], NDArray[Any]]]:
    """Yield the samples at `index`, in order, as x float32 [m, features] and y (int64 [m], or scaled float32 [m, outputs]).

    m is a multiple of `batch_size` in all chunks but the last, so batch i of a chunk is
    `x[i * batch_size : (i + 1) * batch_size]` and only an epoch's last batch is short. The arrays are new and
    writeable, while a dataset's may be read-only, as those in Ray's object store are.
    """
    size = max(1, CHUNK // batch_size) * batch_size
    for start in range(0, len(index), size):
        rows = index[start : start + size]
        yield inputs.apply(dataset_x.take(rows, axis=0)), targets.apply(dataset_y.take(rows, axis=0))
