"""What a journal says of a run that is to go on: the trials that ended, those that are open, and the results as they came."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tune_mlp.errors import RunFolderError
from tune_mlp.records import TrialState, mean_metrics
from tune_mlp.results.journal import Decided, Drawn, Ended, Estimated, Event, Started, Told, Trained
from tune_mlp.results.state import RunState, TrialSoFar
from tune_mlp.space.domains import as_value
from tune_mlp.space.space import Params
from tune_mlp.study.study import Study
from tune_mlp.training.patience import Patience

WORST = 1e30
"""Reported, signed, as the metric of a trial that has none: worst of all, and finite, since Ray's schedulers compare
and average. The journal holds the real values."""


@dataclass(frozen=True)
class Came:
    """A result as the scheduler and the searcher were told of it."""

    trial: int
    epoch: int
    value: float | None
    """The metric; None of a trial that diverged or failed."""
    state: TrialState | None
    """How the trial ended with it; None where it was up to the scheduler."""
    goals: tuple[float, ...] | None = None
    """The value of each goal after this epoch; None of a trial that has no metric."""


NOTHING = Came(0, 0, None, None)
"""The result of a trial that has no metric."""


Step = Drawn | Came | Decided | Ended
"""What a scheduler is rebuilt from, step by step."""


@dataclass(frozen=True)
class History:
    """What happened in a run before this driver; empty for a new run."""

    drawn: dict[int, Drawn] = field(default_factory=dict)
    ended: dict[int, Ended] = field(default_factory=dict)
    came: tuple[Came, ...] = ()
    curves: dict[int, dict[int, float]] = field(default_factory=dict)
    """The metric by epoch, as far as it is finite."""
    taken_over: dict[int, int] = field(default_factory=dict)
    """The last epoch of each trial under other settings, which population-based training has replaced; 0 where it has none."""
    seconds: dict[int, float] = field(default_factory=dict)
    """The seconds that each trial was trained for so far."""
    bests: dict[int, float] = field(default_factory=dict)
    """The metric of each trial's best epoch, where it has one."""
    goals: dict[int, tuple[float, ...]] = field(default_factory=dict)
    """The value of each goal as of each trial's best epoch, where it has one."""
    decisions: tuple[Decided, ...] = ()
    """What the scheduler decided, in order."""
    course: tuple[Step, ...] = ()
    """All of this in the order in which it was written; here a result doesn't say whether its trial ended with it."""
    plateau: Estimated | None = None
    """The estimate that ended the draws; None while they go on."""
    told: tuple[Told, ...] = ()
    """The trials of an earlier run that the search was told of at its warm start, the best first."""

    def to_come(self, trials: int) -> int:
        """Return how many trials are still to be run, of so many: those under way, and those to draw unless the draws have ended."""
        return len(self.open) if self.plateau else trials - len(self.ended)

    @property
    def open(self) -> list[int]:
        """Return the trials that were drawn and haven't ended, in the order of their draw."""
        return sorted(self.drawn.keys() - self.ended.keys())

    def at_its_end(self, trial: int, epochs: int, patience: Patience) -> bool:
        """True if an open trial's last result was its own end. If it is trained again, it comes to the same end."""
        last = max((one.epoch for one in self.came if one.trial == trial), default=0)
        curve = self.curve_since_taken_over(trial)
        for value in curve.values():
            patience = patience.after(value)
        return last >= epochs or (last > self.taken_over.get(trial, 0) and last not in curve) or patience.over

    def curve_since_taken_over(self, trial: int) -> dict[int, float]:
        """Return the metric by epoch under the settings that a trial has now: its patience begins anew with them."""
        begun = self.taken_over.get(trial, 0)
        return {epoch: value for epoch, value in sorted(self.curves.get(trial, {}).items()) if epoch > begun}

    def before_their_ends(self, trials: Collection[int]) -> History:
        """Return the history without the last results of these trials."""
        last = {one.trial: i for i, one in enumerate(self.came)}
        left_out = {last[trial] for trial in trials if trial in last}
        return replace(self, came=tuple(one for i, one in enumerate(self.came) if i not in left_out))

    def params(self, trial: int) -> Params:
        return {path: as_value(value) for path, value in self.drawn[trial].params.items()}

    def best(self, trial: int) -> float | None:
        """Return the metric of a trial's best epoch."""
        return self.bests.get(trial)


NO_HISTORY = History()
"""The history of a run that begins."""
OWN_ENDS = (TrialState.FINISHED, TrialState.DIVERGED, TrialState.FAILED)
"""A trial's own ends; all others are the scheduler's, the clock's or a person's."""


