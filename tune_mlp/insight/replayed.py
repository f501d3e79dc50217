"""Comparison of a trial with a repetition of it: epoch by epoch, to the bit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tune_mlp.records import EpochRecord
from tune_mlp.results.journal import Drawn, Event, Trained

WEIGHTS = "weights"
"""What differs where all metrics are the same and the digests of the weights aren't."""


@dataclass
class Course:
    """The course of a trial's training, as its journal tells it."""

    records: dict[int, dict[tuple[int, int], EpochRecord]] = field(default_factory=dict)
    """The record of each seed and fold, by epoch."""
    digests: dict[int, str] = field(default_factory=dict)
    """The digests of the weights after those epochs after which one was taken."""

    def train(self, event: Trained) -> None:
        """Take in some epochs. An epoch that is trained again replaces itself and all that followed."""
        first = min(record.epoch for record in event.epochs)
        self.records = {epoch: records for epoch, records in self.records.items() if epoch < first}
        self.digests = {epoch: digest for epoch, digest in self.digests.items() if epoch < first}
        for record in event.epochs:
            self.records.setdefault(record.epoch, {})[record.repeat, record.fold] = record
        if event.weights_digest:
            self.digests[max(self.records)] = event.weights_digest


def courses(events: Iterable[Event]) -> dict[int, Course]:
    """Return the course of each trial; a follow-up's are named by the trials that were trained again."""
    found: dict[int, Course] = {}
    names: dict[int, int] = {}
    for event in events:
        if isinstance(event, Drawn):
            names[event.trial] = event.trial if event.again is None else event.again
            found.setdefault(names[event.trial], Course())
        elif isinstance(event, Trained):
            found[names[event.trial]].train(event)
    return found


@dataclass(frozen=True)
class FirstDifference:
    """The first difference between two courses."""

    epoch: int
    what: str
    """The metric, or `weights`."""
    then: float
    now: float

    @property
    def size(self) -> float:
        return abs(self.now - self.then)


def first_difference(then: Course, now: Course) -> FirstDifference | None:
    """Return where a repetition first differs; None where each epoch that was recorded is the same to the bit."""
    for epoch, records in sorted(then.records.items()):
        again = now.records.get(epoch, {})
        for run, record in sorted(records.items()):
            for name, value in record.metrics.items():
                repeated = again[run].metrics[name] if run in again else math.nan
                if not same(value, repeated):
                    return FirstDifference(epoch, name, value, repeated)
        before, after = then.digests.get(epoch), now.digests.get(epoch)
        if before and before != after:
            return FirstDifference(epoch, WEIGHTS, math.nan, math.nan)
    return None


def same(one: float, other: float) -> bool:
    """True if two figures are the same; two that are NaN are."""
    return one == other or (math.isnan(one) and math.isnan(other))


def largest_share(then: Course, now: Course, metric: str) -> float:
    """Return the largest difference of a metric over all epochs, as a share of its value."""
    shares = [0.0]
    for epoch, records in then.records.items():
        for run, record in records.items():
            value = record.metrics[metric]
            again = now.records.get(epoch, {}).get(run)
            repeated = math.nan if again is None else again.metrics[metric]
            if not same(value, repeated):
                share = abs(repeated - value) / max(abs(value), abs(repeated))
                shares.append(share if math.isfinite(share) else math.inf)
    return max(shares)


def changed_facts(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return which facts have another value now, in words: `torch 2.8.0 (now 2.9.0)`."""
    return [f"{name} {value} (now {now.get(name, 'none')})" for name, value in then.items() if value != now.get(name)]
