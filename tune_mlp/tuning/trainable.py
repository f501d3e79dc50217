"""The trainable: Ray Tune's side of a trial, wrapping the trainer; its actor is reused from trial to trial."""

from __future__ import annotations

import math
import os
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ray

from tune_mlp.data.dataset import Problem
from tune_mlp.errors import StorageError, one_line
from tune_mlp.imports import large_imports
from tune_mlp.records import EpochRecord, Goal, Mode, TrialState, goal_values, mean_metrics
from tune_mlp.results.outcomes import Outcomes, to_line
from tune_mlp.results.storage import Storage
from tune_mlp.space.space import to_config
from tune_mlp.tuning.report import Report
from tune_mlp.tuning.trial_files import TrialFiles

with large_imports():
    from ray import tune

if TYPE_CHECKING:  # torch takes two seconds to import, and the driver can do without until the end
    from tune_mlp.training.trainer import Trainer
    from tune_mlp.tuning.schedulers import Milestones

PATIENT_SECONDS = 1.0
"""A step returns after the epoch in which it has trained so long, so that people see progress."""
CANNOT_START = "tune_mlp worker can't start: "
"""Begins the text of what a worker's setup raises, so that the driver finds it in Ray's pages."""
NO_MEMORY = ("can't allocate memory", "out of memory")
"""What PyTorch's errors say, which are of no kind of their own on a CPU."""


@dataclass(frozen=True)
class Job:
    """What every trial of a study shares. Ray's object store holds it once on each node."""

    problem: Problem
    engine: str
    metric: str
    mode: Mode
    epochs: int
    patience: int | None
    milestones: Milestones
    threads: int
    gpu: bool
    kept: Storage
    """Where trials leave what they go on from, and the best epoch's weights for the winner to be chosen from."""
    seeds: int = 1
    further: tuple[str, ...] = ()
    """The scores that are measured beside those of the task."""
    keep_steps: bool = False
    goals: tuple[Goal, ...] = ()
    """All goals of a study that has several; else none."""
    shares_states: bool = False
    """True if each milestone's state is kept for other trials to take over."""


