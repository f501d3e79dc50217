"""The recorder: Ray Tune's callback in the driver, and the journal's one writer."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

from ray.tune import Callback

from tune_mlp.console.board import Display
from tune_mlp.errors import RunError, StorageError, one_line
from tune_mlp.records import TrialState
from tune_mlp.results.journal import Decided, Drawn, Ended, Reason, Trained, WorkerLost
from tune_mlp.results.outcomes import OUTCOMES
from tune_mlp.results.state import RANKED
from tune_mlp.results.storage import Storage
from tune_mlp.runs.history import NO_HISTORY, History
from tune_mlp.runs.journal_writer import Journal
from tune_mlp.runs.outcomes_writer import OutcomesWriter
from tune_mlp.tuning.report import Report
from tune_mlp.tuning.trainable import CANNOT_START
from tune_mlp.tuning.trial_files import outcomes_left, shared_file, state_file, step_files, weights_files

LOST_AT_START = 20
"""So many workers may be lost one after the other, each before it had begun to train, and no trial is blamed for it."""
LOST = "the worker was lost: "
"""Begins the error of a trial that failed since its workers were lost."""
FAILED_SETUPS = 3
"""The study ends when so many workers in a row couldn't be set up: one of them may be on a broken node."""


@dataclass(frozen=True)
class KeptFiles:
    """Which files of trials other than the leader are kept to the end."""

    weights: bool = False
    steps: bool = False


