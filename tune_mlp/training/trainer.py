"""The trainer trains a job's runs, one for each fold and seed, in lockstep: an epoch of each, then the next epoch.

It keeps the best epoch's weights, and knows when the trial has come to its own end.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tune_mlp.engines.base import FoldRun
from tune_mlp.engines.running_scores import nan_scores
from tune_mlp.records import LAST_RANK, EpochRecord, mean_metrics, rank, spread
from tune_mlp.seeds import repeated
from tune_mlp.training.digest import weights_digest
from tune_mlp.training.job import TrainJob
from tune_mlp.training.patience import Patience

Weights = dict[str, torch.Tensor]


@dataclass(frozen=True)
class StepLosses:
    """The loss of each step of one run's epoch."""

    epoch: int
    repeat: int
    fold: int
    losses: NDArray[np.float32]


class Trainer:
    """Trains one job. Its metric of an epoch is the mean over its runs, of which each of its seeds has one for each fold."""

    def __init__(self, job: TrainJob) -> None:
        self._job = job
        self._patience = Patience(job.patience, job.mode)
        self._runs: list[FoldRun] = [
            job.engine.start(job.config, job.problem, fold, repeated(job.seed, repeat), job.device)
            for repeat in range(job.seeds)
            for fold in range(len(job.problem.folds))
        ]
        """Seed by seed, fold by fold."""
        self._step_losses: list[StepLosses] = []
        self._best_weights: list[Weights] = []
        self.epoch = 0
        """The number of epochs that have been trained."""
        self.diverged = False
        self.best_epoch: int | None = None
        """The epoch with the best metric; of several the one with the lowest validation loss, and of these the first."""
        self.best_metrics: dict[str, float] = {}
        """The mean of each metric in the best epoch."""
        self.best_outcomes: NDArray[Any] | None = None
        """What became of each validation sample in the best epoch, in the order of the dataset, whatever fold it was in: bool [seeds,
        samples], whether its class was found; or float32 [seeds, samples, targets], the errors in the targets' own units.

        It is None where there is no best epoch, or where an earlier version left it out of the state."""

    @property
    def done(self) -> bool:
        """True if the trial has come to its own end: it has trained all epochs, has no patience left, or has diverged."""
        return self.epoch >= self._job.epochs or self._patience.over or self.diverged

    @property
    def weights(self) -> int:
        """The number of weights that one fold's model trains."""
        return self._runs[0].weights

    def step(self, until_epoch: int, seconds: float = math.inf) -> list[EpochRecord]:
        """Train up to `until_epoch`, or until an epoch ends after this many seconds; return what was recorded.

        At least one epoch is trained, unless the trial is done.
        """
        start = time.monotonic()
        records: list[EpochRecord] = []
        while not self.done and self.epoch < until_epoch:
            records += self._train_epoch()
            if time.monotonic() - start >= seconds:
                break
        return records

    def _train_epoch(self) -> list[EpochRecord]:
        self.epoch += 1
        records: list[EpochRecord] = []
        for place in range(len(self._runs)):
            # When one run diverges the trial has diverged: the runs after it aren't trained, and their records say so.
            records.append(self._not_trained(place) if self.diverged else self._train_run(place))
            self.diverged = not records[-1].finite
        if self.diverged:
            return records
        metrics = mean_metrics(records)
        self._patience = self._patience.after(metrics[self._job.metric])
        if self._rank(metrics) < self._rank(self.best_metrics):
            self.best_epoch, self.best_metrics = self.epoch, metrics
            self._best_weights = [copied(run.module().state_dict()) for run in self._runs]
            self.best_outcomes = self._outcomes()
        return records

    def _rank(self, metrics: Mapping[str, float]) -> tuple[float, float]:
        """Rank an epoch by its metrics; an epoch without metrics comes last."""
        return rank(metrics[self._job.metric], metrics["val_loss"], self._job.mode) if metrics else LAST_RANK

    def _train_run(self, place: int) -> EpochRecord:
        run, problem = self._runs[place], self._job.problem
        dataset, (repeat, fold) = problem.dataset, divmod(place, len(problem.folds))
        start = time.perf_counter()
        trained = run.train_epoch(self.epoch)
        train_seconds = time.perf_counter() - start
        if self._job.keep_steps:
            self._step_losses.append(StepLosses(self.epoch, repeat, fold, trained.losses))
        if all(math.isfinite(score) for score in trained.scores.values()):
            validation = run.evaluate(dataset.x, dataset.y, problem.folds[fold].validation, further=self._job.further)
        else:
            validation = nan_scores(dataset.task, self._job.further)
        return EpochRecord(
            epoch=self.epoch,
            fold=fold,
            metrics=_named("train", trained.scores) | _named("val", validation),
            steps=trained.steps,
            train_seconds=train_seconds,
            seconds=time.perf_counter() - start,
            repeat=repeat,
        )

    def _not_trained(self, place: int) -> EpochRecord:
        problem = self._job.problem
        repeat, fold = divmod(place, len(problem.folds))
        task = problem.dataset.task
        metrics = _named("train", nan_scores(task)) | _named("val", nan_scores(task, self._job.further))
        return EpochRecord(self.epoch, fold, metrics, steps=0, train_seconds=0.0, seconds=0.0, repeat=repeat)

    def take_step_losses(self) -> list[StepLosses]:
        """Return the losses of all steps since the last call."""
        taken, self._step_losses = self._step_losses, []
        return taken

    def best_weights(self) -> list[Weights]:
        """Return the best epoch's state dict of each run, seed by seed, fold by fold.

        The list is empty as long as no epoch had a finite metric.
        """
        return [copied(weights) for weights in self._best_weights]

    @cached_property
    def _dataset_order(self) -> NDArray[np.int64]:
        """The places of all folds' validation samples, in the order of the dataset."""
        return np.argsort(np.concatenate([fold.validation for fold in self._job.problem.folds]), kind="stable")

    def _outcomes(self) -> NDArray[Any]:
        """Return the outcomes of all runs' last evaluations, as `best_outcomes` has them."""
        folds = len(self._job.problem.folds)
        outcomes = [run.outcomes for run in self._runs]
        by_seed = (np.concatenate(outcomes[i : i + folds]) for i in range(0, len(outcomes), folds))
        return np.stack([of_one_seed[self._dataset_order] for of_one_seed in by_seed])

    def weights_digest(self) -> str:
        """Return the digest of the current weights of all runs, seed by seed, fold by fold."""
        return weights_digest(*(run.module().state_dict() for run in self._runs))

    def test(self) -> dict[str, float]:
        """Score the best epoch's weights on the test part, as `test_weights` does.

        The scores are empty where there is no test part or no best epoch.
        """
        return test_weights(self._job, self._best_weights) if self._best_weights else {}

    def forget_best(self) -> None:
        """Begin the search for the best epoch, and the patience, again: the state that was loaded is another trial's."""
        self._patience = Patience(self._patience.limit, self._patience.mode)
        self.best_epoch, self.best_metrics, self._best_weights, self.best_outcomes = None, {}, [], None

    def state(self) -> dict[str, Any]:
        """Return all that a later `load_state` needs to go on bit for bit, as copied tensors and plain values."""
        return {
            "epoch": self.epoch,
            "diverged": self.diverged,
            "patience": {"best": self._patience.best, "waited": self._patience.waited},
            "best_epoch": self.best_epoch,
            "best_metrics": dict(self.best_metrics),
            "best_weights": self.best_weights(),
            "best_outcomes": None if self.best_outcomes is None else torch.from_numpy(self.best_outcomes.copy()),
            "runs": [run.state() for run in self._runs],
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned in another trainer."""
        for run, its_state in zip(self._runs, state["runs"], strict=True):
            run.load_state(its_state)
        self.epoch = state["epoch"]
        self.diverged = state["diverged"]
        self._patience = replace(self._patience, **state["patience"])
        self.best_epoch = state["best_epoch"]
        self.best_metrics = dict(state["best_metrics"])
        self._best_weights = [copied(weights) for weights in state["best_weights"]]
        left: torch.Tensor | None = state.get("best_outcomes")
        self.best_outcomes = None if left is None else left.numpy().copy()


def test_weights(job: TrainJob, weights: Sequence[Weights]) -> dict[str, float]:
    """Score state dicts, seed by seed, fold by fold, on the test part of the job's problem; return the mean scores.

    `test_*_std` are the standard deviations over the seeds, or over the folds where there is one seed. The scores are
    empty where there is no test part.
    """
    dataset, folds = job.problem.dataset, len(job.problem.folds)
    if not len(dataset.x_test):
        return {}
    scores: list[dict[str, float]] = []
    for place, its_weights in enumerate(weights):
        run = job.engine.start(job.config, job.problem, place % folds, 0, job.device)
        run.module().load_state_dict(its_weights)
        scores.append(run.evaluate(dataset.x_test, dataset.y_test, further=job.further))
    return mean_test_scores(scores, folds)


def mean_test_scores(scores: Sequence[Mapping[str, float]], folds: int) -> dict[str, float]:
    """Return the means and deviations that `test_weights` describes of scores, seed by seed, fold by fold."""
    found: dict[str, float] = {}
    for name in scores[0]:
        values = [score[name] for score in scores]
        found[f"test_{name}"] = math.fsum(values) / len(values)
        if len(values) > 1:
            by_seed = [math.fsum(values[i : i + folds]) / folds for i in range(0, len(values), folds)]
            found[f"test_{name}_std"] = spread(by_seed if len(by_seed) > 1 else values)
    return found


def _named(part: str, scores: Mapping[str, float]) -> dict[str, float]:
    return {f"{part}_{name}": value for name, value in scores.items()}


def copied(weights: Mapping[str, torch.Tensor]) -> Weights:
    """Copy a state dict to the CPU."""
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in weights.items()}
