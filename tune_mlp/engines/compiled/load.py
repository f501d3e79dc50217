"""Compiling ahead: every kernel in every form that studies use, so that no trial waits for the compiler."""

from __future__ import annotations

import time

import numpy as np

from tune_mlp.config import DataSettings, TrialConfig
from tune_mlp.data.dataset import Dataset
from tune_mlp.data.split import make_problem
from tune_mlp.engines.compiled.cache import note_compiled
from tune_mlp.engines.compiled.engine import CompiledEngine


def load_kernels() -> float:
    """Train a handful of samples in each way that there is; returns the seconds that it took. What is on disk already
    is only loaded."""
    start = time.perf_counter()
    pictures = np.arange(64, dtype=np.uint8).reshape(16, 4)
    for x in (pictures, pictures.astype(np.float32)):
        dataset = Dataset("warm", "classification", x, np.arange(16) % 2, x[:2], np.arange(2), classes=("0", "1"))
        problem = make_problem(dataset, DataSettings(name="warm", test=0.0), seed=0)
        for batch_size in (1, 4):
            run = CompiledEngine().start(TrialConfig(batch_size=batch_size), problem, 0, 0)
            run.train_epoch(1)
            run.evaluate(dataset.x, dataset.y)
    note_compiled()
    return time.perf_counter() - start