class Recorder(Callback):  # type: ignore[misc]  # ray ships no types
    """Writes what happens to the journal, tells the display, and keeps on disk only the weights of the trial that leads."""

    def __init__(
        self,
        journal: Journal,
        display: Display,
        files: Storage,
        kept: KeptFiles,
        on_start: Callable[[], None],
        on_last_starts: Callable[[], None],
        trials: int,
        slots: int,
        history: History = NO_HISTORY,
        decisions: list[Decided] | None = None,
        decided: Collection[tuple[int, int]] = (),
        released: list[tuple[int, int]] | None = None,
        reason: Callable[[], Reason] = lambda: "scheduler",
    ) -> None:
        """on_last_starts: called once, when a trial has begun in the place of one that ended, and no more of the `trials` are
        left to begin than two for each slot; or when all have. reason: says why a trial ends that the scheduler didn't stop."""
        self._journal = journal
        self._display = display
        self._files = files
        self._kept = kept
        self._on_start = on_start
        self._on_last_starts: Callable[[], None] | None = on_last_starts
        self._trials, self._slots = trials, slots
        self._decisions = [] if decisions is None else decisions
        """What the scheduler has decided and isn't written yet; the scheduler adds to it."""
        self._released = [] if released is None else released
        """The trials and epochs whose states no other trial will take over; the scheduler adds to it."""
        self._reason = reason
        self._stopped: set[int] = set()
        """The trials that the scheduler decided to stop."""
        self._decided = set(decided)
        """The trials and epochs of decisions that are written: a resume replays them."""
        self._open: dict[int, float] = {}
        """The seconds of each trial that hasn't ended, up to its last start: a trial may be set aside, or begin anew."""
        self._since: dict[int, float] = {}
        """Its seconds since then."""
        self._params: dict[int, Any] = {}
        self._outcomes = OutcomesWriter(journal.path.with_name(OUTCOMES))
        self._best_outcomes: dict[int, bytes] = {}
        """The line of outcomes of each trial that hasn't ended, as far as its workers have told it."""
        self._leader = journal.state.leader
        self._training: set[int] = set()
        """The trials that have a worker."""
        self._furthest: dict[int, int] = {}
        """The last epoch that each came to."""
        self._lost_at_start = 0
        self._failed_setups = 0
        for number in history.drawn:
            self._params[number] = history.params(number)
        self._open.update({number: history.seconds.get(number, 0.0) for number in history.open})

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Record the start of a trial. Ray also calls this when a trial goes on after a pause or a crash, or with settings that
        it took over."""
        self._on_start()
        self._training.add(trial.config["trial"])
        self._lost_at_start = self._failed_setups = 0
        self.write_decisions()  # a paused trial may have been let go on
        self._begin(trial)
        begun = len(self._params)
        few_left = self._trials - begun <= 2 * self._slots and begun > self._slots
        if self._on_last_starts and (few_left or begun >= self._trials):
            self._on_last_starts()
            self._on_last_starts = None

    def _begin(self, trial: Any) -> None:
        trial.run_metadata._n_steps = ()  # no averages of last results: half of what Ray keeps of a trial that has ended
        number, params = trial.config["trial"], trial.config["params"]
        if self._params.get(number) != params:
            self._params[number] = params
            self._journal.append(Drawn(number, params, trial.config["seed"]))
        self._open[number] = self._open.get(number, 0.0) + self._since.pop(number, 0.0)
        self._display.trial_started(number, params)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        number, report = trial.config["trial"], Report.take(result)
        if report.note:
            self._display.say(f"warning: {report.note}", "yellow")
        if report.error and report.state is not TrialState.FAILED:
            raise StorageError(report.error)
        for name, content in (report.files or {}).items():
            self._files.write(name, content)  # the worker's store can't be reached
        if report.outcomes:
            self._best_outcomes[number] = report.outcomes
        if report.records:
            self._journal.append(
                Trained(number, tuple(report.records), report.node, report.weights, report.weights_digest)
            )
            _, value = result["curve"][-1]
            self._display.trial_trained(number, report.epoch, len(result["curve"]), value, report.best)
            trial.config["known"] = report.epoch  # a next worker needn't say it again
            if report.epoch > self._furthest.get(number, 0):
                self._furthest[number] = report.epoch
                trial.run_metadata.num_failures = 0  # it got on: should its worker be lost again, that is another story
        self.write_decisions()
        self._since[number] = report.seconds
        if report.state is not TrialState.STOPPED:
            early = report.state is TrialState.FINISHED and report.epoch < self._display.board.epochs
            self._end(number, report.state, report.error, "patience" if early else "")

    def write_decisions(self, told_again: bool = False) -> None:
        """Write what the scheduler has decided. If it was told again what came before, only what isn't written yet is new."""
        while self._decisions:
            decided = self._decisions.pop(0)
            if decided.decision == "stop":
                self._stopped.add(decided.trial)
            if decided.decision == "pause":
                self._display.trial_paused(decided.trial)
            if not told_again or (decided.trial, decided.epoch) not in self._decided:
                self._journal.append(decided)
        while self._released:
            self._files.remove(shared_file(*self._released.pop()))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Record the end of a trial, after a result that ended it or when the scheduler ends it."""
        self.write_decisions()
        number = trial.config["trial"]
        self._end(number, TrialState.STOPPED, reason="scheduler" if number in self._stopped else self._reason())

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Note that a trial waits for another worker, since its worker was lost. The loss counts against the trial if it had
        begun to train."""
        self._check_setup(trial)
        number = trial.config["trial"]
        if number not in self._params:
            self._begin(trial)  # not one of its workers came so far
        self._journal.append(WorkerLost(number, len(trials)))
        if number in self._training:
            self._training.discard(number)
        elif self._lost_at_start < LOST_AT_START:
            self._lost_at_start += 1
            trial.run_metadata.num_failures -= 1

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Record the failure of a trial whose workers were lost too often, or that couldn't be paused."""
        self._check_setup(trial)
        if trial.config["trial"] not in self._params:
            self._begin(trial)  # not one of its workers came so far, and the table has it all the same
        error = getattr(trial, "lost_to", None) or trial.get_pickled_error() or RuntimeError("Ray gave no cause")
        if cause := _storage(error):
            raise StorageError(str(cause))
        self._end(trial.config["trial"], TrialState.FAILED, _short(error))

    def _check_setup(self, trial: Any) -> None:
        """End the study if worker after worker can't be set up, for example since PyTorch can't be imported there."""
        found = re.search(f"{re.escape(CANNOT_START)}([^\n]+)", str(getattr(trial, "lost_to", "")))
        if found is None:
            return
        self._failed_setups += 1
        if self._failed_setups >= FAILED_SETUPS:
            raise RunError(f"workers can't start: {found[1]}")

    def stopped_before(self, history: History, number: int) -> History:
        """Record a stop that the scheduler had decided before the driver was lost, and return the history with it."""
        self._end(number, TrialState.STOPPED, reason="scheduler")
        return replace(
            history, ended={**history.ended, number: Ended(number, TrialState.STOPPED, 0.0, "", "scheduler")}
        )

    def close(self) -> None:
        """Record that all running trials were stopped: the study ends by itself or by its time budget."""
        for number in list(self._open):
            self._end(number, TrialState.STOPPED, reason=self._reason())

    def _end(self, number: int, state: TrialState, error: str = "", reason: Reason = "") -> None:
        if number not in self._open:
            return
        self._training.discard(number)
        seconds = self._open.pop(number) + self._since.pop(number, 0.0)
        self._write_outcomes(number, state)
        self._journal.append(Ended(number, state, seconds, error, reason))
        self._display.trial_ended(number, state, error)
        self._keep_leader(number, state)

    def _write_outcomes(self, number: int, state: TrialState) -> None:
        """Write what became of each sample in the best epoch of a trial that may be best, before its end is written: what has ended
        is never trained again. A trial that no worker of this driver has trained left its outcomes in its state."""
        line = self._best_outcomes.pop(number, b"")
        if state in RANKED and (line := line or outcomes_left(self._files, number)):
            self._journal.check()
            self._outcomes.append(line)

    def _keep_leader(self, number: int, state: TrialState) -> None:
        """Remove the weights of the trial that doesn't lead, or leads no longer."""
        self._files.remove(state_file(number))
        before, self._leader = self._leader, self._journal.state.leader
        loser = before if self._leader == number else number
        if loser is not None and not (self._kept.weights and state in RANKED):
            self._files.remove(weights_files(loser))
        if loser is not None and not self._kept.steps:
            self._files.remove(step_files(loser))


def _storage(error: BaseException | None) -> StorageError | None:
    """Return the storage error inside an error, if that is its cause: Ray wraps what a worker raised."""
    while error is not None and not isinstance(error, StorageError):
        error = getattr(error, "cause", None) or error.__cause__
    return error


def _short(error: BaseException) -> str:
    """Return the first line of a Ray error that says something. Ray's errors are pages long, and a table needs one line."""
    text = one_line(error, limit=10_000)
    for telling in ("out-of-memory", "OutOfMemory", "Actor", "Worker"):
        start = text.find(telling)
        if start >= 0:
            text = text[start:]
            break
    return f"{LOST}{text}"[:200]