def history_of(events: Sequence[Event]) -> History:
    """Build the history from the events of a journal, of which the first is `started`."""
    state = RunState()
    came, course = _results(events, state)
    metric = state.started.metric if state.started else ""
    return History(
        drawn={number: trial.drawn for number, trial in state.trials.items()},
        ended={number: trial.ended for number, trial in state.trials.items() if trial.ended},
        came=tuple(came),
        curves={number: _curve(trial, metric) for number, trial in state.trials.items()},
        taken_over={number: trial.taken_over for number, trial in state.trials.items()},
        seconds={number: trial.seconds for number, trial in state.trials.items()},
        bests={number: best for number in state.trials if (best := state.best_value(number)) is not None},
        goals={n: found for n in state.trials if (found := state.goals(n, state.best_epoch(n))) is not None},
        decisions=tuple(state.decisions),
        course=tuple(course),
        plateau=state.plateau,
        told=tuple(event for event in events if isinstance(event, Told)),
    )


FIXED = ("task", "metric", "mode", "further_goals", "epochs", "engine", "classes", "seed")
"""The fields of `started` that stay as they are for a run's whole life."""
COMPARED = 1000
"""So many of a run's draws are compared with those of its study."""


def check_same_beginning(journal: Path, began: Started, now: Started, study: Study, history: History) -> None:
    """Refuse to go on with a journal that another study began: its trials couldn't be compared with those to come."""
    for name in FIXED:
        before, after = getattr(began, name), getattr(now, name)
        if before != after:
            raise RunFolderError(f"{journal}:1: began with {name} {before}, and study.yaml and run.json say {after}")
    if study.search.learns or study.scheduler.pbt:  # their draws depend on results
        return
    drawn = max(history.drawn, default=-1) + 1
    for number, params in enumerate(itertools.islice(study.draws(), min(drawn, COMPARED))):
        if number in history.drawn and history.params(number) != params:
            raise RunFolderError(
                f"{journal}: trial {number} isn't the one that study.yaml draws; one of the two was changed"
            )


def _curve(trial: TrialSoFar, metric: str) -> dict[int, float]:
    return {
        number: epoch.metrics[metric]
        for number, epoch in trial.epochs.items()
        if all(record.finite for record in epoch.records)
    }


def _results(events: Iterable[Event], state: RunState) -> tuple[list[Came], list[Step]]:
    """Return the results in the order in which they came, and what else happened between them. Of the results alone, one with which
    a trial ended by itself says so.

    The state is given the events, since what a trial has cost after a result isn't known later.
    """
    came: list[Came] = []
    course: list[Step] = []
    last: dict[int, int] = {}
    for event in events:
        state.apply(event)
        if isinstance(event, Trained):
            last[event.trial] = len(came)
            came.append(came_of(event, state.started.metric if state.started else "", state))
            course.append(came[-1])
        elif isinstance(event, Drawn | Decided):
            course.append(event)
        elif isinstance(event, Ended):
            course.append(event)
            if event.state not in OWN_ENDS:
                continue
            index = last.get(event.trial)
            own = came[index] if index is not None and event.state is TrialState.FINISHED else NOTHING
            closing = replace(
                own, trial=event.trial, epoch=0 if index is None else came[index].epoch, state=event.state
            )
            if index is None or event.state is TrialState.FAILED:  # it has no result, or failed after its last
                last[event.trial] = len(came)
                came.append(closing)
            else:
                came[index] = closing
    return came, course


def came_of(event: Trained, metric: str, state: RunState | None = None) -> Came:
    """Return the result that the scheduler was told of with these epochs. The goals are those of the state after them."""
    last = max(record.epoch for record in event.epochs)
    records = [record for record in event.epochs if record.epoch == last]
    if not all(record.finite for record in records):
        return replace(NOTHING, trial=event.trial, epoch=last)
    return Came(
        event.trial, last, mean_metrics(records)[metric], None, state.goals(event.trial, last) if state else None
    )


def curve_of(event: Trained, metric: str) -> list[tuple[int, float]]:
    """Return the metric of each of these epochs, as far as it is finite."""
    epochs = sorted({record.epoch for record in event.epochs})
    by_epoch = {epoch: [record for record in event.epochs if record.epoch == epoch] for epoch in epochs}
    return [
        (epoch, mean_metrics(records)[metric])
        for epoch, records in by_epoch.items()
        if all(record.finite for record in records)
    ]
