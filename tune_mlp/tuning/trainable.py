"""The trainable: Ray Tune's side of a trial, wrapping the trainer; its actor is reused from trial to trial."""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray

from tune_mlp.data.dataset import Problem
from tune_mlp.errors import RunError, StorageError, StoreError, one_line
from tune_mlp.imports import large_imports
from tune_mlp.records import EpochRecord, Mode, TrialState, mean_metrics
from tune_mlp.results.storage import Storage
from tune_mlp.runs.history import WORST
from tune_mlp.space.space import to_config

with large_imports():
    from ray import tune

if TYPE_CHECKING:  # torch takes two seconds to import, and the driver can do without until the end
    from tune_mlp.training.trainer import Trainer
    from tune_mlp.tuning.schedulers import Milestones

PATIENT_SECONDS = 1.0
"""A step returns after the epoch in which it has trained so long, so that people see progress."""
STATE_FILE = "state.pt"
NO_MEMORY = ("can't allocate memory", "out of memory")
"""What PyTorch's errors say, which are of no kind of their own on a CPU."""


@dataclass(frozen=True)
class Job:
    """What every trial of a study shares; held once a node in Ray's object store."""

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
    keep_steps: bool = False


def weights_file(trial: int, epoch: int) -> str:
    """The name of the weights of a trial's best epoch. A worker that was thought lost and comes back, on a node that
    stood still, is at an older epoch, and so writes over nothing that counts."""
    return f"best-{trial:05d}-{epoch:06d}.pt"


def weights_files(trial: int) -> str:
    """Return a glob for a trial's weights files. Sorted, the last one is the best, unless a worker came back as said above."""
    return f"best-{trial:05d}-*.pt"


def state_file(trial: int) -> str:
    """Return the name of the file that an unfinished trial resumes from."""
    return f"state-{trial:05d}.pt"


def steps_file(trial: int, epoch: int) -> str:
    """Return the name of the file with the losses of an epoch's steps."""
    return f"steps-{trial:05d}-{epoch:06d}.pt"


def step_files(trial: int) -> str:
    """Return a glob for a trial's step-loss files."""
    return f"steps-{trial:05d}-*.pt"


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Limit PyTorch and BLAS to the threads of a trial."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with threadpool_limits(count):
            yield
    finally:
        torch.set_num_threads(before)


