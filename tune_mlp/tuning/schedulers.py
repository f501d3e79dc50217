"""Ray's schedulers, made from a study's settings, and the epochs at which each decides."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from tune_mlp.runs.history import History
from tune_mlp.study.study import BoundStudy
from tune_mlp.training.patience import Patience
from tune_mlp.tuning.brackets import HalvingScheduler, halvings
from tune_mlp.tuning.front_asha import FrontAsha
from tune_mlp.tuning.pausing import PausingScheduler
from tune_mlp.tuning.population import Population
from tune_mlp.tuning.promotion import BestGoOn, Pashas, PromotingScheduler
from tune_mlp.tuning.ray_compat.schedulers import AshaScheduler, MedianScheduler, Replaying, common_settings
from tune_mlp.tuning.rungs import GrowingLadder, Ladder


class EndsEarly(FIFOScheduler):  # type: ignore[misc]  # ray ships no types
    """Ends each trial after the number of epochs that is given for it."""

    def __init__(self, epochs: Mapping[int, int]) -> None:
        super().__init__()
        self._epochs = epochs

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        over = result["epoch"] >= self._epochs[trial.config["trial"]]
        return str(TrialScheduler.STOP if over else TrialScheduler.CONTINUE)


def make_scheduler(study: BoundStudy, trials: int | None = None, slots: float = math.inf) -> TrialScheduler:
    """Return the scheduler of a bound study, of which so many trials are still to be run, in so many slots."""
    scheduler = SCHEDULERS[study.scheduler.name](study)
    if isinstance(scheduler, PausingScheduler):
        scheduler.slots = slots
        scheduler.to_come = scheduler.to_come if trials is None else trials
    return scheduler


def has_room(scheduler: TrialScheduler) -> bool:
    """True if another trial may be drawn: a trial that is let go on comes before a new one."""
    return not isinstance(scheduler, PausingScheduler) or scheduler.has_room


def tell_history(scheduler: TrialScheduler, study: BoundStudy, history: History) -> list[int]:
    """Tell a scheduler what earlier drivers knew and decided; return the open trials that were to stop at their last result."""
    if not isinstance(scheduler, Replaying | PausingScheduler):
        return []
    metric, mode = study.ranking
    patience = Patience(study.patience, mode)
    at_their_ends = [number for number in history.open if history.at_its_end(number, study.epochs, patience)]
    if isinstance(scheduler, PausingScheduler):
        last = {came.trial: came.value for came in history.came if came.trial not in at_their_ends}
        return sorted(scheduler.rebuild(history, {trial: value for trial, value in last.items() if value is not None}))
    return sorted(scheduler.replay(history.before_their_ends(at_their_ends), metric, mode))


@dataclass(frozen=True)
class Milestones:
    """The epochs at which a scheduler decides, in rising order: a trial's step ends exactly at each."""

    before_last: Sequence[int]
    """All but the last; a `range` where there may be as many as epochs."""
    last: int

    def after(self, epoch: int) -> int:
        """Return the first milestone that comes after an epoch."""
        index = bisect_right(self.before_last, epoch)
        return self.before_last[index] if index < len(self.before_last) else self.last

    def __iter__(self) -> Iterator[int]:
        yield from self.before_last
        yield self.last


def milestones(study: BoundStudy) -> Milestones:
    """Return the epochs at which the study's scheduler decides; the last one is the study's last epoch."""
    return Milestones(MILESTONES[study.scheduler.name](study), study.epochs)


def _asha(study: BoundStudy) -> TrialScheduler:
    assert study.scheduler.asha
    if study.metrics:
        return FrontAsha(study, _rungs(study))
    return AshaScheduler(
        **common_settings(study),
        max_t=study.epochs,
        grace_period=min(study.scheduler.asha.grace_period, study.epochs),
        reduction_factor=study.scheduler.asha.reduction_factor,
    )


def _promotion_asha(study: BoundStudy) -> TrialScheduler:
    assert study.scheduler.promotion_asha
    return PromotingScheduler(study, Ladder(_rungs(study), study.scheduler.promotion_asha.reduction_factor))


def _pasha(study: BoundStudy) -> TrialScheduler:
    assert study.scheduler.pasha
    return Pashas(study, GrowingLadder(_rungs(study), study.scheduler.pasha.reduction_factor))


def _top_k(study: BoundStudy) -> TrialScheduler:
    assert study.scheduler.top_k
    return BestGoOn(study, Ladder(_one_rung(study), 1), study.scheduler.top_k.keep)


def _median(study: BoundStudy) -> TrialScheduler:
    assert study.scheduler.median
    return MedianScheduler(
        **common_settings(study),
        grace_period=study.scheduler.median.grace_period,
        min_samples_required=study.scheduler.median.min_samples,
        min_time_slice=math.inf,  # never set a trial aside while there are too few to compare with
    )


SCHEDULERS: dict[str, Callable[[BoundStudy], TrialScheduler]] = {
    "asha": _asha,
    "promotion_asha": _promotion_asha,
    "pasha": _pasha,
    "top_k": _top_k,
    "hyperband": HalvingScheduler,
    "median": _median,
    "pbt": Population,
    "fifo": lambda study: FIFOScheduler(),
}


def _rungs(study: BoundStudy) -> Sequence[int]:
    """Return ASHA's rungs: grace, grace times factor, ... A trial passes a rung at the first whole epoch that reaches it."""
    asha = study.scheduler.asha or study.scheduler.promotion_asha or study.scheduler.pasha
    assert asha
    found, rung = [], float(asha.grace_period)
    while rung < study.epochs:
        found.append(math.ceil(rung))
        rung *= asha.reduction_factor
    return [epoch for epoch in dict.fromkeys(found) if epoch < study.epochs]


def _one_rung(study: BoundStudy) -> Sequence[int]:
    assert study.scheduler.top_k
    return [study.scheduler.top_k.after] if study.scheduler.top_k.after < study.epochs else []


def _halvings(study: BoundStudy) -> Sequence[int]:
    assert study.scheduler.hyperband
    return halvings(study.epochs, study.scheduler.hyperband.reduction_factor)


def _every_interval(study: BoundStudy) -> Sequence[int]:
    assert study.scheduler.pbt
    return range(study.scheduler.pbt.interval, study.epochs, study.scheduler.pbt.interval)


MILESTONES: dict[str, Callable[[BoundStudy], Sequence[int]]] = {
    "asha": _rungs,
    "promotion_asha": _rungs,
    "pasha": _rungs,
    "top_k": _one_rung,
    "hyperband": _halvings,
    "median": lambda study: range(1, study.epochs),
    "pbt": _every_interval,
    "fifo": lambda study: (),
}
"""The epochs at which each scheduler decides, without the last epoch."""
