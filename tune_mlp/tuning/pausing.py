"""Schedulers that pause trials at rungs and let the best go on from there, so that no epoch is trained twice.

A trial that pauses gives its worker away. Its state lies where every trial leaves it, and it goes on from there as a trial does
whose worker was lost. What these schedulers decide follows from the results in their order alone, and each decision is
a line of the journal, from which a later driver rebuilds the rungs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from tune_mlp.results.journal import Decided, Decision
from tune_mlp.runs.history import WORST, History
from tune_mlp.study.study import BoundStudy
from tune_mlp.tuning.ray_compat.schedulers import TIME
from tune_mlp.tuning.rungs import Ladder, Rung


class PausingScheduler(TrialScheduler):  # type: ignore[misc]  # ray ships no types
    """Pauses each trial at each rung, unless it may go on at once; the subclasses say which may."""

    def __init__(self, study: BoundStudy, ladder: Ladder) -> None:
        super().__init__()
        self._metric, mode = study.ranking
        self._sign = 1.0 if mode == "max" else -1.0
        self._name, self._epochs = study.scheduler.name, study.epochs
        self.ladder = ladder
        self.to_come = study.number_of_trials
        """How many trials Ray will still add."""
        self.decisions: list[Decided] = []
        self._at_work: dict[int, int] = {}
        """The trials that train or wait for a worker, with the epoch from which each goes on."""
        self._paused: set[int] = set()
        self._stopping: dict[int, None] = {}
        """Paused trials that are to be stopped."""
        self._ray_trials: dict[int, Any] = {}
        self._earlier: set[int] = set()
        """Trials of an earlier driver that Ray doesn't know yet."""
        self._curves: dict[int, dict[int, float]] = {}

    # What the subclasses say.

    def _after_arrival(self, rung: Rung, number: int) -> Decision:
        """Decide on a trial that has come to a rung, and on those that its arrival affects."""
        raise NotImplementedError

    def _catch_up(self) -> None:
        """Decide what the last driver would have decided with its last line, and had no more time to write."""
        raise NotImplementedError

    def _when_all_wait(self) -> None:
        """Decide on the paused trials when no trial is at work and none is to come."""
        raise NotImplementedError

    def _kept(self, rung: Rung) -> int:
        """Return how many of a rung's trials may go on by now."""
        return self.ladder.kept(rung)

    def _where(self, rung: Rung) -> str:
        return f"epoch {rung.epoch}"

    # What Ray asks.

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        number = trial.config["trial"]
        if number not in self._ray_trials:
            self.to_come -= 1
        self._ray_trials[number] = trial
        self._earlier.discard(number)
        if number in self._paused or number in self._stopping:  # an earlier driver's
            trial.set_status(Trial.PAUSED)
        else:
            self._at_work.setdefault(number, 0)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        number, epoch, value = trial.config["trial"], result[TIME], result[self._metric]
        self._learn(number, result.get("curve", ((epoch, value),)))
        rung = self.ladder.at(epoch)
        if rung is None or number in rung.scores:  # a trial whose state was lost comes to its rungs again
            return str(TrialScheduler.CONTINUE)
        decision = self._arrived(rung, number, self._sign * value)
        if decision == "pause":
            tune_controller.pause_trial(trial, should_checkpoint=False)  # its state lies in the run's folder
            return str(TrialScheduler.NOOP)
        return str(TrialScheduler.STOP if decision == "stop" else TrialScheduler.CONTINUE)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        self._over(trial.config["trial"])

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        self._over(trial.config["trial"])

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        self._over(trial.config["trial"])  # if it gets another worker, it is added again

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """Return the trial that has come furthest of those that wait for a worker; of these the one that was added first."""
        if self.to_come <= 0 and not self._at_work and not self._earlier and self._paused:
            self._when_all_wait()
        for number in [number for number in self._stopping if number in self._ray_trials]:
            tune_controller.stop_trial(self._ray_trials[number])
        waiting = (
            (-epoch, place, self._ray_trials[number])
            for place, (number, epoch) in enumerate(self._at_work.items())
            if number in self._ray_trials and self._ray_trials[number].status in (Trial.PENDING, Trial.PAUSED)
        )
        first = min(waiting, key=lambda one: one[:2], default=None)
        return None if first is None else first[2]

    def debug_string(self) -> str:
        return f"{len(self._at_work)} at work, {len(self._paused)} paused"

    # What the search asks.

    def has_room(self, slots: int) -> bool:
        """True if another trial may be added, where so many run at once. Those of earlier drivers are always added."""
        return bool(self._earlier) or len(self._at_work) < slots

    @property
    def is_over(self) -> bool:
        """True if all trials have come and gone."""
        return self.to_come <= 0 and not (self._at_work or self._paused or self._stopping)

    def last_rung(self, number: int) -> int:
        """Return the epoch of the highest rung that a trial has come to; 0 if it has come to none."""
        return max((rung.epoch for rung in self.ladder.rungs if number in rung.scores), default=0)

    def is_paused(self, number: int) -> bool:
        return number in self._paused or number in self._stopping

    def rebuild(self, history: History, undecided: Mapping[int, float]) -> set[int]:
        """Take over what an earlier driver decided; return the open trials that it stopped and whose end isn't written.

        `undecided` holds the values of the open trials that may have come to a rung without a decision being written.
        """
        open_trials = set(history.open)
        self._curves = {number: {} for number in history.drawn}
        for number, curve in history.curves.items():
            self._learn(number, curve.items())
        self._at_work = dict.fromkeys(sorted(open_trials), 0)
        for decided in history.decisions:
            if decided.scheduler == self._name and (rung := self.ladder.at(decided.epoch)):
                self._take_over(decided, rung)
        for number in history.ended:
            self._over(number)
        last = {came.trial: came for came in history.came}
        for number in [number for number in self._at_work if number in undecided]:
            rung = self.ladder.at(last[number].epoch)
            if rung is not None and number not in rung.scores:
                self._arrived(rung, number, self._sign * undecided[number])
        self._catch_up()
        stopped = {one.trial for one in (*history.decisions, *self.decisions) if one.decision == "stop"} & open_trials
        for number in stopped:
            self._over(number)
        self._earlier = open_trials - stopped
        self.to_come -= len(stopped)
        return stopped

    def _take_over(self, decided: Decided, rung: Rung) -> None:
        number = decided.trial
        if number not in rung.scores:
            value = -WORST * self._sign if decided.value is None else decided.value
            self.ladder.enter(rung, number, self._sign * value, self._curves)
        if decided.decision == "pause":
            self._pause(number)
        elif decided.decision in ("continue", "promote"):
            self._go_on(rung, number)
        else:
            self._over(number)

    # What becomes of a trial.

    def _arrived(self, rung: Rung, number: int, score: float) -> Decision:
        self.ladder.enter(rung, number, score, self._curves)
        decision = self._after_arrival(rung, number)
        if decision == "pause":
            self._pause(number)
        elif decision == "stop":
            self._over(number)
        return decision

    def _pause(self, number: int) -> None:
        self._at_work.pop(number, None)
        self._paused.add(number)

    def _go_on(self, rung: Rung, number: int) -> None:
        rung.gone_on.add(number)
        self._paused.discard(number)
        self._at_work[number] = rung.epoch

    def _stop(self, rung: Rung, number: int) -> None:
        """Stop a paused trial."""
        self._write(rung, number, "stop")
        self._paused.discard(number)
        self._stopping[number] = None

    def _over(self, number: int) -> None:
        self._at_work.pop(number, None)
        self._paused.discard(number)
        self._stopping.pop(number, None)

    def _learn(self, number: int, curve: Iterable[tuple[int, float]]) -> None:
        scores = self._curves.setdefault(number, {})
        scores.update((epoch, self._sign * value) for epoch, value in curve if math.isfinite(value))

    def _rung_of(self, number: int) -> Rung:
        """Return the highest rung that a trial has come to."""
        rung = self.ladder.at(self.last_rung(number))
        assert rung
        return rung

    def _write(self, rung: Rung, number: int, decision: Decision) -> None:
        score, cutoff = rung.scores[number], rung.cutoff(self._kept(rung))
        self.decisions.append(
            Decided(
                number,
                rung.epoch,
                self._name,
                self._where(rung),
                None if abs(score) >= WORST else self._sign * score,
                None if cutoff is None or abs(cutoff) >= WORST else self._sign * cutoff,
                len(rung.scores),
                decision,
            )
        )


