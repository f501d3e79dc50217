"""A run's drivers, driven again: the scheduler's own code is told the journal's results, and says what it decides."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from tune_mlp.errors import one_line
from tune_mlp.records import TrialState
from tune_mlp.results.journal import (
    Decided,
    Drawn,
    Ended,
    Estimated,
    Event,
    Resumed,
    RunEvent,
    Trained,
    WorkerLost,
)
from tune_mlp.results.state import RunState
from tune_mlp.runs.history import OWN_ENDS, WORST, History, came_of, curve_of, history_of
from tune_mlp.space.domains import as_value
from tune_mlp.study.study import BoundStudy
from tune_mlp.training.patience import Patience
from tune_mlp.tuning.differences import Difference, DifferenceFound, said_apart, same_decision
from tune_mlp.tuning.pausing import PausingScheduler
from tune_mlp.tuning.population import Population
from tune_mlp.tuning.ray_compat.schedulers import TIME
from tune_mlp.tuning.recorder import LOST
from tune_mlp.tuning.schedulers import make_scheduler, tell_history
from tune_mlp.tuning.simulation import SimulatedController, SimulatedTrial


class Part(NamedTuple):
    """What one driver wrote of a run, and what it knew at its start."""

    before: Sequence[Event]
    """The events of the drivers before it."""
    events: Sequence[Event]
    trials: int
    """How many trials the run was to have."""


def parts_of(events: Sequence[Event], trials: int) -> list[Part]:
    """Split a journal where a new driver went on with the run, which is to have so many trials in the end."""
    places = [place for place, event in enumerate(events) if isinstance(event, Resumed)]
    resumes = [event for event in events if isinstance(event, Resumed)]
    numbers = [*(one.trials_before for one in resumes[:1]), *(one.trials for one in resumes)] or [trials]
    ends = itertools.pairwise([0, *places, len(events)])
    return [Part(events[:a], events[a:b], number) for (a, b), number in zip(ends, numbers, strict=True)]


def wrong_decision(study: BoundStudy, events: Sequence[Event]) -> Difference | None:
    """Derive every decision of a run's scheduler again; return the first that isn't the journal's."""
    try:
        for part in parts_of(events, study.number_of_trials):
            DriverAgain(study, part).go()
    except DifferenceFound as found:
        return found.difference
    return None


class TrialAgain(SimulatedTrial):
    """A trial with what population-based training reads of it and writes to it."""

    def __init__(self, number: int, params: dict[str, Any]) -> None:
        super().__init__(number)
        self.config = {"trial": number, "params": params}
        self.last: dict[str, Any] = {}
        """Its last result, as the scheduler was told of it."""

    def is_finished(self) -> bool:
        return self.status in (Trial.TERMINATED, Trial.ERROR)

    def set_config(self, config: dict[str, Any]) -> None:
        self.config = config


@dataclass
class _Written:
    """The decisions that a driver wrote, in their order, and how many of them were derived so far."""

    decisions: list[Decided]
    place: int = 0

    @property
    def next(self) -> Decided | None:
        return self.decisions[self.place] if self.place < len(self.decisions) else None

    @property
    def rest(self) -> list[Decided]:
        return self.decisions[self.place :]


