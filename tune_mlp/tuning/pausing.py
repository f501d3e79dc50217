"""Schedulers that pause trials and let them go on from there, so that no epoch is trained twice.

A trial that pauses gives its worker away. Its state lies where every trial leaves it, and it goes on from there as a trial does
whose worker was lost. What these schedulers decide follows from the results in their order alone, and each decision is
a line of the journal, from which a later driver rebuilds what they knew.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from tune_mlp.results.journal import Decided, Decision
from tune_mlp.runs.history import WORST, History
from tune_mlp.study.study import BoundStudy
from tune_mlp.tuning.ray_compat.schedulers import TIME

Action = Literal["continue", "pause", "stop"]
"""What a trial does with its worker after a result."""


class PausingScheduler(TrialScheduler):  # type: ignore[misc]  # ray ships no types
    """Pauses trials and takes them up again; the subclasses say which and when. A higher score is better."""

    def __init__(self, study: BoundStudy) -> None:
        super().__init__()
        self._metric, mode = study.ranking
        self._sign = 1.0 if mode == "max" else -1.0
        self._name, self._epochs = study.scheduler.name, study.epochs
        self.to_come = study.number_of_trials
        """How many trials Ray will still add."""
        self.slots: float = math.inf
        """How many trials run at once."""
        self.decisions: list[Decided] = []
        """What was decided and isn't written yet."""
        self.released: list[tuple[int, int]] = []
        """Trials and epochs whose states, kept for others to take over, nobody needs any longer."""
        self._at_work: dict[int, int] = {}
        """The trials that train or wait for a worker, with the epoch from which each goes on."""
        self._paused: set[int] = set()
        """The trials that wait for a decision."""
        self._stopping: dict[int, None] = {}
        """Paused trials that are to be stopped."""
        self._ray_trials: dict[int, Any] = {}
        self._earlier: set[int] = set()
        """Trials of an earlier driver that Ray doesn't know yet."""

    # What the subclasses say.

    def _decide(self, number: int, epoch: int, score: float) -> Action:
        """Decide on a trial that has come with a result, and on those that it affects."""
        raise NotImplementedError

    def _take_over(self, history: History, undecided: Mapping[int, float]) -> None:
        """Take over what earlier drivers decided, and decide what the last one would have decided with its last line."""
        raise NotImplementedError

    def _when_all_wait(self) -> None:
        """Decide on the paused trials when no trial is at work and none is to come."""

    def _when_some_are_gone(self) -> None:
        """Decide on the trials that wait for others, since some of these may have ended."""

    def _rank(self, number: int, epoch: int, place: int) -> tuple[int, int]:
        """Return the key by which waiting trials get workers. The one that has come furthest is first; of these the one that began
        to wait first."""
        return -epoch, place

    # What Ray asks.

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        number = trial.config["trial"]
        if number not in self._ray_trials:
            self.to_come -= 1
        self._ray_trials[number] = trial
        if number in self._earlier:
            self._earlier.discard(number)
            trial.set_status(Trial.PAUSED)  # so that Ray doesn't start it before its turn
        if not self.is_paused(number):
            self._at_work.setdefault(number, 0)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        action = self._decide(trial.config["trial"], result[TIME], self._sign * result[self._metric])
        if action == "pause":
            tune_controller.pause_trial(trial, should_checkpoint=False)  # its state lies in the run's folder
            return str(TrialScheduler.NOOP)
        return str(TrialScheduler.STOP if action == "stop" else TrialScheduler.CONTINUE)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        self._over(trial.config["trial"])

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        self._over(trial.config["trial"])

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        self._over(trial.config["trial"])  # if it gets another worker, it is added again

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """Return the first of the trials that wait for a worker, if there is room for it."""
        self._when_some_are_gone()
        if self.to_come <= 0 and not self._at_work and not self._earlier and self._paused:
            self._when_all_wait()
        for number in [number for number in self._stopping if number in self._ray_trials]:
            tune_controller.stop_trial(self._ray_trials[number])
        able = (Trial.PENDING, Trial.PAUSED) if self._begun() < self.slots else (Trial.PENDING,)
        waiting = (
            (self._rank(number, epoch, place), self._ray_trials[number])
            for place, (number, epoch) in enumerate(self._at_work.items())
            if number in self._ray_trials and self._ray_trials[number].status in able
        )
        first = min(waiting, key=lambda one: one[0], default=None)
        return None if first is None else first[1]

    def debug_string(self) -> str:
        return f"{len(self._at_work)} at work, {len(self._paused)} paused"

    # What the search asks.

    @property
    def has_room(self) -> bool:
        """True if another trial may be added. Those of earlier drivers are always added."""
        return bool(self._earlier) or len(self._at_work) < self.slots

    def _begun(self) -> int:
        """Return how many trials have a worker or are about to get one."""
        begun = (Trial.PENDING, Trial.RUNNING)
        return sum(self._ray_trials[number].status in begun for number in self._at_work if number in self._ray_trials)

    @property
    def is_over(self) -> bool:
        """True if all trials have come and gone."""
        return self.to_come <= 0 and not (self._at_work or self._paused or self._stopping)

    def last_rung(self, number: int) -> int:
        """Return the epoch of the highest rung that a trial has come to; 0 if it has come to none."""
        return 0

    def is_paused(self, number: int) -> bool:
        return number in self._paused or number in self._stopping

    def rebuild(self, history: History, undecided: Mapping[int, float]) -> set[int]:
        """Take over what an earlier driver decided; return the open trials that it stopped and whose end isn't written.

        `undecided` holds the values of the open trials that may have come to a decision without its being written.
        """
        open_trials = set(history.open)
        self._at_work = dict.fromkeys(sorted(open_trials), 0)
        self._take_over(history, undecided)
        stopped = {one.trial for one in (*history.decisions, *self.decisions) if one.decision == "stop"} & open_trials
        for number in stopped:
            self._over(number)
        self._earlier = open_trials - stopped
        self.to_come -= len(stopped)
        return stopped

    # What becomes of a trial.

    def _pause(self, number: int) -> None:
        self._at_work.pop(number, None)
        self._paused.add(number)

    def _go_on(self, number: int, epoch: int) -> None:
        self._paused.discard(number)
        self._at_work[number] = epoch

    def _stop(self, number: int) -> None:
        """Stop a paused trial."""
        self._paused.discard(number)
        self._stopping[number] = None

    def _over(self, number: int) -> None:
        self._at_work.pop(number, None)
        self._paused.discard(number)
        self._stopping.pop(number, None)

    def _write(
        self,
        number: int,
        epoch: int,
        where: str,
        score: float,
        cutoff: float | None,
        competed: int,
        decision: Decision,
        donor: int | None = None,
    ) -> None:
        """Note a decision. A trial without a metric was reported as the worst of all."""
        value = None if abs(score) >= WORST else self._sign * score
        bar = None if cutoff is None or abs(cutoff) >= WORST else self._sign * cutoff
        self.decisions.append(Decided(number, epoch, self._name, where, value, bar, competed, decision, donor))
