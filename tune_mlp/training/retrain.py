"""Train the winner again on the training and validation samples together, for as many epochs as were best in validation.

It is trained once, or from several seeds for nets that answer together.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from tune_mlp.data.dataset import Problem
from tune_mlp.data.split import fit_fold, may_be_missing
from tune_mlp.data_settings import DataSettings
from tune_mlp.engines.eager.evaluate import TrainedOn, evaluate
from tune_mlp.models.average import together
from tune_mlp.seeds import net_seed, repeated
from tune_mlp.training.job import TrainJob
from tune_mlp.training.trainer import mean_test_scores


def without_validation(problem: Problem, settings: DataSettings) -> Problem:
    """Return the problem with one fold, in which every sample trains and none validates."""
    dataset = problem.dataset
    every = np.arange(len(dataset.x))
    return replace(problem, folds=(fit_fold(dataset, every, every[:0], settings, may_be_missing(dataset)),))


class Diverged(NamedTuple):
    """A training that ended because its loss or a weight wasn't finite."""

    epoch: int


def retrain(job: TrainJob, nets: int = 1) -> list[nn.Module] | Diverged:
    """Train a job whose problem is one `without_validation`, for all its epochs.

    Return a model for each of the job's seeds, in evaluation mode: a net, or the average of several. Any of them may
    diverge, though it didn't on fewer samples.
    """
    models: list[nn.Module] = []
    for repeat in range(job.seeds):
        trained: list[nn.Module] = []
        for net in range(nets):
            seed = net_seed(repeated(job.seed, repeat), net)
            run = job.engine.start(job.config, job.problem, 0, seed, job.device)
            for epoch in range(1, job.epochs + 1):
                if not all(map(math.isfinite, run.train_epoch(epoch).scores.values())):
                    return Diverged(epoch)
            trained.append(copy.deepcopy(run.module()).eval())
        models.append(together(trained, job.config.loss))
    return models


def score_retrained(job: TrainJob, models: Sequence[nn.Module]) -> dict[str, float]:
    """Return the mean scores of what `retrain` gave: `test_*`, unless there is no test part, and `retrained_*` on the
    samples that were trained on."""
    dataset = job.problem.dataset
    trained = TrainedOn(job.config, dataset, job.problem.folds[0], torch.device(job.device))
    found: dict[str, float] = {}
    if len(dataset.x_test):
        x, y = dataset.x_test, dataset.y_test
        tested = [evaluate(model, trained, x, y, further=job.further).scores() for model in models]
        found = mean_test_scores(tested, folds=1)
    scores = [evaluate(model, trained, dataset.x, dataset.y).scores() for model in models]
    for name in scores[0]:
        found[f"retrained_{name}"] = math.fsum(score[name] for score in scores) / len(scores)
    return found
