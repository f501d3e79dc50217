"""Schedulers: Ray's, made from a study's settings, and the epochs at which each wants to decide."""

from __future__ import annotations

import math
from collections.abc import Callable

from ray.tune.schedulers import (
    FIFOScheduler,
    HyperBandScheduler,
    TrialScheduler,
)

from tune_mlp.study.study import BoundStudy
from tune_mlp.tuning.ray_compat.schedulers import Asha, HyperBand, Median, Population, common_settings


def make_scheduler(study: BoundStudy, trials: int | None = None) -> TrialScheduler:
    """Ray's scheduler for a bound study, of which so many trials are still to be run."""
    scheduler = SCHEDULERS[study.scheduler.name](study)
    if isinstance(scheduler, HyperBand) and trials is not None:
        scheduler.to_come = trials
    return scheduler


def milestones(study: BoundStudy) -> tuple[int, ...]:
    """The epochs at which the scheduler decides, the last epoch included: a trial's step lands exactly on each."""
    return MILESTONES[study.scheduler.name](study)


def _asha(study: BoundStudy) -> TrialScheduler:
    assert study.scheduler.asha
    return Asha(
        **common_settings(study),
        max_t=study.epochs,
        grace_period=min(study.scheduler.asha.grace_period, study.epochs),
        reduction_factor=study.scheduler.asha.reduction_factor,
    )


def _median(study: BoundStudy) -> TrialScheduler:
    assert study.scheduler.median
    return Median(
        **common_settings(study),
        grace_period=study.scheduler.median.grace_period,
        min_samples_required=study.scheduler.median.min_samples,
        min_time_slice=math.inf,  # never set a trial aside while there are too few to compare with
    )


SCHEDULERS: dict[str, Callable[[BoundStudy], TrialScheduler]] = {
    "asha": _asha,
    "hyperband": HyperBand,
    "median": _median,
    "pbt": Population,
    "fifo": lambda study: FIFOScheduler(),
}


def _rungs(study: BoundStudy) -> tuple[int, ...]:
    """ASHA's: grace, grace times factor, ... A trial passes a rung at the first whole epoch that reaches it."""
    assert study.scheduler.asha
    found, rung = [], float(study.scheduler.asha.grace_period)
    while rung < study.epochs:
        found.append(math.ceil(rung))
        rung *= study.scheduler.asha.reduction_factor
    return (*dict.fromkeys(found), study.epochs)


def _halvings(study: BoundStudy) -> tuple[int, ...]:
    """HyperBand's: where a bracket begins, it halves for the first time, and each time that many times later."""
    assert study.scheduler.hyperband
    factor, found = study.scheduler.hyperband.reduction_factor, {study.epochs}
    brackets = HyperBandScheduler(max_t=study.epochs, reduction_factor=factor)
    for s in range(brackets._s_max_1):
        rung = brackets._get_r0(s)
        for _ in range(s if rung else 0):
            found.add(rung)
            rung = int(min(rung * factor, study.epochs))
    return tuple(sorted(found))


def _every_epoch(study: BoundStudy) -> tuple[int, ...]:
    return tuple(range(1, study.epochs + 1))


def _every_interval(study: BoundStudy) -> tuple[int, ...]:
    assert study.scheduler.pbt
    return (*range(study.scheduler.pbt.interval, study.epochs, study.scheduler.pbt.interval), study.epochs)


MILESTONES: dict[str, Callable[[BoundStudy], tuple[int, ...]]] = {
    "asha": _rungs,
    "hyperband": _halvings,
    "median": _every_epoch,
    "pbt": _every_interval,
    "fifo": lambda study: (study.epochs,),
}
