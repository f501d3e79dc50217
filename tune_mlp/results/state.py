"""RunState holds what a journal says so far of a run; `apply` is the one place that knows how an event changes it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, Self

from tune_mlp.errors import RunFolderError
from tune_mlp.records import EpochRecord, TrialState, goal_values, mean_metrics, rank
from tune_mlp.regular_files import open_regular
from tune_mlp.results.journal import (
    Decided,
    Drawn,
    Ended,
    Estimated,
    Event,
    Looked,
    Resumed,
    RunEvent,
    Started,
    Tested,
    Trained,
)
from tune_mlp.results.journal_reader import MOST_BYTES, LineReader

RANKED = (TrialState.FINISHED, TrialState.STOPPED)
"""The states whose trials can be best."""

Order = tuple[float, float, float, int]
"""A key that sorts trials best first: metric, validation loss, weights, number."""


class EpochState(NamedTuple):
    """One epoch of a trial: the records of its seeds and folds, and the mean of their metrics."""

    records: Sequence[EpochRecord]
    metrics: Mapping[str, float]


@dataclass
class TrialSoFar:
    """What the journal says so far of one trial."""

    drawn: Drawn
    epochs: dict[int, EpochState] = field(default_factory=dict)
    """The epochs in order. An epoch that is trained again replaces itself and all that followed."""
    taken_over: int = 0
    """The last epoch under other settings and weights, which population-based training has replaced; else 0."""
    trained: Trained | None = None
    ended: Ended | None = None
    tested: Tested | None = None
    seconds: float = 0.0
    """The seconds of all training so far, that of replaced epochs included."""

    @property
    def records(self) -> list[EpochRecord]:
        """All records in the order of epoch, seed and fold."""
        return [record for epoch in self.epochs.values() for record in epoch.records]


class RunState:
    """What a journal says so far. A new one is the state before the first event."""

    def __init__(self) -> None:
        self.started: Started | None = None
        self.trials: dict[int, TrialSoFar] = {}
        self.decisions: list[Decided] = []
        self.estimates: list[Estimated] = []
        """What the search foresaw of more trials, in order."""
        self.plateau: Estimated | None = None
        """The estimate that ended the draws; None while they go on."""
        self.looked: list[Looked] = []
        """What follow-ups measured on the test part, in order."""
        self.looks = 0
        """How often the test part was looked at: by the search for each trial that it tested, and by follow-ups."""
        self.folds = 1
        self.repeats = 1
        self.leader: int | None = None
        """The best of the trials that have ended; None while none can be best."""
        self._orders: dict[int, Order] = {}

    @classmethod
    def of(cls, events: Iterable[Event]) -> Self:
        """Return the state after these events."""
        state = cls()
        for event in events:
            state.apply(event)
        return state

    def apply(self, event: Event) -> None:
        """Take in the next event."""
        if isinstance(event, RunEvent):
            self._apply_of_the_run(event)
            return
        if isinstance(event, Drawn):
            self._draw(event)
            return
        trial = self.trials.get(event.trial)
        if trial is None:
            raise RunFolderError(f"the journal tells of trial {event.trial}, which was never drawn")
        if isinstance(event, Trained):
            self._train(trial, event)
        elif isinstance(event, Decided):
            self.decisions.append(event)
        elif isinstance(event, Ended):
            trial.ended = event
        elif isinstance(event, Tested):
            trial.tested = event
            self.looks += 1
        elif isinstance(event, Looked):
            self.looked.append(event)
            self.looks += 1
        if trial.ended is not None and isinstance(event, Trained | Ended):
            self._rank(event.trial)

    def _apply_of_the_run(self, event: RunEvent) -> None:
        if isinstance(event, Started):
            self.started = event
        elif isinstance(event, Estimated):
            self.estimates.append(event)
            self.plateau = event if event.ends else None
        elif isinstance(event, Resumed) and event.draws_on:
            self.plateau = None

    def _draw(self, event: Drawn) -> None:
        trial = self.trials.get(event.trial)
        if trial is None:
            self.trials[event.trial] = TrialSoFar(event)
            return
        trial.drawn = event
        if trial.epochs:
            trial.taken_over = max(trial.epochs)

    def _train(self, trial: TrialSoFar, event: Trained) -> None:
        by_epoch: dict[int, dict[tuple[int, int], EpochRecord]] = {}
        for record in event.epochs:
            by_epoch.setdefault(record.epoch, {})[record.repeat, record.fold] = record
            self.folds = max(self.folds, record.fold + 1)
            self.repeats = max(self.repeats, record.repeat + 1)
            trial.seconds += record.seconds
        first = min(by_epoch)
        while trial.epochs and next(reversed(trial.epochs)) >= first:
            trial.epochs.popitem()
        for epoch, records in sorted(by_epoch.items()):
            in_order = [records[key] for key in sorted(records)]
            trial.epochs[epoch] = EpochState(in_order, mean_metrics(in_order))
        trial.trained = event

    def remember_epochs(self, number: int, records: Iterable[EpochRecord]) -> None:
        """Give a trial the epochs that `forget_epochs` dropped, in the order in which they were."""
        by_epoch: dict[int, list[EpochRecord]] = {}
        for record in records:
            by_epoch.setdefault(record.epoch, []).append(record)
        self.trials[number].epochs.update({n: EpochState(found, mean_metrics(found)) for n, found in by_epoch.items()})

    def _rank(self, number: int) -> None:
        order = self._orders[number] = self.order(number)
        if self.leader == number:
            able = [other for other in self._orders if math.isfinite(self._orders[other][0])]
            self.leader = min(able, key=self._orders.__getitem__, default=None)
        elif math.isfinite(order[0]) and (self.leader is None or order < self._orders[self.leader]):
            self.leader = number

    @property
    def last_estimate(self) -> Estimated | None:
        """Return what the search foresaw last; it ends the draws unless the run was asked to draw on since."""
        return replace(self.estimates[-1], ends=self.plateau is not None) if self.estimates else None

    @property
    def open(self) -> list[int]:
        """Return the trials that were drawn and haven't ended, in the order of their draw."""
        return sorted(number for number, trial in self.trials.items() if trial.ended is None)

    @property
    def best(self) -> int | None:
        """Return the best of the trials that have ended and of those under way; None while none has a finite metric."""
        orders = {number: self.order(number) for number in self.open}
        if self.leader is not None:
            orders[self.leader] = self._orders[self.leader]
        able = [number for number, order in orders.items() if math.isfinite(order[0])]
        return min(able, key=orders.__getitem__, default=None)

    def whole_epochs(self, number: int) -> dict[int, Mapping[str, float]]:
        """Return the metrics by epoch, of the epochs that all seeds and folds have trained."""
        runs = self.folds * self.repeats
        return {n: epoch.metrics for n, epoch in self.trials[number].epochs.items() if len(epoch.records) == runs}

    def best_epoch(self, number: int) -> int | None:
        """Return a trial's best epoch. Of equal metrics the lower validation loss is better, then the earlier epoch."""
        if self.started is None:
            return None
        orders = {
            epoch: rank(
                metrics.get(self.started.metric, math.nan), metrics.get("val_loss", math.nan), self.started.mode
            )
            for epoch, metrics in self.whole_epochs(number).items()
            if epoch > self.trials[number].taken_over
        }
        able = [epoch for epoch, order in orders.items() if math.isfinite(order[0])]
        return min(able, key=lambda epoch: (orders[epoch], epoch), default=None)

    def best_value(self, number: int) -> float | None:
        """Return the metric of a trial's best epoch."""
        epoch = self.best_epoch(number)
        if epoch is None or self.started is None:
            return None
        return self.trials[number].epochs[epoch].metrics[self.started.metric]

    def goals(self, number: int, epoch: int | None, until: int | None = None) -> tuple[float, ...] | None:
        """Return a trial's value of each goal as of one of its epochs; it was trained `until` an epoch, or all that it was so far.

        It is None where there is no such epoch, and where the study has one goal alone.
        """
        trial, started = self.trials[number], self.started
        if (
            started is None
            or not started.further_goals
            or epoch is None
            or epoch not in trial.epochs
            or trial.trained is None
        ):
            return None
        seconds = math.fsum(r.train_seconds for r in trial.records if until is None or r.epoch <= until)
        return goal_values(started.goals, trial.epochs[epoch].metrics, trial.trained.weights, seconds)

    def order(self, number: int) -> Order:
        """Return the key that sorts trials best first. Of equal metrics the lower validation loss is better, then the smaller
        net, then the lower number."""
        trial, epoch = self.trials[number], self.best_epoch(number)
        if self.started is None or epoch is None or (trial.ended and trial.ended.state not in RANKED):
            return math.inf, math.inf, math.inf, number
        metrics = trial.epochs[epoch].metrics
        value, loss = rank(metrics[self.started.metric], metrics.get("val_loss", math.nan), self.started.mode)
        return value, loss, trial.trained.weights if trial.trained else math.inf, number

    def known_order(self, number: int) -> Order:
        """Return the key of a trial as of its end, also where its epochs were dropped since; of an open trial as of now."""
        return self._orders[number] if number in self._orders else self.order(number)

    def forget_epochs(self, number: int) -> None:
        """Drop the epochs of a trial that has ended, which the driver of many trials no longer needs."""
        self.trials[number].epochs.clear()


class JournalFollower:
    """Follows a journal that another process writes: each call of `follow` gives the events that were added since."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.offset = 0
        """How many bytes were read; a line begins there."""
        self._reader = LineReader(path)

    def follow(self) -> list[Event]:
        """Return the events of the lines that were completed since the last call. An incomplete line comes when it is complete."""
        try:
            with open_regular(self.path, MOST_BYTES) as file:
                file.seek(self.offset)
                content = file.read()
        except OSError as error:
            raise RunFolderError(f"{self.path}: can't read the journal: {error.strerror or error}") from None
        whole = content[: content.rfind(b"\n") + 1]
        events = [line.event for line in self._reader.take(whole)]
        self.offset += len(whole)
        return events
