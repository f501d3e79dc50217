"""What a journal says of a run that is to go on: the trials that ended, those that are open, and the results as they came."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from tune_mlp.records import Mode, TrialState, best_of, mean_metrics
from tune_mlp.results.journal import Drawn, Ended, Event, Started, Trained
from tune_mlp.space.domains import as_value
from tune_mlp.space.space import Params
from tune_mlp.training.patience import Patience

WORST = 1e30
"""Reported, signed, as the metric of a trial that has none: worst of all, and finite, since Ray's schedulers compare
and average. The journal holds the real values."""


@dataclass(frozen=True)
class Came:
    """A result, as the scheduler and the searcher were told of it."""

    trial: int
    epoch: int
    value: float | None
    """The metric; None of a trial that diverged or failed."""
    state: TrialState | None
    """How the trial ended with it; None where it was up to the scheduler."""


@dataclass(frozen=True)
class History:
    """Empty for a run that begins."""

    drawn: dict[int, Drawn] = field(default_factory=dict)
    ended: dict[int, Ended] = field(default_factory=dict)
    came: tuple[Came, ...] = ()
    curves: dict[int, dict[int, float]] = field(default_factory=dict)
    """The metric by epoch, as far as it is finite."""
    seconds: dict[int, float] = field(default_factory=dict)
    """What was trained of each trial so far."""

    @property
    def open(self) -> list[int]:
        """The trials that were drawn and haven't ended, in the order of their draw."""
        return sorted(self.drawn.keys() - self.ended.keys())

    def at_its_end(self, trial: int, epochs: int, patience: Patience) -> bool:
        """Was an open trial's last result its own end? It will come to it again."""
        last = max((one.epoch for one in self.came if one.trial == trial), default=0)
        curve = self.curves.get(trial, {})
        for epoch in sorted(curve):
            patience = patience.after(curve[epoch])
        return last >= epochs or (last > 0 and last not in curve) or patience.over

    def before_their_ends(self, trials: Collection[int]) -> History:
        """Without the last results of these."""
        last = {one.trial: i for i, one in enumerate(self.came)}
        left_out = {last[trial] for trial in trials if trial in last}
        return replace(self, came=tuple(one for i, one in enumerate(self.came) if i not in left_out))

    def params(self, trial: int) -> Params:
        return {path: as_value(value) for path, value in self.drawn[trial].params.items()}

    def best(self, trial: int, mode: Mode) -> float | None:
        """The best of a trial's epochs."""
        values = list(self.curves.get(trial, {}).values())
        index = best_of(values, mode)
        return None if index is None else values[index]


NO_HISTORY = History()
"""Of a run that begins."""
OWN_ENDS = (TrialState.FINISHED, TrialState.DIVERGED, TrialState.FAILED)
"""A trial's own ends; all others are the scheduler's, the clock's or a person's."""


def history_of(events: Sequence[Event]) -> History:
    """From a journal's events."""
    started = events[0]
    assert isinstance(started, Started)
    history = History()
    came: list[Came] = []
    for event in events:
        if isinstance(event, Drawn):
            history.drawn[event.trial] = event
        elif isinstance(event, Trained):
            came.append(_came(event, started.metric))
            curve = history.curves.setdefault(event.trial, {})
            first = min(record.epoch for record in event.epochs)
            for epoch in [epoch for epoch in curve if epoch >= first]:  # trained again, as the tables have it
                del curve[epoch]
            for record in event.epochs:
                of_epoch = [other for other in event.epochs if other.epoch == record.epoch]
                if all(other.finite for other in of_epoch):
                    curve[record.epoch] = mean_metrics(of_epoch)[started.metric]
            seconds = sum(record.seconds for record in event.epochs)
            history.seconds[event.trial] = history.seconds.get(event.trial, 0.0) + seconds
        elif isinstance(event, Ended):
            history.ended[event.trial] = event
            if event.state in OWN_ENDS:
                _close(came, event)
    return History(history.drawn, history.ended, tuple(came), history.curves, history.seconds)


def _came(event: Trained, metric: str) -> Came:
    last = max(record.epoch for record in event.epochs)
    records = [record for record in event.epochs if record.epoch == last]
    finite = all(record.finite for record in records)
    return Came(event.trial, last, mean_metrics(records)[metric] if finite else None, None)


def _close(came: list[Came], ended: Ended) -> None:
    """The result that a trial ended with says so; one that failed has none, or failed after its last."""
    last = max((i for i, one in enumerate(came) if one.trial == ended.trial), default=None)
    value = None if last is None or ended.state is not TrialState.FINISHED else came[last].value
    epoch = 0 if last is None else came[last].epoch
    closing = Came(ended.trial, epoch, value, ended.state)
    if last is None or ended.state is TrialState.FAILED:
        came.append(closing)
    else:
        came[last] = closing
