"""Runs whose training is made up: the real searcher, scheduler, recorder and journal, called in the order in which Ray Tune calls them."""

from __future__ import annotations

import contextlib
import heapq
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from tests.results.journals import started
from tests.studies import Memory
from tune_mlp.console.board import Board
from tune_mlp.records import EpochRecord, TrialState, goal_values
from tune_mlp.results.journal import Decided, Resumed, Tested
from tune_mlp.results.journal_reader import read
from tune_mlp.results.results import Results
from tune_mlp.results.sealed_lines import sealed
from tune_mlp.results.storage import FolderStorage
from tune_mlp.runs import run_folder
from tune_mlp.runs.history import NO_HISTORY, history_of
from tune_mlp.runs.journal_writer import Journal
from tune_mlp.runs.manifest import Manifest
from tune_mlp.study.study import BoundStudy, Study
from tune_mlp.training.patience import Patience
from tune_mlp.tuning.pausing import PausingScheduler
from tune_mlp.tuning.plateau import PlateauWatch
from tune_mlp.tuning.recorder import KeptFiles, Recorder
from tune_mlp.tuning.report import Report
from tune_mlp.tuning.run import More
from tune_mlp.tuning.schedulers import make_scheduler, milestones
from tune_mlp.tuning.search_loop import _replay
from tune_mlp.tuning.searchers import NumberedSearcher
from tune_mlp.tuning.trial_files import SOURCE, shared_file


class Killed(Exception):
    """The driver is killed."""


@dataclass
class World:
    """What outlives a driver, and what goes wrong."""

    folder: Path
    slots: int = 3
    seed: int = 0
    saved: dict[int, int] = field(default_factory=dict)
    """The epoch of each trial's state file."""
    source: dict[int, Any] = field(default_factory=dict)
    """Whom each trial had taken over when it wrote its state."""
    diverge: dict[int, int] = field(default_factory=dict)
    """The epoch in which a trial diverges."""
    fail: dict[int, int] = field(default_factory=dict)
    """The epoch in which a trial raises an error."""
    lose: set[tuple[int, int]] = field(default_factory=set)
    """Trials whose worker is lost, once, before they report an epoch."""
    lose_for_good: set[int] = field(default_factory=set)
    """Trials whose workers are lost too often."""

    @property
    def journal(self) -> Path:
        return self.folder / "journal.jsonl"

    def score(self, number: int, epoch: int) -> float:
        """Return a made-up accuracy: each trial rises to a height of its own, with noise."""
        height, noise = (np.random.default_rng([self.seed, number, e]).random() for e in (0, epoch))
        return round(height * (1 - math.exp(-epoch / 4)) + 0.05 * noise, 4)


class PlayedTrial:
    """A trial as Ray's schedulers and the recorder see it."""

    is_saving = False

    def __init__(self, trial_id: str, config: dict[str, Any], limit: int | None, epoch: int) -> None:
        self.config = config
        self.trial_id = trial_id
        self.status: str = Trial.PENDING
        self.last_result: dict[str, Any] = {}
        self.searchers_result: dict[str, Any] = {}
        """The last result, with what the searcher reads of it."""
        self.run_metadata = SimpleNamespace(num_failures=0)
        self.epoch = epoch
        self.patience = Patience(limit, "max")

    @property
    def number(self) -> int:
        return int(self.config["trial"])

    def is_finished(self) -> bool:
        return self.status in (Trial.TERMINATED, Trial.ERROR)

    def get_pickled_error(self) -> Exception:
        return RuntimeError("Worker died")

    def set_status(self, status: str) -> None:
        self.status = status

    def set_config(self, config: dict[str, Any]) -> None:
        self.config = config