class DriverAgain:
    """One driver of a run: the scheduler that it had, told what came in the order in which it came."""

    def __init__(self, study: BoundStudy, part: Part) -> None:
        self._study, self._events = study, part.events
        self._known = {(event.trial, event.epoch) for event in part.before if isinstance(event, Decided)}
        self._metric, mode = study.ranking
        self._state = RunState.of(part.before)
        self._worst = -WORST if mode == "max" else WORST
        # The line with which a driver began says whether it draws on.
        history = history_of([*part.before, *(event for event in part.events[:1] if isinstance(event, Resumed))])
        self._scheduler = make_scheduler(study, history.to_come(part.trials))
        self._controller = SimulatedController(self._scheduler)
        self._written = _Written([event for event in part.events if isinstance(event, Decided)])
        if isinstance(self._scheduler, Population):
            self._scheduler.told = {(one.trial, one.epoch): one.donor for one in self._written.decisions}
        stopped = tell_history(self._scheduler, study, history)
        self._params = {number: history.params(number) for number in history.open if number not in stopped}
        drawn = [event.trial for event in part.events if isinstance(event, Drawn)]
        new = (number for number in range(max(drawn, default=-1) + 1) if number not in history.drawn)
        self._to_add: Iterator[int] = itertools.chain(list(self._params), new)
        self._trials: dict[int, TrialAgain] = {}
        self._last = {number: _last_result(history, number) for number in self._params}
        """The epoch of each trial's last result."""
        self._end_of_history = history_of([*part.before, *part.events])
        self._later = _next_of_the_same_trial(part.events)
        self._pausing = self._scheduler if isinstance(self._scheduler, PausingScheduler) else None
        """The scheduler, where it pauses trials and says by itself when it takes them up again."""

    def go(self) -> None:
        """Tell the scheduler all that came; raise DifferenceFound at the first decision that isn't the journal's."""
        self._compare(-1)
        if self._pausing:  # it must know of all that may wait for each other
            for number in list(self._params):
                self._trial(number)
            self._choose(-1)
        for place, event in enumerate(self._events):
            try:
                self._tell(place, event)
            except DifferenceFound:
                raise
            except Exception as error:  # schedulers raise many kinds where they are told what can't be
                number = getattr(event, "trial", 0)
                said = one_line(error, limit=200)
                wrong = Difference(number, self._last.get(number), "what can't have come", said)
                raise DifferenceFound(wrong) from error
            self._compare(place)
            self._choose(place)
        if left := self._written.next:
            self._differ(left, None)

    def _choose(self, place: int) -> None:
        """Ask a scheduler that pauses trials what is to run now, as Ray does after each event, since it may decide then."""
        if self._pausing:
            self._pausing.choose_trial_to_run(self._controller)
            self._compare(place)

    def _tell(self, place: int, event: Event) -> None:
        self._state.apply(event)
        if isinstance(event, Drawn):
            self._drawn(event)
        elif isinstance(event, Trained):
            self._trained(place, event)
        elif isinstance(event, Ended) and event.state in OWN_ENDS:
            self._ended(event)
        elif isinstance(event, WorkerLost):
            self._lost(event)
        elif isinstance(event, Estimated) and event.ends and self._pausing:
            self._pausing.to_come = 0

    def _trial(self, number: int) -> TrialAgain:
        """Return a trial; the scheduler is given it, and those ahead of it, when something is heard of it for the first time."""
        while number not in self._trials:
            self._add(next(self._to_add, number))
        return self._trials[number]

    def _add(self, number: int) -> None:
        trial = self._trials[number] = TrialAgain(number, dict(self._params.get(number, {})))
        self._controller.add(trial)

    def _drawn(self, event: Drawn) -> None:
        params = {path: as_value(value) for path, value in event.params.items()}
        if event.trial not in self._params:
            self._params[event.trial] = params
            self._trial(event.trial).config["params"] = dict(params)
            return
        self._params[event.trial] = params
        self._check_params(event.trial)

    def _check_params(self, number: int) -> None:
        """Refuse parameters that the scheduler hasn't given to the trial."""
        derived, params = self._trial(number).config["params"], self._params[number]
        for name in [*derived, *params]:
            if derived.get(name) != params.get(name):
                here, there = (f"{name} {one.get(name)!r}" for one in (params, derived))
                raise DifferenceFound(Difference(number, self._last.get(number), here, there))

    def _trained(self, place: int, event: Trained) -> None:
        number, came = event.trial, came_of(event, self._metric, self._state)
        trial = self._trial(number)
        if trial.is_finished():
            raise DifferenceFound(Difference(number, came.epoch, "it trained on", "it was stopped before"))
        if self._pausing and self._pausing.is_paused(number):
            raise DifferenceFound(Difference(number, came.epoch, "it trained on", "it was paused before"))
        self._check_params(number)
        self._last[number] = came.epoch
        trial.last = {TIME: came.epoch, self._metric: self._worst if came.value is None else came.value}
        trial.last |= {"curve": curve_of(event, self._metric), "goals": came.goals}
        if not self._was_its_end(place, number):
            self._report(trial)

    def _was_its_end(self, place: int, number: int) -> bool:
        """True if a trial ended by itself with its result at this place: its scheduler was not asked then."""
        later = self._later[place]
        if later is None:
            patience = Patience(self._study.patience, self._study.ranking[1])
            return self._end_of_history.at_its_end(number, self._study.epochs, patience)
        return isinstance(later, Ended) and later.state in (TrialState.FINISHED, TrialState.DIVERGED)

    def _report(self, trial: TrialAgain) -> None:
        """Tell the scheduler of a result, and do what it decides, as Ray's controller does."""
        trial.status = Trial.RUNNING
        decision = self._scheduler.on_trial_result(self._controller, trial, trial.last)
        if decision == TrialScheduler.STOP:
            self._scheduler.on_trial_complete(self._controller, trial, trial.last)
            self._controller.end(trial)
        elif decision == TrialScheduler.PAUSE:
            trial.status = Trial.PAUSED

    def _ended(self, event: Ended) -> None:
        """Tell the scheduler of a trial's own end."""
        trial = self._trial(event.trial)
        if trial.is_finished():
            raise DifferenceFound(
                Difference(event.trial, self._last.get(event.trial), f"it {event.state}", "it was stopped before")
            )
        trial.status = Trial.RUNNING
        if event.state is TrialState.FAILED and event.error.startswith(LOST):
            self._scheduler.on_trial_error(self._controller, trial)
        else:
            bad = event.state is not TrialState.FINISHED
            last = {TIME: self._last.get(event.trial, 0), self._metric: self._worst}
            self._scheduler.on_trial_complete(self._controller, trial, last if bad else trial.last)
        self._controller.end(trial)

    def _lost(self, event: WorkerLost) -> None:
        """Give the scheduler a trial anew, after those that it had been given by then."""
        trial = self._trial(event.trial)
        while len(self._trials) < event.added and (number := next(self._to_add, None)) is not None:
            self._add(number)
        self._scheduler.on_trial_error(self._controller, trial)
        trial.status = Trial.PENDING
        self._controller.add(trial)

    def _compare(self, place: int) -> None:
        """Compare what the scheduler has decided with what the journal says. `place` is that of the event that led to it."""
        decisions: list[Decided] = getattr(self._scheduler, "decisions", [])
        while decisions:
            derived = decisions.pop(0)
            if place < 0 and not self._pausing and (derived.trial, derived.epoch) in self._known:
                continue  # told again, it decided again what is written already
            written = self._written.next
            if written is None:
                if self._is_cut(place):
                    continue
                self._differ(None, derived)
            elif not same_decision(written, derived):
                self._differ(written, derived)
            self._written.place += 1

    def _is_cut(self, place: int) -> bool:
        """True if the driver ended before it could write what it decided at this place: decisions are written after a result."""
        if self._pausing:  # it writes some decisions only when a trial goes on or is ended: nothing was trained since
            return not any(isinstance(event, Trained) for event in self._events[place + 1 :])
        rest = list(self._events[max(place, 0) :])
        if place >= 0:
            while rest and not isinstance(rest[0], Trained):
                rest.pop(0)
        return all(isinstance(event, Decided | Resumed) for event in rest[0 if place < 0 else 1 :])

    def _differ(self, written: Decided | None, derived: Decided | None) -> None:
        if written and derived and (written.trial, written.epoch) != (derived.trial, derived.epoch):
            later = {(one.trial, one.epoch) for one in self._written.rest}
            written, derived = (written, None) if (derived.trial, derived.epoch) in later else (None, derived)
        place = written or derived
        assert place is not None
        raise DifferenceFound(Difference(place.trial, place.epoch, *said_apart(written, derived)))


def _next_of_the_same_trial(events: Sequence[Event]) -> list[Event | None]:
    """Return what happened to the trial of each event next, decisions left out; None where nothing did."""
    later: list[Event | None] = [None] * len(events)
    latest: dict[int, Event] = {}
    for place in range(len(events) - 1, -1, -1):
        event = events[place]
        if not isinstance(event, RunEvent | Decided):
            later[place] = latest.get(event.trial)
            latest[event.trial] = event
    return later


def _last_result(history: History, number: int) -> int:
    return max((one.epoch for one in history.came if one.trial == number), default=0)
