"""Schedulers that compare trials at rungs: promotion ASHA, PASHA, and the best k after some epochs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from tune_mlp.results.journal import Decided, Decision
from tune_mlp.runs.history import WORST, History
from tune_mlp.study.study import BoundStudy
from tune_mlp.tuning.pausing import Action, PausingScheduler
from tune_mlp.tuning.ray_compat.schedulers import TIME
from tune_mlp.tuning.rungs import Ladder, Rung


class RungScheduler(PausingScheduler):
    """Pauses each trial at each rung, unless it may go on at once; the subclasses say which may."""

    def __init__(self, study: BoundStudy, ladder: Ladder) -> None:
        super().__init__(study)
        self.ladder = ladder
        self._curves: dict[int, dict[int, float]] = {}

    # What the subclasses say.

    def _after_arrival(self, rung: Rung, number: int) -> Action:
        """Decide on a trial that has come to a rung, and on those that its arrival affects."""
        raise NotImplementedError

    def _catch_up(self) -> None:
        """Decide what the last driver would have decided with its last line, and had no more time to write."""
        raise NotImplementedError

    def _kept(self, rung: Rung) -> int:
        """Return how many of a rung's trials may go on by now."""
        return self.ladder.kept(rung)

    def _where(self, rung: Rung) -> str:
        return f"epoch {rung.epoch}"

    # What becomes of a trial.

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        curve = result.get("curve", ((result[TIME], result[self._metric]),))
        self._learn(trial.config["trial"], curve)
        return super().on_trial_result(tune_controller, trial, result)

    def _decide(self, number: int, epoch: int, score: float) -> Action:
        rung = self.ladder.at(epoch)
        if rung is None or number in rung.scores:  # a trial whose state was lost comes to its rungs again
            return "continue"
        return self._arrived(rung, number, score)

    def _arrived(self, rung: Rung, number: int, score: float) -> Action:
        self.ladder.enter(rung, number, score, self._curves)
        action = self._after_arrival(rung, number)
        if action == "pause":
            self._pause(number)
        elif action == "stop":
            self._over(number)
        return action

    def _take_over(self, history: History, undecided: Mapping[int, float]) -> None:
        self._curves = {number: {} for number in history.drawn}
        for number, curve in history.curves.items():
            self._learn(number, curve.items())
        for decided in history.decisions:
            if decided.scheduler == self._name and (rung := self.ladder.at(decided.epoch)):
                self._again(decided, rung)
        for number in history.ended:
            self._over(number)
        last = {came.trial: came for came in history.came}
        for number in [number for number in self._at_work if number in undecided]:
            rung = self.ladder.at(last[number].epoch)
            if rung is not None and number not in rung.scores:
                self._arrived(rung, number, self._sign * undecided[number])
        self._catch_up()

    def _again(self, decided: Decided, rung: Rung) -> None:
        """Do what an earlier driver decided."""
        number = decided.trial
        if number not in rung.scores:
            value = -WORST * self._sign if decided.value is None else decided.value
            self.ladder.enter(rung, number, self._sign * value, self._curves)
        if decided.decision == "pause":
            self._pause(number)
        elif decided.decision in ("continue", "promote"):
            self._let_go_on(rung, number)
        else:
            self._over(number)

    def _let_go_on(self, rung: Rung, number: int) -> None:
        rung.gone_on.add(number)
        self._go_on(number, rung.epoch)

    def _end(self, rung: Rung, number: int) -> None:
        """Stop a paused trial, and say so."""
        self._say(rung, number, "stop")
        self._stop(number)

    def last_rung(self, number: int) -> int:
        return max((rung.epoch for rung in self.ladder.rungs if number in rung.scores), default=0)

    def _learn(self, number: int, curve: Iterable[tuple[int, float]]) -> None:
        scores = self._curves.setdefault(number, {})
        scores.update((epoch, self._sign * value) for epoch, value in curve if math.isfinite(value))

    def _rung_of(self, number: int) -> Rung:
        """Return the highest rung that a trial has come to."""
        rung = self.ladder.at(self.last_rung(number))
        assert rung
        return rung

    def _say(self, rung: Rung, number: int, decision: Decision) -> None:
        """Note a decision at a rung."""
        cutoff = rung.cutoff(self._kept(rung))
        self._write(number, rung.epoch, self._where(rung), rung.scores[number], cutoff, len(rung.scores), decision)


class PromotingScheduler(RungScheduler):
    """Promotion ASHA and PASHA: a paused trial goes on once it is among the best of its rung.

    With each arrival at most one more trial of a rung may go on, and it takes the worker of the one that came. Li et al. look for it
    when a worker is free, which is the same moment. Where no trial was let go on to the end until no draw is left, the best one goes
    on alone, since a search is to find a trained net.
    """

    def _after_arrival(self, rung: Rung, number: int) -> Action:
        promoted = list(self.ladder.promotable({*self._paused, number}))
        decision: Action = "continue" if any(one == number for _, one in promoted) else "pause"
        self._say(rung, number, decision)
        self._promote(promoted, number)
        return decision

    def _catch_up(self) -> None:
        self._promote(list(self.ladder.promotable(self._paused)))

    def _promote(self, promoted: Iterable[tuple[Rung, int]], but: int | None = None) -> None:
        for rung, number in promoted:
            if number != but:
                self._say(rung, number, "promote")
            self._let_go_on(rung, number)

    def _when_all_wait(self) -> None:
        if self.ladder.rungs[-1].gone_on:
            for number in sorted(self._paused):
                self._end(self._rung_of(number), number)
            return
        waiting = [(rung, number) for rung in self.ladder.rungs for number in rung.ranked() if number in self._paused]
        highest = [number for rung, number in waiting if rung is waiting[-1][0]]
        self._promote([(waiting[-1][0], highest[0])])


class Pashas(PromotingScheduler):
    """PASHA, whose decisions say to which epoch trials are trained by now."""

    def _where(self, rung: Rung) -> str:
        return f"epoch {rung.epoch}, trained to {self.ladder.largest(self._epochs)} at most"


class BestGoOn(RungScheduler):
    """The best k after some epochs: all trials train so long, those that can't be among the best are stopped, and the best train on
    when all have come."""

    def __init__(self, study: BoundStudy, ladder: Ladder, keep: int) -> None:
        super().__init__(study, ladder)
        self._keep = keep

    def _kept(self, rung: Rung) -> int:
        return self._keep

    def _after_arrival(self, rung: Rung, number: int) -> Action:
        beaten = set(rung.ranked()[self._keep :])
        decision: Action = "stop" if number in beaten else "pause"
        self._say(rung, number, decision)
        self._catch_up()
        return decision

    def _catch_up(self) -> None:
        for rung in self.ladder.rungs:
            for other in sorted(self._paused.intersection(rung.ranked()[self._keep :])):
                self._end(rung, other)

    def _when_all_wait(self) -> None:
        for rung in self.ladder.rungs:
            for number in [number for number in rung.ranked() if number in self._paused]:
                self._say(rung, number, "promote")
                self._let_go_on(rung, number)
