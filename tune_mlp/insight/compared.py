"""Which trials a scheduler compared with another when it decided on it, and which of them were ahead."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from tune_mlp.records import Goal, TrialState
from tune_mlp.results.front import trials_in_order
from tune_mlp.results.journal import Decided, Event
from tune_mlp.results.state import RunState, TrialSoFar


class Moment(NamedTuple):
    """A decision on a trial, with those that the trial was compared with."""

    decided: Decided
    compared: Mapping[int, float]
    """The value of each other trial, as far as the journal tells it."""
    kept: int = 0
    """How many trials went on in a halving of hyperband's."""
    goals: Mapping[int, tuple[float, ...]] = {}
    """The value of each goal of the trial and of those that it was compared with, where several goals decided."""


def moments(events: Sequence[Event], number: int) -> Iterator[Moment]:
    """Yield the decisions on a trial in their order."""
    decisions = [event for event in events if isinstance(event, Decided)]
    so_far = RunState()
    for event in events:
        if isinstance(event, Decided) and event.trial == number:
            place = len(so_far.decisions)
            compared = COMPARED[event.scheduler](so_far, decisions, place) if event.scheduler in COMPARED else {}
            kept = sum(one.decision == "continue" for one in _halving(decisions, place))
            others = {other: value for other, value in compared.items() if other != number}
            yield Moment(event, others, kept, _goals(so_far, event, [*others, number]))
        so_far.apply(event)


def ahead_of(moment: Moment, goals: Sequence[Goal]) -> list[int]:
    """Return the trials that were better than the one that was decided on, best first."""
    if moment.goals:
        order = trials_in_order(moment.goals, goals)
        return order[: order.index(moment.decided.trial)]
    sign = 1 if goals[0].mode == "max" else -1
    mine = moment.decided.value
    ahead = [trial for trial, value in moment.compared.items() if mine is None or sign * value > sign * mine]
    return sorted(ahead, key=lambda trial: (-sign * moment.compared[trial], trial))


def _goals(so_far: RunState, decided: Decided, numbers: Sequence[int]) -> dict[int, tuple[float, ...]]:
    """Return the values of these trials' goals as they came to the epoch of a decision that several goals made."""
    if decided.place is None:
        return {}
    found = ((number, so_far.goals(number, decided.epoch, until=decided.epoch)) for number in numbers)
    return {number: goals for number, goals in found if goals is not None}


def _at_the_rung(so_far: RunState, decisions: Sequence[Decided], place: int) -> dict[int, float]:
    """Return the values that ASHA had at a rung: of the trials it decided on there, and of those whose patience ended there."""
    here = decisions[place]
    found = {one.trial: one.value for one in decisions[:place] if one.rung == here.rung and one.value is not None}
    for number, trial in so_far.trials.items():
        patient = trial.ended is not None and trial.ended.state is TrialState.FINISHED
        if patient and number not in found and max(trial.epochs, default=0) == here.epoch:
            found[number] = trial.epochs[here.epoch].metrics[_metric(so_far)]
    return found


def _arrived(so_far: RunState, decisions: Sequence[Decided], place: int) -> dict[int, float]:
    """Return the values of the trials that had come to a rung at which trials pause."""
    here = decisions[place].epoch
    return {one.trial: one.value for one in decisions[:place] if one.epoch == here and one.value is not None}


def _means(so_far: RunState, decisions: Sequence[Decided], place: int) -> dict[int, float]:
    """Return the running means of the trials that have come as far. The median rule counts from its first decision's epoch."""
    here = decisions[place]
    grace = min(one.epoch for one in decisions if one.scheduler == here.scheduler)
    metric = _metric(so_far)
    return {
        number: statistics.fmean(
            epoch.metrics[metric] for count, epoch in trial.epochs.items() if grace <= count <= here.epoch
        )
        for number, trial in so_far.trials.items()
        if max(trial.epochs, default=0) >= here.epoch and not _without_metric(trial)
    }


def _in_the_halving(so_far: RunState, decisions: Sequence[Decided], place: int) -> dict[int, float]:
    return {one.trial: one.value for one in _halving(decisions, place) if one.value is not None}


def _last_values(so_far: RunState, decisions: Sequence[Decided], place: int) -> dict[int, float]:
    """Return the values of population-based training: of each trial the last one that it was compared with."""
    return {one.trial: one.value for one in decisions[:place] if one.value is not None}


COMPARED: dict[str, Callable[[RunState, Sequence[Decided], int], dict[int, float]]] = {
    "asha": _at_the_rung,
    "promotion_asha": _arrived,
    "pasha": _arrived,
    "top_k": _arrived,
    "median": _means,
    "hyperband": _in_the_halving,
    "pbt": _last_values,
}
"""The values that each scheduler compares, given the run before the decision, all decisions, and the place of this one."""


def _halving(decisions: Sequence[Decided], place: int) -> list[Decided]:
    """Return the decisions of one halving of hyperband's; they stand together."""
    here = _same_halving(decisions[place])
    first = last = place
    while first > 0 and _same_halving(decisions[first - 1]) == here:
        first -= 1
    while last + 1 < len(decisions) and _same_halving(decisions[last + 1]) == here:
        last += 1
    return list(decisions[first : last + 1])


def _same_halving(decided: Decided) -> tuple[object, ...]:
    return decided.scheduler, decided.rung.partition(",")[0], decided.cutoff, decided.competed


def _without_metric(trial: TrialSoFar) -> bool:
    return trial.ended is not None and trial.ended.state in (TrialState.DIVERGED, TrialState.FAILED)


def _metric(so_far: RunState) -> str:
    assert so_far.started is not None  # a decision comes after it
    return so_far.started.metric