class TrialActor(tune.Trainable):  # type: ignore[misc]  # ray ships no types
    """Trains one trial after the other. A trial's metrics depend on its config, its seed and the data alone."""

    def setup(self, config: dict[str, Any], job: Job) -> None:
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
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._begin(new_config)
        return True

    def _begin(self, config: dict[str, Any]) -> None:
        self._trial: int = config["trial"]
        self._config = config
        self._trainer: Trainer | None = None
        self._saved_epoch: int | None = None
        self._records: list[EpochRecord] = []
        """What this actor knows of the trial's epochs."""
        self._unsaid: list[EpochRecord] = []
        """The epochs that a restored state holds and the journal may lack."""
        self._note = ""
        """What a person should know of how it began."""
        self._by_hand = False
        self._in_hand: dict[str, bytes] = {}
        self._started = time.monotonic()

    def _ready(self, from_state: bool = True) -> Trainer:
        """Return the trainer, made at the first step, so that what it raises is a trial's failure and not an actor's. It goes
        on `from_state`, the file that the trial left, unless Ray hands it a checkpoint."""
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
                    keep_steps=job.keep_steps,
                    device="cuda" if job.gpu else "cpu",
                )
            )
            if from_state:
                self._go_on(self._trainer)
        return self._trainer

    def _go_on(self, trainer: Trainer) -> None:
        """From where the trial was left, when its worker or the driver was lost; from its beginning if that can't be
        read, which is said."""
        from tune_mlp.training import checkpoint

        name = state_file(self._trial)
        try:
            content = self._job.kept.read(name)
            if content is None:
                return
            left = checkpoint.unpacked(content, f"{self._job.kept}/{name}")
        except RunError as error:
            self._by_hand = isinstance(error, StoreError)
            self._note = f"trial {self._trial} begins anew: {error}"
            return
        if left.get("config") != _plain(self._config):
            self._note = (
                f"trial {self._trial} begins anew: {self._job.kept}/{name} is of another trial or of other settings"
            )
        else:
            trainer.load_state(left["trainer"])
            self._records = [EpochRecord(**record) for record in left["records"]]
            self._unsaid = [record for record in self._records if record.epoch > self._config.get("known", 0)]

    def _keep_state(self, trainer: Trainer) -> None:
        """With all epochs so far: what is on disk may be ahead of the journal."""
        from tune_mlp.training import checkpoint

        left = {
            "config": _plain(self._config),
            "trainer": trainer.state(),
            "records": [asdict(record) for record in self._records],
        }
        self._leave(state_file(self._trial), checkpoint.packed(left))

    def _leave(self, name: str, content: bytes) -> None:
        """Where all nodes find it or, when that store can't be reached, with the driver. A trial doesn't change back: of
        two files of one name nobody could tell which is the newer."""
        if not self._by_hand:
            try:
                return self._job.kept.write(name, content)
            except StoreError:
                self._by_hand = True
        self._in_hand[name] = content
        return None

    def step(self) -> dict[str, Any]:
        try:
            trainer = self._ready()
            records, self._unsaid = self._unsaid, []
            if not records:
                until = self._job.milestones.after(trainer.epoch)
                records = trainer.step(until, PATIENT_SECONDS)
                self._records += records
            self._keep_best(trainer)
            self._keep_step_losses(trainer)
            if not trainer.done:
                self._keep_state(trainer)
        except StorageError as error:  # not the trial's fault: the study ends, and the trial goes on when it is resumed
            return self._result(TrialState.STOPPED, self._trainer.epoch if self._trainer else 0, [], None, str(error))
        except Exception as error:  # noqa: BLE001  # whatever a trial raises is its own end, not the study's
            epoch = self._trainer.epoch if self._trainer else 0
            return self._result(TrialState.FAILED, epoch, [], None, _reason(error))
        state = TrialState.DIVERGED if trainer.diverged else TrialState.FINISHED if trainer.done else TrialState.STOPPED
        return self._result(state, trainer.epoch, records, trainer)

    def _result(
        self, state: TrialState, epoch: int, records: list[EpochRecord], trainer: Trainer | None, error: str = ""
    ) -> dict[str, Any]:
        """`state` is what the trial's is if nothing more is heard of it: stopped, unless it says otherwise. An error
        without a failed state is the run's."""
        in_hand, self._in_hand = self._in_hand, {}
        by_epoch = {record.epoch: [r for r in records if r.epoch == record.epoch] for record in records}
        curve = [(number, mean_metrics(group)[self._job.metric]) for number, group in by_epoch.items()]
        value = curve[-1][1] if curve else math.nan
        if state in (TrialState.DIVERGED, TrialState.FAILED) or not math.isfinite(value):
            value = -WORST if self._job.mode == "max" else WORST
        note, self._note = self._note, ""
        return {
            "epoch": epoch,
            self._job.metric: value,
            "state": state.value,
            "done": state is not TrialState.STOPPED,
            "curve": curve,
            "best": trainer.best_metrics.get(self._job.metric) if trainer else None,
            "records": records,
            "weights": trainer.weights if trainer else 0,
            "weights_digest": trainer.weights_digest() if trainer and records else "",
            "node": self._node,
            "seconds": time.monotonic() - self._started,
            "error": error,
            "note": note,
            "files": in_hand,
        }

    def _keep_best(self, trainer: Trainer) -> None:
        """Leave the best weights where the driver finds them, whenever they have changed."""
        from tune_mlp.training import checkpoint

        if trainer.best_epoch is not None and trainer.best_epoch != self._saved_epoch and not trainer.diverged:
            name = weights_file(self._trial, trainer.best_epoch)
            best = {"epoch": trainer.best_epoch, "folds": trainer.best_weights()}
            self._leave(name, checkpoint.packed(best))
            self._saved_epoch = trainer.best_epoch
            if not self._by_hand:
                self._remove_older(name)

    def _remove_older(self, newest: str) -> None:
        """Remove a trial's weights files that are older than the newest."""
        with contextlib.suppress(StoreError):  # they go when the trial has ended
            for name in self._job.kept.names(weights_files(self._trial)):
                if name < newest:
                    self._job.kept.remove(name)

    def _keep_step_losses(self, trainer: Trainer) -> None:
        """A file an epoch, so that an epoch that is trained again, after a crash, replaces its own."""
        import torch

        from tune_mlp.training import checkpoint

        by_epoch: dict[int, list[Any]] = {}
        for step in trainer.take_step_losses():
            by_epoch.setdefault(step.epoch, []).append(torch.from_numpy(step.losses))
        for epoch, losses in by_epoch.items():
            self._leave(steps_file(self._trial, epoch), checkpoint.packed({"epoch": epoch, "runs": losses}))

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        from tune_mlp.training import checkpoint

        state = {"trial": self._trial, "trainer": self._ready().state()}
        checkpoint.save(Path(checkpoint_dir) / STATE_FILE, state)

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        from tune_mlp.training import checkpoint

        state = checkpoint.load(Path(checkpoint_dir) / STATE_FILE)
        trainer = self._ready(from_state=False)
        trainer.load_state(state["trainer"])
        self._records, self._unsaid = [], []
        if state["trial"] == self._trial:  # set aside for a while
            self._saved_epoch = trainer.best_epoch
        else:  # taken over from a better one: its history isn't this trial's
            trainer.forget_best()


def _end_with(parent: int) -> None:
    """A worker whose node is gone ends. Ray sees to it, too, but by the wall clock: where that was set back two hours, two
    hours later."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _plain(config: dict[str, Any]) -> dict[str, Any]:
    """A trial's number, seed and settings, as a checkpoint gives them back."""
    params = {path: list(value) if isinstance(value, tuple) else value for path, value in config["params"].items()}
    return {"trial": config["trial"], "seed": config["seed"], "params": params}


def _reason(error: Exception) -> str:
    """The error in one line, with the place that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({os.path.basename(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""
    said = one_line(error)
    full = isinstance(error, MemoryError) or any(word in said for word in NO_MEMORY)
    return ("out of memory: " if full else "") + said + place
