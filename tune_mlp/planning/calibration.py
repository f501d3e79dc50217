"""Calibration: each draw is trained for a moment, in as many Ray workers at once as the search will run trials.

A draw meets two random parts of its training samples, a few batches and as many as the time allows. The difference of
both gives the seconds a sample takes, and what is left over those an epoch takes besides. The time of a whole epoch
follows from its number of samples, so an epoch of an hour is measured in a second.
"""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tune_mlp.config import TrialConfig
from tune_mlp.data.dataset import Problem
from tune_mlp.errors import RunError, one_line
from tune_mlp.planning.memory import proportional
from tune_mlp.records import EpochRecord, Mode
from tune_mlp.seeds import derive
from tune_mlp.tuning.worker_pool import WorkerPool

if TYPE_CHECKING:  # torch takes two seconds to import, and only the workers need it
    from tune_mlp.training.trainer import Trainer

FEW_BATCHES, FEW_SAMPLES = 2, 64
"""The smallest size of the first, small part of the samples."""
WARM_SECONDS = 0.3
"""Each worker trains for so long before anything is measured: PyTorch's first steps take three times as long."""
MOST_EPOCHS, ENOUGH = 1000, 0.7
"""A part that is trained sooner than expected is trained again, until this share of the time is used."""
START_SECONDS = 120
"""Workers that haven't started by then wait for CPUs that other programs hold."""


@dataclass(frozen=True)
class Draw:
    """One draw, with the configuration and the seed that its trial would have."""

    number: int
    config: TrialConfig
    seed: int


@dataclass(frozen=True)
class Measured:
    """The costs of one draw in one worker while the other workers are busy, for one fold and one seed."""

    train: float
    """Seconds for each training sample."""
    evaluate: float
    """Seconds for each validation sample."""
    epoch: float
    """Seconds that an epoch takes besides its samples."""
    begin: float
    """Seconds to build the net."""
    best: float
    """Seconds to write the best weights to the disk."""
    state: float
    """Seconds to write the state that a trial resumes from."""
    best_bytes: int
    state_bytes: int
    metric: float | None
    """The metric after these few samples; None if training has diverged."""

    def epoch_seconds(self, train: int, validation: int) -> float:
        return self.epoch + self.train * train + self.evaluate * validation


@dataclass(frozen=True)
class CalibrationJob:
    """The data and settings that all calibration workers share."""

    problem: Problem
    engine: str
    metric: str
    mode: Mode
    further: tuple[str, ...]
    """The scores that are measured beside those of the task."""
    gpu: bool


class Worker:
    """A calibration worker: it trains draws for a moment, in the same way as TrialActor trains whole trials."""

    def __init__(self, task: CalibrationJob) -> None:
        start = time.monotonic()
        import torch  # noqa: F401  # timed

        from tune_mlp.engines.choose import engine

        self._task = task
        self._engine = engine(task.engine)
        self._imports = time.monotonic() - start

    def ready(self, draw: Draw) -> float:
        """Do the work that only the first trial of a process does, such as loading kernels; returns the seconds of imports."""
        self.measure([draw], 1, WARM_SECONDS)
        return self._imports

    def memory(self) -> int:
        """Return the worker's memory in bytes; memory that processes share is divided among them."""
        return proportional(os.getpid())

    def measure(self, draws: Sequence[Draw], threads: int, seconds: float) -> list[Measured | str]:
        """Measure each draw for about so many seconds; a draw that raises gives its reason instead."""
        import torch
        from threadpoolctl import threadpool_limits

        torch.set_num_threads(threads)
        threadpool_limits(threads)
        found: list[Measured | str] = []
        for draw in draws:
            try:
                found.append(self._measure(draw, seconds))
            except Exception as error:  # noqa: BLE001  # it would be the trial's end, and not the study's
                found.append(one_line(error))
        return found

    def _measure(self, draw: Draw, seconds: float) -> Measured:
        random = np.random.default_rng(derive(draw.seed, "calibration"))
        few = max(FEW_SAMPLES, FEW_BATCHES * draw.config.batch_size)
        self._train(draw, max(FEW_SAMPLES, draw.config.batch_size), random, 0.0)  # not counted: buffers are made
        began = time.perf_counter()
        trainer, small = self._train(draw, few, random, 0.0)
        took = small.train_seconds + small.seconds + small.besides
        begin = time.perf_counter() - began - took
        large, left = small, seconds - took
        if left > took:
            many = int(few * left / max(took, 1e-6))
            trainer, large = self._train(draw, many, random, left)
        train, train_rest = line_through(small.trained, small.train_seconds, large.trained, large.train_seconds)
        evaluate, evaluate_rest = line_through(small.evaluated, small.seconds, large.evaluated, large.seconds)
        kept = _kept(trainer)
        return Measured(
            train, evaluate, train_rest + evaluate_rest + large.besides, max(begin, 0.0), *kept,
            metric=None if trainer.diverged else trainer.best_metrics.get(self._task.metric),
        )  # fmt: skip

    def _train(self, draw: Draw, samples: int, random: np.random.Generator, seconds: float) -> tuple[Trainer, _Part]:
        """Train one epoch on so many random samples, and repeat it until the seconds are over."""
        from tune_mlp.training.job import TrainJob
        from tune_mlp.training.trainer import Trainer

        task = self._task
        fold = task.problem.folds[0]
        train, validation = (
            random.choice(part, min(samples, len(part)), replace=False) for part in (fold.train, fold.validation)
        )
        trainer = Trainer(
            TrainJob(
                draw.config,
                replace(task.problem, folds=(replace(fold, train=train, validation=validation),)),
                self._engine,
                seed=draw.seed,
                metric=task.metric,
                mode=task.mode,
                further=task.further,
                epochs=MOST_EPOCHS,
                device="cuda" if task.gpu else "cpu",
            )
        )
        start, records = time.perf_counter(), trainer.step(1)
        while time.perf_counter() - start < seconds * ENOUGH and not trainer.done:
            records += trainer.step(trainer.epoch + 1)
        besides = time.perf_counter() - start - math.fsum(record.seconds for record in records)
        whole = [record for record in records if record.finite]
        return trainer, _Part(
            *_means(whole or records[:1], draw.config.batch_size, len(train), len(validation)),
            besides=max(besides, 0.0) / len(records),
        )


