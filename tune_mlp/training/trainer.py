"""The trainer: one run per fold and seed, stepped in lockstep, with the best epoch's weights and the trial's own end."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tune_mlp.config import TrialConfig
from tune_mlp.data.dataset import Problem
from tune_mlp.engines.base import Engine, FoldRun
from tune_mlp.errors import UsageError
from tune_mlp.records import SCORES, EpochRecord, Mode, mean_metrics, metric_names, spread
from tune_mlp.seeds import repeated
from tune_mlp.training.patience import Patience

Weights = dict[str, torch.Tensor]


@dataclass(frozen=True)
class StepLosses:
    """One run's epoch, step by step."""

    epoch: int
    repeat: int
    fold: int
    losses: NDArray[np.float32]


class Trainer:
    """Trains one trial; its metric of an epoch is the mean over its runs: one per fold, from each of its seeds."""

    def __init__(
        self,
        config: TrialConfig,
        problem: Problem,
        engine: Engine,
        *,
        seed: int,
        metric: str,
        mode: Mode,
        epochs: int,
        patience: int | None = None,
        seeds: int = 1,
        keep_steps: bool = False,
        device: str = "cpu",
    ) -> None:
        task = problem.dataset.task
        names = metric_names(task, "train") + metric_names(task, "val")
        if metric not in names:
            raise UsageError(f"metric: {task} has {', '.join(names)}, got {metric}")
        self._config, self._problem, self._engine, self._device = config, problem, engine, device
        self._metric = metric
        self._epochs = epochs
        self._patience = Patience(patience, mode)
        self._runs: list[FoldRun] = [
            engine.start(config, problem, fold, repeated(seed, repeat), device)
            for repeat in range(seeds)
            for fold in range(len(problem.folds))
        ]
        """Seed by seed, fold by fold."""
        self._keep_steps = keep_steps
        self._step_losses: list[StepLosses] = []
        self._best_weights: list[Weights] = []
        self.epoch = 0
        """Epochs trained so far."""
        self.diverged = False
        self.best_epoch: int | None = None
        self.best_metrics: dict[str, float] = {}
        """The mean of each metric in the best epoch."""

    @property
    def done(self) -> bool:
        """Has the trial come to its own end: all epochs, no patience left, or diverged?"""
        return self.epoch >= self._epochs or self._patience.over or self.diverged

    @property
    def weights(self) -> int:
        """How many numbers one fold's model trains."""
        return self._runs[0].weights

    def step(self, until_epoch: int, seconds: float = math.inf) -> list[EpochRecord]:
        """Train up to and with `until_epoch`, or until an epoch ends after so many seconds; one epoch at least."""
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
            # One run's divergence is the trial's: the runs after it are left, and their records say so.
            records.append(self._not_trained(place) if self.diverged else self._train_run(place))
            self.diverged = not records[-1].finite
        if self.diverged:
            return records
        metrics = mean_metrics(records)
        self._patience = self._patience.after(metrics[self._metric])
        if self._patience.improved:
            self.best_epoch, self.best_metrics = self.epoch, metrics
            self._best_weights = [copied(run.module().state_dict()) for run in self._runs]
        return records

    def _train_run(self, place: int) -> EpochRecord:
        run, dataset = self._runs[place], self._problem.dataset
        repeat, fold = divmod(place, len(self._problem.folds))
        start = time.perf_counter()
        trained = run.train_epoch(self.epoch)
        train_seconds = time.perf_counter() - start
        if self._keep_steps:
            self._step_losses.append(StepLosses(self.epoch, repeat, fold, trained.losses))
        if all(math.isfinite(score) for score in trained.scores.values()):
            validation = run.evaluate(dataset.x, dataset.y, self._problem.folds[fold].validation)
        else:
            validation = dict.fromkeys(SCORES[dataset.task], math.nan)
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
        repeat, fold = divmod(place, len(self._problem.folds))
        nothing = dict.fromkeys(SCORES[self._problem.dataset.task], math.nan)
        metrics = _named("train", nothing) | _named("val", nothing)
        return EpochRecord(self.epoch, fold, metrics, steps=0, train_seconds=0.0, seconds=0.0, repeat=repeat)

    def take_step_losses(self) -> list[StepLosses]:
        """The losses of all steps since this was last asked."""
        taken, self._step_losses = self._step_losses, []
        return taken

    def best_weights(self) -> list[Weights]:
        """The best epoch's state dict of each run, seed by seed, fold by fold; empty while no epoch has a finite metric."""
        return [copied(weights) for weights in self._best_weights]

    def test(self) -> dict[str, float]:
        """The best epoch's weights on the test part, as `test_weights`; empty where there is no test part or no best."""
        if not self._best_weights:
            return {}
        return test_weights(self._config, self._problem, self._engine, self._best_weights, self._device)

    def forget_best(self) -> None:
        """Start the search for the best epoch, and the patience, anew: after a state that was another trial's."""
        self._patience = Patience(self._patience.limit, self._patience.mode)
        self.best_epoch, self.best_metrics, self._best_weights = None, {}, []

    def state(self) -> dict[str, Any]:
        """All that a later `load_state` needs to go on bit for bit: tensors and plain values only, copied."""
        return {
            "epoch": self.epoch,
            "diverged": self.diverged,
            "patience": {"best": self._patience.best, "waited": self._patience.waited},
            "best_epoch": self.best_epoch,
            "best_metrics": dict(self.best_metrics),
            "best_weights": self.best_weights(),
            "runs": [run.state() for run in self._runs],
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        for run, its_state in zip(self._runs, state["runs"], strict=True):
            run.load_state(its_state)
        self.epoch = state["epoch"]
        self.diverged = state["diverged"]
        self._patience = replace(self._patience, **state["patience"])
        self.best_epoch = state["best_epoch"]
        self.best_metrics = dict(state["best_metrics"])
        self._best_weights = [copied(weights) for weights in state["best_weights"]]


def test_weights(
    config: TrialConfig,
    problem: Problem,
    engine: Engine,
    weights: Sequence[Weights],
    device: str = "cpu",  # noqa: PT028 - a function that tests, not a test function
) -> dict[str, float]:
    """Mean scores on the test part of each run's state dict, seed by seed, fold by fold; of several seeds also their
    spread, `test_*_std`. Empty where there is no test part."""
    dataset, folds = problem.dataset, len(problem.folds)
    if not len(dataset.x_test):
        return {}
    scores: list[dict[str, float]] = []
    for place, its_weights in enumerate(weights):
        run = engine.start(config, problem, place % folds, 0, device)
        run.module().load_state_dict(its_weights)
        scores.append(run.evaluate(dataset.x_test, dataset.y_test))
    found: dict[str, float] = {}
    for name in scores[0]:
        values = [score[name] for score in scores]
        found[f"test_{name}"] = math.fsum(values) / len(values)
        if len(values) > folds:
            by_seed = [math.fsum(values[i : i + folds]) / folds for i in range(0, len(values), folds)]
            found[f"test_{name}_std"] = spread(by_seed)
    return found


def _named(part: str, scores: Mapping[str, float]) -> dict[str, float]:
    return {f"{part}_{name}": value for name, value in scores.items()}


def copied(weights: Mapping[str, torch.Tensor]) -> Weights:
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in weights.items()}
