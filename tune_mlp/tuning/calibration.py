"""Calibration: draws are trained for a moment each, in as many Ray workers at once as there will be trials.

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
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import ray

from tune_mlp.config import TrialConfig
from tune_mlp.data.dataset import Problem
from tune_mlp.errors import RunError, one_line
from tune_mlp.records import EpochRecord, Mode
from tune_mlp.seeds import derive
from tune_mlp.tuning.memory import proportional

if TYPE_CHECKING:  # torch takes two seconds to import, and only the workers need it
    from tune_mlp.training.trainer import Trainer

FEW_BATCHES, FEW_SAMPLES = 2, 64
"""What the first, small part holds at least."""
WARM_SECONDS = 0.3
"""Of training in each worker before anything counts: PyTorch's first steps take three times as long."""
MOST_EPOCHS, ENOUGH = 1000, 0.7
"""A part that is done sooner than was thought is trained again, up to this share of the time."""
START_SECONDS = 120
"""Workers that aren't up by then wait for somebody else's."""


@dataclass(frozen=True)
class Draw:
    """A draw as its trial would be given it."""

    number: int
    config: TrialConfig
    seed: int


@dataclass(frozen=True)
class Measured:
    """What a draw takes of one worker while the others are at work, too; of one fold and one seed."""

    train: float
    """Seconds a training sample."""
    evaluate: float
    """Seconds a validation sample."""
    epoch: float
    """Seconds an epoch, whatever its samples."""
    begin: float
    """Seconds to make the net."""
    best: float
    """Seconds to write the best weights, through to the disk."""
    state: float
    """As `best`, of what a trial goes on from."""
    best_bytes: int
    state_bytes: int
    metric: float | None
    """After these few samples; None where it has diverged by then."""

    def epoch_seconds(self, train: int, validation: int) -> float:
        return self.epoch + self.train * train + self.evaluate * validation


@dataclass(frozen=True)
class Task:
    """What all workers share."""

    problem: Problem
    engine: str
    metric: str
    mode: Mode
    gpu: bool


@dataclass(frozen=True)
class Facts:
    """Of a worker that is ready."""

    node: str
    imports: float
    """Seconds until PyTorch and the engine were there."""


class Worker:
    """Trains draws for a moment, as TrialActor trains them to their ends."""

    def __init__(self, task: Task) -> None:
        start = time.monotonic()
        import torch  # noqa: F401  # timed

        from tune_mlp.engines.choose import engine

        self._task = task
        self._engine = engine(task.engine)
        self._imports = time.monotonic() - start

    def ready(self, draw: Draw) -> Facts:
        """What only the first trial of a process pays for is behind it: loaded kernels, the data in the engine's form."""
        self.measure([draw], 1, WARM_SECONDS)
        return Facts(ray.get_runtime_context().get_node_id(), self._imports)

    def memory(self) -> int:
        """Bytes, with its share of what several processes hold together."""
        return proportional(os.getpid())

    def measure(self, draws: Sequence[Draw], threads: int, seconds: float) -> list[Measured | str]:
        """About so many seconds a draw; of one that raises, the reason."""
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
        """An epoch on so many random samples, and again on them while the seconds last."""
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
    """What an epoch on a part of the samples takes, on average."""

    trained: int
    """Samples; fewer than were given where training diverged."""
    train_seconds: float
    evaluated: int
    seconds: float
    """Of the evaluation."""
    besides: float
    """Seconds of the trainer's own: means, copies of the best weights."""


def _means(
    records: Sequence[EpochRecord], batch_size: int, train: int, validation: int
) -> tuple[int, float, int, float]:
    """The first four of a part."""
    trained = math.fsum(record.train_seconds for record in records) / len(records)
    seconds = math.fsum(record.seconds for record in records) / len(records)
    first = records[0]
    return min(train, first.steps * batch_size), trained, validation if first.finite else 0, seconds - trained


def line_through(few: int, few_seconds: float, many: int, many_seconds: float) -> tuple[float, float]:
    """Seconds a sample, and seconds besides; both at least 0."""
    if many <= 1.5 * few:  # no room for a difference
        return many_seconds / max(many, 1), 0.0
    slope = (many_seconds - few_seconds) / (many - few)
    slope = min(max(slope, 0.0), many_seconds / many)
    return slope, max(0.0, many_seconds - slope * many)


def _kept(trainer: Trainer) -> tuple[float, float, int, int]:
    """What the trial's two files take: seconds, seconds, bytes, bytes."""
    from tune_mlp.training import checkpoint

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.pt"
        start = time.perf_counter()
        checkpoint.save(path, {"epoch": 1, "folds": trainer.best_weights()})
        best, best_bytes = time.perf_counter() - start, path.stat().st_size
        checkpoint.save(path, {"trainer": trainer.state()})
        return best, time.perf_counter() - start - best, best_bytes, path.stat().st_size


class Workers:
    """So many workers at once, on all nodes in turn, so that any first few of them are on as many nodes as they can."""

    def __init__(self, task: Task, count: int, cpu: float, gpu: float, first: Draw) -> None:
        start = time.monotonic()
        shared = ray.put(task)
        made = ray.remote(Worker).options(num_cpus=cpu, num_gpus=gpu)
        actors = [made.remote(shared) for _ in range(count)]
        try:
            facts: list[Facts] = ray.get([actor.ready.remote(first) for actor in actors], timeout=START_SECONDS)
        except ray.exceptions.GetTimeoutError:
            raise RunError(
                f"{count} workers weren't up after {START_SECONDS} s: are the cluster's CPUs taken by others?"
            ) from None
        by_node: dict[str, list[Any]] = {}
        for actor, fact in zip(actors, facts, strict=True):
            by_node.setdefault(fact.node, []).append(actor)
        self._actors = [actor for some in zip_longest(*by_node.values()) for actor in some if actor is not None]
        self.imports = min(fact.imports for fact in facts)
        self.seconds = time.monotonic() - start
        """Until all of them were ready."""

    def shared_out(self, draws: Sequence[Draw], slots: int, threads: int, seconds: float) -> list[Measured | str]:
        """Each draw by one of the first `slots` workers, which are all at work at once."""
        shares = [draws[i::slots] for i in range(slots)]
        asked = [
            actor.measure.remote(share, threads, seconds)
            for actor, share in zip(self._actors[:slots], shares, strict=True)
        ]
        found: dict[int, Measured | str] = {}
        for share, results in zip(shares, ray.get(asked), strict=True):
            found |= {draw.number: result for draw, result in zip(share, results, strict=True)}
        return [found[draw.number] for draw in draws]

    def all_of_them(
        self, draws: Sequence[Draw], slots: int, threads: int, seconds: float
    ) -> list[list[Measured | str]]:
        """All draws by each of the first `slots` workers, at once, each beginning with another one."""
        asked = []
        for i, actor in enumerate(self._actors[:slots]):
            turn = i % len(draws)
            asked.append(actor.measure.remote([*draws[turn:], *draws[:turn]], threads, seconds))
        found: list[list[Measured | str]] = []
        for i, results in enumerate(ray.get(asked)):
            turn = len(draws) - i % len(draws)
            found.append([*results[turn:], *results[:turn]])
        return found

    def memory(self) -> list[int]:
        """Bytes of each."""
        sizes: list[int] = ray.get([actor.memory.remote() for actor in self._actors])
        return sizes
