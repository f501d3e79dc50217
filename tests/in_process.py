"""A study and its follow-ups without Ray: one trial after the other in this process, by the same worker, recorder and searcher."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tune_mlp.console.board import Display
from tune_mlp.engines.choose import engine
from tune_mlp.published import reproduce
from tune_mlp.runs.phases import Phases
from tune_mlp.training.threads import threads
from tune_mlp.tuning import again, run
from tune_mlp.tuning.cluster import Cluster
from tune_mlp.tuning.recorder import KeptFiles, Recorder
from tune_mlp.tuning.schedulers import EndsEarly
from tune_mlp.tuning.search_loop import OpenRun, _board, _shared
from tune_mlp.tuning.searchers import NumberedSearcher
from tune_mlp.tuning.trainable import Job, TrialActor


class Ended(Exception):
    """The driver is lost: raised after as many results as a test wants."""


class InProcess:
    """Stands for Ray in `run_study`, in follow-ups and in `reproduce`. Its scheduler is always fifo."""

    def __init__(self) -> None:
        self.trained: list[int] = []
        """The trials that trained an epoch, in order."""
        self.results_left: float = float("inf")
        """The driver is lost after so many results."""

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for module in (run, again):
            monkeypatch.setattr(module, "cluster_for", self._cluster)
            monkeypatch.setattr(module, "train_trials", self._train)
            monkeypatch.setattr(module, "check_ray_can_start", lambda: None)
        monkeypatch.setattr(reproduce, "connected", lambda *args: contextlib.nullcontext())

    @contextlib.contextmanager
    def _cluster(self, *args: Any) -> Iterator[Cluster]:
        yield Cluster(({"CPU": 1.0},), own=True)

    def _train(self, open_run: OpenRun, display: Display, phases: Phases, last_words: Callable[..., None]) -> None:
        study = open_run.study
        recorder = Recorder(
            open_run.journal,
            display,
            open_run.where.files,
            KeptFiles(weights=study.tested == "all", steps=study.step_losses != "winner"),
            on_start=lambda: None,
            on_last_starts=lambda: None,
            trials=study.number_of_trials,
            slots=1,
            history=open_run.history,
        )
        display.begin(_board(open_run))
        searcher, job = NumberedSearcher(study, open_run.history), _shared(open_run)
        ends = EndsEarly(open_run.ends) if open_run.ends else None
        actor: Any = object.__new__(TrialActor)
        actor._engine, actor._job, actor._node = engine(cast("Job", job).engine), job, "here"
        for count in range(study.number_of_trials - len(open_run.history.ended)):
            trial = SimpleNamespace(config=searcher.suggest(str(count)), run_metadata=SimpleNamespace(num_failures=0))
            actor._begin(trial.config)
            recorder.on_trial_start(0, [], trial)
            done = False
            while not done:
                self.trained.append(trial.config["trial"])
                result = actor.step()
                stopped = ends is not None and ends.on_trial_result(None, trial, result) == "STOP"
                done = stopped or result["done"]
                if not done:  # as Ray, which hands the searcher the last result with the trial's end
                    searcher.on_trial_result(str(count), result)
                recorder.on_trial_result(0, [], trial, result)
                if done:
                    searcher.on_trial_complete(str(count), result)
                    recorder.on_trial_complete(0, [], trial)
                self.results_left -= 1
                if self.results_left <= 0:
                    raise Ended


@contextlib.contextmanager
def in_one_process() -> Iterator[None]:
    """Train what is run meanwhile in this process, with the one thread that a trial has."""
    with pytest.MonkeyPatch.context() as patch, threads(1):
        InProcess().use(patch)
        yield