class Driver:
    """One driver of a run, which is Ray's controller, too."""

    def __init__(self, world: World, study: BoundStudy, journal: Journal, kill_after: int | None) -> None:
        self.world, self.study, self.journal = world, study, journal
        self.metric, self.mode = study.ranking
        before = read(world.journal)
        self.history = history_of(before) if len(before) > 1 else NO_HISTORY
        self.scheduler = make_scheduler(study, self.history.to_come(study.number_of_trials), world.slots)
        self.display = display = Memory()
        display.begin(Board("", self.metric, self.mode, study.number_of_trials, study.epochs))
        self.recorder = Recorder(
            self._mortal(kill_after),
            display,
            FolderStorage(world.folder / "checkpoints"),
            KeptFiles(),
            on_start=lambda: None,
            on_last_starts=lambda: None,
            trials=study.number_of_trials,
            slots=world.slots,
            history=self.history,
            decisions=getattr(self.scheduler, "decisions", None),
            decided={(event.trial, event.epoch) for event in before if isinstance(event, Decided)},
            released=getattr(self.scheduler, "released", None),
        )
        self.trials: list[PlayedTrial] = []
        self.clock = 0.0
        self.running: list[tuple[float, int, PlayedTrial]] = []
        self.generator = np.random.default_rng([world.seed, len(before)])

    def _mortal(self, lines: int | None) -> Journal:
        """Return the journal, which kills the driver once it has written so many lines."""
        append: Callable[[Any], None] = self.journal.append
        left = [lines]

        def write(event: Any) -> None:
            append(event)
            if left[0] is not None:
                left[0] -= 1
                if left[0] <= 0:
                    raise Killed

        self.journal.append = write  # type: ignore[method-assign]  # that is the point
        return self.journal

    def run(self) -> None:
        run: Any = SimpleNamespace(history=self.history, study=self.study)
        history = _replay(run, self.scheduler, self.recorder)
        pausing = self.scheduler if isinstance(self.scheduler, PausingScheduler) else None
        watch = PlateauWatch(self.study, self.journal, self.scheduler, self.display, lambda: None)
        self.searcher = NumberedSearcher(self.study, history, pausing, watch)
        while True:
            self._fill()
            if not self.running:
                break
            self.clock, _, trial = heapq.heappop(self.running)
            self._step(trial)
        self.recorder.close()

    def _fill(self) -> None:
        while len(self.running) < self.world.slots:
            while not any(trial.status == Trial.PENDING for trial in self.trials):
                trial_id = f"t{len(self.trials):05d}"
                config = self.searcher.suggest(trial_id)
                if config is None or config == Searcher.FINISHED:
                    break
                # No state is saved with a trial's last epoch: if its end wasn't written, what came after the state is trained again.
                known = min(int(config.get("known", 0)), self.world.saved.get(int(config["trial"]), 0))
                trial = PlayedTrial(trial_id, config, self.study.patience, known)
                for epoch, value in self.history.curve_since_taken_over(trial.number).items():
                    if epoch <= known:
                        trial.patience = trial.patience.after(value)
                self.trials.append(trial)
                self.scheduler.on_trial_add(self, trial)
            trial = self.scheduler.choose_trial_to_run(self)
            if trial is None:
                return
            trial.status = Trial.RUNNING
            self._load(trial)
            self.recorder.on_trial_start(0, self.trials, trial)
            self._go_on(trial)

    def _load(self, trial: PlayedTrial) -> None:
        """Go on from the state of the trial that this one took over, unless it has one of its own since."""
        source = trial.config.get(SOURCE)
        if source and self.world.source.get(trial.number) != source:
            left = self.world.folder / "checkpoints" / shared_file(*source)
            assert left.exists(), f"trial {trial.number} can't take over {source}"
            trial.epoch, trial.patience = source[1], Patience(self.study.patience, "max")

    def _go_on(self, trial: PlayedTrial) -> None:
        heapq.heappush(self.running, (self.clock + self.generator.random(), trial.number, trial))

    def _step(self, trial: PlayedTrial) -> None:
        until = milestones(self.study).after(trial.epoch)
        if self.generator.random() < 0.2:  # a person wants to see progress
            until = trial.epoch + 1
        until = max(until, self.world.saved.get(trial.number, 0), int(trial.config.get("known", 0)))
        if (trial.number, until) in self.world.lose or (trial.number in self.world.lose_for_good and trial.epoch):
            self._lose(trial, (trial.number, until))
            return
        records: list[EpochRecord] = []
        metrics: dict[str, float] = {}
        state = TrialState.STOPPED
        error = ""
        seconds, weights = 0.1 * (1 + trial.number % 3), 5 + trial.number % 4
        while trial.epoch < until and state is TrialState.STOPPED:
            if self.world.fail.get(trial.number) == trial.epoch + 1:
                records, state, error = [], TrialState.FAILED, "ValueError: made up"
                break
            trial.epoch += 1
            value = self.world.score(trial.number, trial.epoch)
            if self.world.diverge.get(trial.number) == trial.epoch:
                value, state = math.nan, TrialState.DIVERGED
            metrics = {"train_loss": 1 - value, "train_accuracy": value, "val_loss": 1 - value, "val_accuracy": value}
            records.append(EpochRecord(trial.epoch, 0, metrics, 3, seconds, seconds))
            if state is TrialState.STOPPED:
                trial.patience = trial.patience.after(value)
                if trial.epoch >= self.study.epochs or trial.patience.over:
                    state = TrialState.FINISHED
        if state is TrialState.STOPPED:
            self.world.saved[trial.number] = trial.epoch
            self.world.source[trial.number] = trial.config.get(SOURCE)
            if self.study.scheduler.pbt and trial.epoch in milestones(self.study):
                files = self.world.folder / "checkpoints"
                files.mkdir(exist_ok=True)
                (files / shared_file(trial.number, trial.epoch)).touch()
        known = goal_values(self.study.goals, metrics, weights, math.fsum([seconds] * trial.epoch)) if records else None
        goals = known if self.study.metrics else None
        report = Report(trial.epoch, state, "here", 1.0, records, weights=weights, error=error, goals=goals)
        self._process(trial, report.to_ray(self.metric, self.mode))

    def _process(self, trial: PlayedTrial, result: dict[str, Any]) -> None:
        """Do what `TuneController._process_trial_result` does."""
        decision = TrialScheduler.STOP
        told = {"epoch": result["epoch"], self.metric: result[self.metric], "goals": result["goals"]}
        if not result["done"]:
            decision = self.scheduler.on_trial_result(self, trial, dict(told))
        trial.searchers_result = {name: result[name] for name in ("curve", "state", "best")}
        if decision != TrialScheduler.STOP:
            self.searcher.on_trial_result(trial.trial_id, trial.searchers_result)
        self.recorder.on_trial_result(0, self.trials, trial, result)
        trial.last_result = told
        if decision == TrialScheduler.STOP:
            self.stop_trial(trial)
        elif decision == TrialScheduler.PAUSE:
            trial.status = Trial.PAUSED
        elif decision == TrialScheduler.CONTINUE and trial.status == Trial.RUNNING:
            self._go_on(trial)

    def stop_trial(self, trial: PlayedTrial) -> None:
        """Do what `TuneController.stop_trial` does."""
        if trial.is_finished():
            return
        if trial.status in (Trial.PENDING, Trial.PAUSED):
            self.scheduler.on_trial_remove(self, trial)
            self.searcher.on_trial_complete(trial.trial_id)
        else:
            self.scheduler.on_trial_complete(self, trial, dict(trial.last_result))
            self.searcher.on_trial_complete(trial.trial_id, trial.searchers_result)
        self.recorder.on_trial_complete(0, self.trials, trial)
        trial.status = Trial.TERMINATED

    def _lose(self, trial: PlayedTrial, place: tuple[int, int]) -> None:
        """Do what `TuneController._process_trial_failure` does."""
        self.world.lose.discard(place)
        self.scheduler.on_trial_error(self, trial)
        if trial.number in self.world.lose_for_good:
            trial.status = Trial.ERROR
            self.searcher.on_trial_complete(trial.trial_id, error=True)
            self.recorder.on_trial_error(0, self.trials, trial)
            return
        trial.status = Trial.PENDING
        self.trials.remove(trial)
        self.trials.append(trial)
        self.scheduler.on_trial_add(self, trial)
        self.recorder.on_trial_recover(0, self.trials, trial)

    def get_trials(self) -> list[PlayedTrial]:
        return self.trials

    def get_live_trials(self) -> list[PlayedTrial]:
        return [trial for trial in self.trials if not trial.is_finished()]

    def pause_trial(self, trial: PlayedTrial, should_checkpoint: bool) -> None:
        trial.status = Trial.PAUSED