class TrialActor(tune.Trainable):  # type: ignore[misc]  # ray ships no types
    """Trains one trial after the other. A trial's metrics depend on its config, its seed and the data alone."""

    def setup(self, config: dict[str, Any], job: Job) -> None:
        try:
            self._set_up(job)
        except BaseException as error:  # an import may raise anything, SystemExit included
            raise RuntimeError(f"{CANNOT_START}{one_line(error, limit=500)}") from error
        self._begin(config)

    def _set_up(self, job: Job) -> None:
        from tune_mlp.engines.choose import engine

        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
        self._engine = engine(job.engine)  # first: it imports PyTorch, too, and faster
        import torch
        from threadpoolctl import threadpool_limits

        torch.set_num_threads(job.threads)
        threadpool_limits(job.threads)
        self._engine.load(job.problem, "cuda" if job.gpu else "cpu")  # half a second, which is no trial's
        self._job = job
        self._node = ray.util.get_node_ip_address()

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._begin(new_config)
        return True

    def _begin(self, config: dict[str, Any]) -> None:
        self._trial: int = config["trial"]
        self._config = config
        self._trainer: Trainer | None = None
        self._files = TrialFiles(self._job.kept, config)
        self._records: list[EpochRecord] = []
        """What this actor knows of the trial's epochs."""
        self._unsaid: list[EpochRecord] = []
        """The epochs that a restored state holds and the journal may lack."""
        self._told: int | None = None
        """The best epoch whose outcomes the driver was told."""
        self._started = time.monotonic()

    def _ready(self) -> Trainer:
        """Return the trainer. It is made at the first step, so that what it raises is a trial's failure and not an actor's."""
        if self._trainer is None:
            from tune_mlp.training.job import TrainJob
            from tune_mlp.training.trainer import Trainer

            job = self._job
            self._trainer = Trainer(
                TrainJob(
                    to_config(self._config["params"]),
                    job.problem,
                    self._engine,
                    seed=self._config["seed"],
                    metric=job.metric,
                    mode=job.mode,
                    epochs=job.epochs,
                    patience=job.patience,
                    seeds=job.seeds,
                    further=job.further,
                    keep_steps=job.keep_steps,
                    device="cuda" if job.gpu else "cpu",
                )
            )
            self._records = self._files.load_state(self._trainer)
            self._unsaid = [record for record in self._records if record.epoch > self._config.get("known", 0)]
        return self._trainer

    def step(self) -> dict[str, Any]:
        return self._step().to_ray(self._job.metric, self._job.mode)

    def _step(self) -> Report:
        """Train until the scheduler wants to decide or a person wants to see progress, and report it."""
        try:
            trainer = self._ready()
            records, self._unsaid = self._unsaid, []
            if not records:
                until = self._job.milestones.after(trainer.epoch)
                records = trainer.step(until, PATIENT_SECONDS)
                self._records += records
            self._files.keep_best(trainer)
            self._files.keep_step_losses(trainer)
            if not trainer.done:
                at_milestone = self._job.milestones.after(trainer.epoch - 1) == trainer.epoch
                self._files.keep_state(trainer, self._records, shared=self._job.shares_states and at_milestone)
        except StorageError as error:  # not the trial's fault: the study ends, and the trial goes on when it is resumed
            return self._report(TrialState.STOPPED, error=str(error))
        except Exception as error:  # noqa: BLE001  # whatever a trial raises is its own end, not the study's
            return self._report(TrialState.FAILED, error=_reason(error))
        state = TrialState.DIVERGED if trainer.diverged else TrialState.FINISHED if trainer.done else TrialState.STOPPED
        return self._report(
            state,
            records=records,
            best=trainer.best_metrics.get(self._job.metric),
            goals=self._goals(_last_metrics(records)),
            best_goals=self._goals(trainer.best_metrics),
            weights=trainer.weights,
            weights_digest=trainer.weights_digest() if records else "",
            outcomes=self._new_outcomes(trainer),
        )

    def _goals(self, metrics: Mapping[str, float]) -> tuple[float, ...] | None:
        """Return the value of each goal, with these metrics and what the trial has cost so far."""
        if not self._job.goals or not metrics or self._trainer is None:
            return None
        seconds = math.fsum(record.train_seconds for record in self._records)
        return goal_values(self._job.goals, metrics, self._trainer.weights, seconds)

    def _new_outcomes(self, trainer: Trainer) -> bytes:
        """Return the line of the best epoch's outcomes, unless the driver was told already."""
        if trainer.best_epoch is None or trainer.best_outcomes is None or trainer.best_epoch == self._told:
            return b""
        self._told = trainer.best_epoch
        return to_line(self._trial, Outcomes(trainer.best_epoch, trainer.best_outcomes))

    def _report(self, state: TrialState, **facts: Any) -> Report:
        note, self._files.note = self._files.note, ""
        return Report(
            epoch=self._trainer.epoch if self._trainer else 0,
            state=state,
            node=self._node,
            seconds=time.monotonic() - self._started,
            note=note,
            files=self._files.take_in_hand(),
            **facts,
        )


def _last_metrics(records: Sequence[EpochRecord]) -> dict[str, float]:
    """Return the metrics of the last of these epochs; none where there is no epoch."""
    last = [record for record in records if record.epoch == records[-1].epoch]
    return mean_metrics(last) if last else {}


def _end_with(parent: int) -> None:
    """End this worker when its node is gone. Ray does that, too, but by the wall clock: if the clock was set back by two hours,
    it does so two hours later."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _reason(error: Exception) -> str:
    """Return the error in one line, with the place that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({os.path.basename(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""
    said = one_line(error)
    full = isinstance(error, MemoryError) or any(word in said for word in NO_MEMORY)
    return ("out of memory: " if full else "") + said + place
