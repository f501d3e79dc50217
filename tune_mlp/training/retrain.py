"""Train the winner again on the training and validation samples together, for as many epochs as were best in validation."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from tune_mlp.data.dataset import Problem
from tune_mlp.data.split import fit_fold, may_be_missing
from tune_mlp.data_settings import DataSettings
from tune_mlp.seeds import repeated
from tune_mlp.training.job import TrainJob
from tune_mlp.training.trainer import Weights, copied


def without_validation(problem: Problem, settings: DataSettings) -> Problem:
    """Return the problem with one fold, in which every sample trains and none validates."""
    dataset = problem.dataset
    every = np.arange(len(dataset.x))
    return replace(problem, folds=(fit_fold(dataset, every, every[:0], settings, may_be_missing(dataset)),))


@dataclass(frozen=True)
class Retrained:
    """The models that were trained again."""

    weights: list[Weights]
    """One state dict for each seed."""
    scores: dict[str, float]
    """`retrained_*`: the mean over the seeds of the scores on the samples that were trained on."""


def retrain(job: TrainJob) -> Retrained | None:
    """Train a job whose problem is one `without_validation`, for all its epochs.

    Return None if it diverges, which it may, though it didn't on fewer samples.
    """
    dataset = job.problem.dataset
    weights: list[Weights] = []
    scores: list[dict[str, float]] = []
    for repeat in range(job.seeds):
        run = job.engine.start(job.config, job.problem, 0, repeated(job.seed, repeat), job.device)
        for epoch in range(1, job.epochs + 1):
            trained = run.train_epoch(epoch)
            if not all(map(math.isfinite, trained.scores.values())):
                return None
        scores.append(run.evaluate(dataset.x, dataset.y))
        weights.append(copied(run.module().state_dict()))
    mean = {f"retrained_{name}": math.fsum(score[name] for score in scores) / job.seeds for name in scores[0]}
    return Retrained(weights, mean)