@dataclass(frozen=True)
class _Part:
    """The mean costs of an epoch on a part of the samples."""

    trained: int
    """How many samples were trained; fewer than were given if training diverged."""
    train_seconds: float
    evaluated: int
    seconds: float
    """Seconds of the evaluation."""
    besides: float
    """Seconds that the trainer itself takes, for means and for copies of the best weights."""


def _means(
    records: Sequence[EpochRecord], batch_size: int, train: int, validation: int
) -> tuple[int, float, int, float]:
    """Return the first four fields of a part."""
    trained = math.fsum(record.train_seconds for record in records) / len(records)
    seconds = math.fsum(record.seconds for record in records) / len(records)
    first = records[0]
    return min(train, first.steps * batch_size), trained, validation if first.finite else 0, seconds - trained


def line_through(few: int, few_seconds: float, many: int, many_seconds: float) -> tuple[float, float]:
    """Return the seconds for each sample and the seconds besides, both at least 0, from two measurements."""
    if many <= 1.5 * few:  # the two parts are too similar to compare
        return many_seconds / max(many, 1), 0.0
    slope = (many_seconds - few_seconds) / (many - few)
    slope = min(max(slope, 0.0), many_seconds / many)
    return slope, max(0.0, many_seconds - slope * many)


def _kept(trainer: Trainer) -> tuple[float, float, int, int]:
    """Write the trial's two files; returns the seconds for each and the bytes of each."""
    from tune_mlp.training import checkpoint

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.pt"
        start = time.perf_counter()
        checkpoint.save(path, {"epoch": 1, "folds": trainer.best_weights()})
        best, best_bytes = time.perf_counter() - start, path.stat().st_size
        checkpoint.save(path, {"trainer": trainer.state()})
        return best, time.perf_counter() - start - best, best_bytes, path.stat().st_size


class Workers:
    """Calibration workers that run at once, on all nodes in turn: any first few of them are spread over the nodes."""

    def __init__(self, task: CalibrationJob, count: int, cpu: float, gpu: float, first: Draw) -> None:
        start = time.monotonic()
        try:
            self._pool = WorkerPool(Worker, task, count, {"num_cpus": cpu, "num_gpus": gpu})
            self.imports = min(self._pool.prepare("ready", first, seconds=START_SECONDS))
        except TimeoutError:
            raise RunError(
                f"{count} workers weren't up after {START_SECONDS} s: are the cluster's CPUs taken by others?"
            ) from None
        self.seconds = time.monotonic() - start
        """Seconds until all workers were ready."""

    def shared_out(self, draws: Sequence[Draw], slots: int, threads: int, seconds: float) -> list[Measured | str]:
        """Measure each draw once; the first `slots` workers share the draws and work at the same time."""
        shares = [draws[i::slots] for i in range(slots)]
        found: dict[int, Measured | str] = {}
        answers = self._pool.ask("measure", [(share, threads, seconds) for share in shares])
        for share, results in zip(shares, answers, strict=True):
            found |= {draw.number: result for draw, result in zip(share, results, strict=True)}
        return [found[draw.number] for draw in draws]

    def all_of_them(
        self, draws: Sequence[Draw], slots: int, threads: int, seconds: float
    ) -> list[list[Measured | str]]:
        """Measure all draws in each of the first `slots` workers at the same time; each worker begins with another draw."""
        turns = [i % len(draws) for i in range(slots)]
        answers = self._pool.ask("measure", [([*draws[turn:], *draws[:turn]], threads, seconds) for turn in turns])
        found: list[list[Measured | str]] = []
        for i, results in enumerate(answers):
            turn = len(draws) - i % len(draws)
            found.append([*results[turn:], *results[:turn]])
        return found

    def memory(self) -> list[int]:
        """Return the bytes of memory that each worker uses."""
        return self._pool.ask("memory", [()] * len(self._pool))
