"""Small datasets, problems and configs for tests; each argument that isn't given is something that trains well."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune_mlp.config import TrialConfig
from tune_mlp.data.dataset import Dataset, Problem
from tune_mlp.data.split import make_problem
from tune_mlp.data_settings import DataSettings
from tune_mlp.records import Task


def dataset(
    task: Task = "classification", n: int = 240, features: int = 6, outputs: int = 3, test: int = 60, seed: int = 0
) -> Dataset:
    """Gaussian clusters, one a class; or linear functions of the inputs, bent a little and far from mean 0."""
    generator = np.random.default_rng(seed)
    total = n + test
    if task == "classification":
        centres = generator.normal(0, 2.5, (outputs, features))
        classes = generator.integers(0, outputs, total)
        x = (centres[classes] + generator.normal(0, 1, (total, features))).astype(np.float32)
        y: NDArray[Any] = classes.astype(np.int64)
    else:
        x = generator.normal(3, 2, (total, features)).astype(np.float32)
        z = (x - 3) / 2
        slopes = generator.normal(0, 1, (features, outputs))
        y = (50 + 7 * (z @ slopes + 0.3 * np.sin(z[:, :1]))).astype(np.float32)
    for array in (x, y):
        array.setflags(write=False)
    return Dataset(
        name=f"small_{task}",
        task=task,
        x=x[:n],
        y=y[:n],
        x_test=x[n:],
        y_test=y[n:],
        classes=tuple(str(c) for c in range(outputs)) if task == "classification" else (),
    )


def pictures(n: int = 240, shape: tuple[int, ...] = (8, 8), test: int = 60, seed: int = 0) -> Dataset:
    """Bars across, bars down and blocks, each somewhere: dark noise around them, as uint8."""
    generator = np.random.default_rng(seed)
    x = generator.integers(0, 60, (n + test, *shape))
    y = generator.integers(0, 3, n + test)
    for picture, kind in zip(x, y, strict=True):
        row, column = (generator.integers(1, side - 3) for side in shape[:2])
        height, width = ((1, 5), (5, 1), (3, 3))[kind]
        picture[row : row + height, column : column + width] += 190
    flat, classes = x.astype(np.uint8).reshape(n + test, -1), y.astype(np.int64)
    for array in (flat, classes):
        array.setflags(write=False)
    names = ("across", "down", "block")
    return Dataset("shapes", "classification", flat[:n], classes[:n], flat[n:], classes[n:], names, shape=shape)


def problem(task: Task = "classification", data: Dataset | None = None, **settings: Any) -> Problem:
    return make_problem(data or dataset(task), DataSettings(name="small", **settings), seed=0)


def config(**settings: Any) -> TrialConfig:
    """Make a TrialConfig; model, optimizer and init may be dicts: `config(optimizer={"name": "adam"})`."""
    return TrialConfig.model_validate({"width": 16, "batch_size": 8, "lr": 0.05, **settings})
