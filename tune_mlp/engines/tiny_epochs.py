"""Tiny epochs of every kind that an engine trains, so that what only a process's first epoch pays for has been paid."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tune_mlp.config import TrialConfig
from tune_mlp.data.dataset import Dataset
from tune_mlp.data.split import make_problem
from tune_mlp.data_settings import DataSettings
from tune_mlp.engines.base import Engine

SIDE = 8
"""Height and width of the tiny pictures."""


def train_tiny_epochs(engine: Engine, configs: Iterable[TrialConfig], device: str = "cpu") -> None:
    """Train an epoch of a handful of samples, and evaluate it, for each config: of uint8 pictures, and of float32 inputs."""
    pictures = (np.arange(32 * SIDE * SIDE) % 251).astype(np.uint8).reshape(32, SIDE * SIDE)
    pictures.flags.writeable = False  # as they come from Ray's object store
    problems = []
    for x in (pictures, pictures.astype(np.float32)):
        dataset = Dataset(
            "tiny", "classification", x, np.arange(32) % 2, x[:2], np.arange(2), ("0", "1"), shape=(SIDE, SIDE)
        )
        problems.append(make_problem(dataset, DataSettings(name="tiny", test=0.0), seed=0))
    for config in configs:
        for problem in problems:
            run = engine.start(config, problem, 0, 0, device)
            run.train_epoch(1)
            run.evaluate(problem.dataset.x, problem.dataset.y, problem.folds[0].validation)