def play(world: World, study: Study, kill_after: int | None = None) -> Path:
    """Begin a run and drive it to its end, or until its driver is killed."""
    world.folder.mkdir(parents=True)
    bound = study.bound("classification")
    (world.folder / "study.yaml").write_text(bound.dump())
    manifest = Manifest(
        world.folder / "run.json",
        {
            "state": "running",
            "study_sha256": [],
            "dataset": {"fingerprint": "made up"},
            "engine": {"name": "eager"},
            "seed": bound.seed,
        },
    )
    manifest.resumed(bound, (), 0.0)
    manifest.note(resumed=[])
    with Journal.create(world.journal) as journal:
        goals = tuple(goal.name for goal in bound.goals[1:])
        names = {"dataset": "digits", "study_name": bound.name, "further_goals": goals}
        journal.append(started(epochs=bound.epochs, seed=bound.seed, **names))
        _drive(world, bound, journal, kill_after)
    return world.folder


def play_on(world: World, trials: str | None = None, kill_after: int | None = None, until: str | None = None) -> Path:
    """Go on with a run as `resume` does."""
    before, more = Study.load(world.folder / "study.yaml"), More(trials, until=until)
    with Journal.resume(world.journal) as journal:
        drawn = len(journal.state.trials) if journal.state.plateau else None
        study = more.applied(before, 0, drawn).bound("classification")
        journal.append(Resumed(before.number_of_trials, study.number_of_trials, rebuilt=True, draws_on=more.draws_on))
        Manifest.load(world.folder).resumed(study, (), 0.0)
        _drive(world, study, journal, kill_after)
    return world.folder