class PromotingScheduler(PausingScheduler):
    """Promotion ASHA and PASHA: a paused trial goes on once it is among the best of its rung.

    With each arrival at most one more trial of a rung may go on, and it takes the worker of the one that came. Li et al. look for it
    when a worker is free, which is the same moment. Where no trial was let go on to the end until no draw is left, the best one goes
    on alone, since a search is to find a trained net.
    """

    def _after_arrival(self, rung: Rung, number: int) -> Decision:
        promoted = list(self.ladder.promotable({*self._paused, number}))
        decision: Decision = "continue" if any(one == number for _, one in promoted) else "pause"
        self._write(rung, number, decision)
        self._promote(promoted, number)
        return decision

    def _catch_up(self) -> None:
        self._promote(list(self.ladder.promotable(self._paused)))

    def _promote(self, promoted: Iterable[tuple[Rung, int]], but: int | None = None) -> None:
        for rung, number in promoted:
            if number != but:
                self._write(rung, number, "promote")
            self._go_on(rung, number)

    def _when_all_wait(self) -> None:
        if self.ladder.rungs[-1].gone_on:
            for number in sorted(self._paused):
                self._stop(self._rung_of(number), number)
            return
        waiting = [(rung, number) for rung in self.ladder.rungs for number in rung.ranked() if number in self._paused]
        highest = [number for rung, number in waiting if rung is waiting[-1][0]]
        self._promote([(waiting[-1][0], highest[0])])


class Pashas(PromotingScheduler):
    """PASHA, whose decisions say to which epoch trials are trained by now."""

    def _where(self, rung: Rung) -> str:
        return f"epoch {rung.epoch}, trained to {self.ladder.largest(self._epochs)} at most"


class BestGoOn(PausingScheduler):
    """The best k after some epochs: all trials train so long, those that can't be among the best are stopped, and the best train on
    when all have come."""

    def __init__(self, study: BoundStudy, ladder: Ladder, keep: int) -> None:
        super().__init__(study, ladder)
        self._keep = keep

    def _kept(self, rung: Rung) -> int:
        return self._keep

    def _after_arrival(self, rung: Rung, number: int) -> Decision:
        beaten = set(rung.ranked()[self._keep :])
        decision: Decision = "stop" if number in beaten else "pause"
        self._write(rung, number, decision)
        self._catch_up()
        return decision

    def _catch_up(self) -> None:
        for rung in self.ladder.rungs:
            for other in sorted(self._paused.intersection(rung.ranked()[self._keep :])):
                self._stop(rung, other)

    def _when_all_wait(self) -> None:
        for rung in self.ladder.rungs:
            for number in [number for number in rung.ranked() if number in self._paused]:
                self._write(rung, number, "promote")
                self._go_on(rung, number)
