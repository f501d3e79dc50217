"""HyperBand: trials are compared in brackets, which wait for all of their trials and differ in how soon they stop the first ones.

Ray's HyperBand halves a bracket as soon as the trials that were started so far have come to its milestone, so that it stops none
where few run at once, and nothing of it outlives its driver. Here a bracket's trials are known by their numbers, a halving waits for all
of them, and what was decided is rebuilt from the journal. The brackets' sizes and milestones are Ray's.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tune_mlp.results.journal import Decided, Drawn, Ended
from tune_mlp.runs.history import WORST, Came, History
from tune_mlp.study.study import BoundStudy
from tune_mlp.tuning.pausing import Action, PausingScheduler


@dataclass
class Bracket:
    """Trials that are compared with each other."""

    name: int
    """How often it halves."""
    size: int
    """How many trials it takes."""
    milestones: tuple[int, ...]
    """The epoch at which it halves for the first time, the second time and so on."""
    factor: float
    members: list[int] = field(default_factory=list)
    halved: int = 0
    """How often it has halved so far."""

    @property
    def milestone(self) -> int | None:
        """The epoch at which it halves next; None where it halves no more."""
        return self.milestones[self.halved] if self.halved < len(self.milestones) else None

    @property
    def closed(self) -> bool:
        """True if it takes no more trials."""
        return len(self.members) >= self.size or self.halved > 0

    def kept(self, halvings: int) -> int:
        """Return how many trials are left at most after so many halvings."""
        left = self.size
        for _ in range(halvings):
            left = math.ceil(left / self.factor)
        return left


def one_round(epochs: int, factor: float) -> list[Bracket]:
    """Return the brackets of one round, which begins with the one that halves least. Those without room for an epoch are left out."""
    most = round(math.log(epochs) / math.log(factor))
    found = []
    for halvings in range(most + 1):
        epoch, milestones = int(epochs * factor ** (-halvings)), []
        for _ in range(halvings if epoch else 0):
            milestones.append(epoch)
            epoch = int(min(epoch * factor, epochs))
        if epoch:
            size = math.ceil((most + 1) / (halvings + 1) * factor**halvings)
            found.append(Bracket(halvings, size, tuple(milestones), factor))
    return found


class HalvingScheduler(PausingScheduler):
    """HyperBand, whose decisions don't depend on how many trials run at once, nor on how often its driver was lost.

    The trials that are left at the end of a bracket train all epochs, where Ray's may stop at 9 of 10.
    """

    def __init__(self, study: BoundStudy) -> None:
        assert study.scheduler.hyperband
        super().__init__(study)
        self._rounds = _rounds(study.epochs, study.scheduler.hyperband.reduction_factor)
        self._brackets: list[Bracket] = []
        self._bracket_of: dict[int, Bracket] = {}
        self._results: dict[int, list[tuple[int, float]]] = {}
        """The epochs and scores of each trial, as they came."""
        self._known: set[int] = set()
        """The trials that were added, and those of earlier drivers."""
        self._gone: set[int] = set()
        """The trials that have ended or are to be stopped."""
        self._passed: dict[int, int] = {}
        """How many halvings have decided on each trial."""
        self._some_are_gone = False

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        number = trial.config["trial"]
        self._place(number)
        self._gone.discard(number)  # it lost its worker and gets another
        super().on_trial_add(tune_controller, trial)

    def _place(self, number: int) -> None:
        """Give a trial its bracket, and those before it theirs: they fill the brackets in the order of their numbers."""
        self._known.add(number)
        while (following := len(self._bracket_of)) <= number:
            if not self._brackets or self._brackets[-1].closed:
                self._brackets.append(next(self._rounds))
            self._brackets[-1].members.append(following)
            self._bracket_of[following] = self._brackets[-1]

    def _decide(self, number: int, epoch: int, score: float) -> Action:
        self._results.setdefault(number, []).append((epoch, score))
        bracket = self._bracket_of[number]
        if bracket.milestone is None or epoch < bracket.milestone:
            return "continue"
        self._pause(number)
        self._settle(bracket)
        if number in self._stopping:  # it has its worker still, and needn't be asked to end
            self._over(number)
            return "stop"
        return "pause" if number in self._paused else "continue"

    def _arrival(self, number: int, milestone: int) -> tuple[int, float] | None:
        """Return the epoch and the score with which a trial came to a milestone."""
        return next((one for one in self._results.get(number, ()) if one[0] >= milestone), None)

    def _settle(self, bracket: Bracket) -> None:
        """Halve a bracket as often as all that it waits for have come."""
        while (milestone := bracket.milestone) is not None:
            live = [number for number in bracket.members if number in self._known and number not in self._gone]
            is_whole = len(bracket.members) >= bracket.size and self._known.issuperset(bracket.members)
            if (not is_whole and self.to_come > 0) or not live or not all(self._arrival(n, milestone) for n in live):
                return
            bracket.halved += 1
            self._halve(bracket, live)

    def _halve(self, bracket: Bracket, competitors: list[int]) -> None:
        """Decide on all that compete in a bracket's last halving and on which it hasn't decided."""
        milestone = bracket.milestones[bracket.halved - 1]
        came = {number: one for number in competitors if (one := self._arrival(number, milestone))}
        ranked = sorted(came, key=lambda number: (came[number][1], number))
        kept = bracket.kept(bracket.halved)
        good, bad = ranked[-kept:], ranked[:-kept]
        for number in (*good, *bad):
            if self._passed.get(number, 0) < bracket.halved:
                self._passed[number] = bracket.halved
                epoch, score = came[number]
                where, goes_on = f"bracket {bracket.name}, epoch {epoch}", number in good
                decision: Action = "continue" if goes_on else "stop"
                self._write(number, epoch, where, score, came[good[0]][1], len(came), decision)
                if goes_on:
                    self._go_on(number, epoch)
                else:
                    self._gone.add(number)
                    self._stop(number)

    def _over(self, number: int) -> None:
        super()._over(number)
        self._gone.add(number)
        self._some_are_gone = True

    def _when_some_are_gone(self) -> None:
        if self._some_are_gone:
            self._when_all_wait()

    def _when_all_wait(self) -> None:
        self._some_are_gone = False
        for bracket in self._brackets:
            self._settle(bracket)

    def _take_over(self, history: History, undecided: Mapping[int, float]) -> None:
        for event in history.course:
            if isinstance(event, Drawn):
                self._place(event.trial)
            elif isinstance(event, Ended):
                self._over(event.trial)
            elif isinstance(event, Came):
                score = -WORST if event.value is None else self._sign * event.value
                self._results.setdefault(event.trial, []).append((event.epoch, score))
            elif event.scheduler == self._name:
                self._again(event)
        for number in history.open:
            if (
                number in self._results and number not in undecided
            ):  # it ended with its last result, and will do so again
                self._results[number].pop()
        for bracket in self._brackets:
            self._finish_halving(bracket)
            if bracket.milestone is not None:
                for number in bracket.members:
                    if number in self._at_work and self._arrival(number, bracket.milestone):
                        self._pause(number)
            self._settle(bracket)

    def _again(self, decided: Decided) -> None:
        """Do what an earlier driver decided."""
        number, bracket = decided.trial, self._bracket_of[decided.trial]
        self._passed[number] = self._passed.get(number, 0) + 1
        bracket.halved = max(bracket.halved, min(self._passed[number], len(bracket.milestones)))
        if decided.decision == "stop":
            self._gone.add(number)
        self._at_work.pop(number, None)
        if decided.decision == "continue":
            self._go_on(number, decided.epoch)

    def _finish_halving(self, bracket: Bracket) -> None:
        """Decide on the trials of a bracket's last halving whose driver was lost before it had written all of its decisions."""
        if bracket.halved:
            decided = [number for number in bracket.members if self._passed.get(number, 0) == bracket.halved]
            left = [number for number in bracket.members if self._passed.get(number, 0) == bracket.halved - 1]
            if any(
                number in self._at_work and self._arrival(number, bracket.milestones[bracket.halved - 1])
                for number in left
            ):
                self._halve(bracket, [*decided, *left])


def _rounds(epochs: int, factor: float) -> Iterator[Bracket]:
    while True:
        yield from one_round(epochs, factor)


def halvings(epochs: int, factor: float) -> list[int]:
    """Return the epochs at which brackets halve, in rising order, without the last epoch."""
    found = itertools.chain.from_iterable(bracket.milestones for bracket in one_round(epochs, factor))
    return sorted(set(found) - {epochs})
