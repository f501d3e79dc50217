"""Training anew on all samples but the test part, for as many epochs as were best in validation: no sample chooses any more."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from tune_mlp.config import DataSettings, TrialConfig
from tune_mlp.data.dataset import Fold, Problem
from tune_mlp.data.transforms import fit_inputs, fit_targets
from tune_mlp.engines.base import Engine
from tune_mlp.seeds import repeated
from tune_mlp.training.trainer import Weights, copied


def whole(problem: Problem, settings: DataSettings) -> Problem:
    """The problem with one fold, in which every sample trains and none validates."""
    dataset = problem.dataset
    every = np.arange(len(dataset.x))
    missing = any(fold.inputs.fill is not None for fold in problem.folds)
    fold = Fold(
        every,
        every[:0],
        fit_inputs(dataset.x, settings.normalize, missing),
        fit_targets(dataset.y, settings.scale_target),
    )
    return replace(problem, folds=(fold,))


@dataclass(frozen=True)
class Retrained:
    """What came of it."""

    weights: list[Weights]
    """One state dict a seed."""
    scores: dict[str, float]
    """`retrained_*`: on the samples that it was trained on, the seeds' mean."""


def retrain(
    config: TrialConfig, problem: Problem, engine: Engine, *, seed: int, seeds: int, epochs: int, device: str = "cpu"
) -> Retrained | None:
    """Train on a `whole` problem; None where it diverges, which it may, though it didn't on fewer samples."""
    dataset = problem.dataset
    weights: list[Weights] = []
    scores: list[dict[str, float]] = []
    for repeat in range(seeds):
        run = engine.start(config, problem, 0, repeated(seed, repeat), device)
        for epoch in range(1, epochs + 1):
            trained = run.train_epoch(epoch)
            if not all(map(math.isfinite, trained.scores.values())):
                return None
        scores.append(run.evaluate(dataset.x, dataset.y))
        weights.append(copied(run.module().state_dict()))
    mean = {f"retrained_{name}": math.fsum(score[name] for score in scores) / seeds for name in scores[0]}
    return Retrained(weights, mean)