def _drive(world: World, study: BoundStudy, journal: Journal, kill_after: int | None) -> None:
    with contextlib.suppress(Killed):
        Driver(world, study, journal, kill_after).run()
        results = Results.load(world.folder)
        if results.best is not None:
            journal.append(Tested(int(results.best["trial"]), {"test_loss": 0.5, "test_accuracy": 0.5}))
            best = world.folder / "best"
            best.mkdir(exist_ok=True)
            (best / "model.pt").touch()
            said = {"trial": int(results.best["trial"]), "epoch": int(results.best["best_epoch"]), "metrics": {}}
            (best / "trial.json").write_text(json.dumps(said))
        run_folder.finish(world.folder, None)
        Manifest.load(world.folder).note(state="finished")


@contextlib.contextmanager
def changed_line(journal: Path, old: bytes, new: bytes) -> Iterator[None]:
    """Replace a text in the journal's first line that has it, with its checksum made right; put the old content back at the end."""
    content = journal.read_bytes()
    lines = content.splitlines()
    place = next(place for place, line in enumerate(lines) if old in line)
    body, _, _ = lines[place].replace(old, new, 1).rpartition(b',"crc":')
    lines[place] = sealed(json.loads(body + b"}")).rstrip()
    journal.write_bytes(b"\n".join(lines) + b"\n")
    try:
        yield
    finally:
        journal.write_bytes(content)
