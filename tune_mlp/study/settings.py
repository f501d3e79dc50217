"""The settings of how a study is run: search, scheduler, resources and time."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from tune_mlp.config import MAX_NETS, Epochs, Positive, Settings, Trials
from tune_mlp.space.faults import shown

MAX_SECONDS = 10 * 365 * 86400
"""A time budget of more than ten years is a mistake in its unit."""
Factor = Annotated[float, Field(gt=1, le=100)]


class Asha(Settings):
    """Asynchronous successive halving: at each milestone the worse trials are stopped, without waiting for the others."""

    grace_period: Epochs = 1
    """The number of epochs before a trial may be stopped, which is the first milestone."""
    reduction_factor: Factor = 2.0
    """The factor from each milestone to the next; at each, one trial in so many goes on."""


class PromotionAsha(Settings):
    """Asynchronous successive halving that stops nothing for good: each trial pauses at each milestone, and goes on from there once it is among the best that came to it."""

    grace_period: Epochs = 1
    """The number of epochs before a trial pauses for the first time, which is the first milestone."""
    reduction_factor: Factor = 3.0
    """The factor from each milestone to the next; at each, one trial in so many goes on."""


class Pasha(PromotionAsha):
    """Progressive ASHA: as promotion_asha, but the largest milestone in use grows only while the two largest rank their trials differently."""


class TopK(Settings):
    """The best k after some epochs: all trials train so long, and then only the best are trained to the end."""

    after: Epochs = 1
    """The number of epochs after which the trials are compared."""
    keep: Trials = 5
    """The number of trials that are trained to the end."""


class HyperBand(Settings):
    """Successive halving in several brackets, which wait for their trials and differ in how soon they stop the first ones."""

    reduction_factor: Factor = 3.0
    """The factor by which each halving reduces the trials: one in so many goes on."""


class Median(Settings):
    """The median rule: a trial is stopped if its best metric is worse than the median of the other trials' running means."""

    grace_period: Epochs = 1
    """The number of epochs before a trial may be stopped."""
    min_samples: Trials = 3
    """The smallest number of other trials to compare with."""


class Pbt(Settings):
    """Population-based training: the worst trials take over the weights of the best trials, and their settings with small changes."""

    interval: Epochs = 1
    """The number of epochs between two comparisons of the trials."""
    quantile: Annotated[float, Field(gt=0, le=0.5)] = 0.25
    """The share of the trials that is replaced, and equally the share that is copied."""
    resample: Annotated[float, Field(ge=0, le=1)] = 0.25
    """The chance of a new draw of a setting in place of a small change."""


class AutoScheduler(Settings):
    """The scheduler that did best in this project's comparison: promotion_asha, and fifo for fewer than 3 epochs."""


class Fifo(Settings):
    """No early stopping: each trial trains all its epochs."""


class RandomSearch(Settings):
    """Random search: independent draws."""


class GridSearch(Settings):
    """Grid search: every combination once, in order."""


class Tpe(Settings):
    """Optuna's tree-structured Parzen estimator: later draws learn from earlier ones."""

    startup: Trials = 10
    """The number of random draws before the first one that learns from earlier trials."""


class Gp(Settings):
    """Optuna's Gaussian process: later draws have the largest expected improvement; for spaces without options that own parameters."""

    startup: Trials = 10
    """The number of random draws before the first one that learns from earlier trials."""


class Cmaes(Settings):
    """Optuna's CMA-ES, an evolution strategy, for spaces of numbers alone: `pip install 'tune-mlp[cmaes]'`."""


class Nsga2(Settings):
    """Optuna's NSGA-II, an evolution of the trials on the Pareto front of several goals; for spaces without options that own parameters."""

    population: Annotated[int, Field(ge=2, le=10_000)] = 20
    """The number of trials in a generation; the first one is drawn at random."""


class Qmc(Settings):
    """Quasi-random search: the points of a scrambled Sobol sequence, which leave smaller gaps than independent draws."""


class AutoSearch(Settings):
    """The search method that did best in this project's comparison: qmc, and grid where the trials can go through all combinations."""


class AllTrials(Settings):
    """All trials: the search trains as many as the study says."""


class Plateau(Settings):
    """A plateau: no further trial begins once as many trials again would bring less than what is small, even at the upper end of what is expected."""

    small: Annotated[float, Field(gt=0, le=100)] = 0.1
    """The gain that is called small: in points (hundredths) of accuracy, F1, AUC or R2, and of any other metric in percent of the best value."""


def _small(raw: Any) -> Any:
    """Read `plateau: 0.5` as `plateau: {small: 0.5}`."""
    return {"small": raw} if isinstance(raw, int | float) and not isinstance(raw, bool) else raw


def _named(raw: Any) -> Any:
    """Expand `asha` to `{asha: {}}`, and an empty value to no settings."""
    if isinstance(raw, str):
        return {raw: {}}
    if isinstance(raw, dict):
        return {name: {} if inner is None else inner for name, inner in raw.items()}
    if not isinstance(raw, _OneOf):
        raise ValueError(f"must be a name, or a name with its settings, got {shown(raw)}")
    return raw


class _OneOf(Settings):
    """A choice of one name with its settings: exactly one field is set."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        chosen = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(chosen) != 1:
            known = ", ".join(type(self).model_fields)
            raise ValueError(f"name one of {known}, got {' and '.join(chosen) or 'none'}")
        return self

    @property
    def name(self) -> str:
        """The name of the chosen option."""
        return next(name for name in type(self).model_fields if getattr(self, name) is not None)


class Scheduler(_OneOf):
    """The choice of the scheduler, which stops trials early."""

    asha: Asha | None = None
    promotion_asha: PromotionAsha | None = None
    pasha: Pasha | None = None
    top_k: TopK | None = None
    hyperband: HyperBand | None = None
    median: Median | None = None
    pbt: Pbt | None = None
    fifo: Fifo | None = None
    auto: AutoScheduler | None = None

    @property
    def pauses(self) -> bool:
        """True if the scheduler pauses trials and resumes them later; more trials are then unfinished than run at once."""
        return self.name in ("promotion_asha", "pasha", "top_k", "hyperband", "pbt")


class Search(_OneOf):
    """The choice of the search method, which makes the draws."""

    random: RandomSearch | None = None
    grid: GridSearch | None = None
    tpe: Tpe | None = None
    gp: Gp | None = None
    cmaes: Cmaes | None = None
    nsga2: Nsga2 | None = None
    qmc: Qmc | None = None
    auto: AutoSearch | None = None

    @property
    def learns(self) -> bool:
        """True if draws depend on how earlier trials ended."""
        return self.name in ("tpe", "gp", "cmaes", "nsga2")

    @property
    def takes_earlier_trials(self) -> bool:
        """True if the search can be told of trials that another run drew; evolution learns from its own populations alone."""
        return self.learns and not self.evolves

    @property
    def evolves(self) -> bool:
        """True if each draw is noted with how far the search's own evolution has come."""
        return self.name in ("cmaes", "nsga2")

    @property
    def startup(self) -> int:
        """The number of draws that learn from nothing, of a search that learns."""
        return self.nsga2.population if self.nsga2 else int(getattr(getattr(self, self.name), "startup", 1))


class Until(_OneOf):
    """The choice of what ends the draws."""

    trials: AllTrials | None = None
    plateau: Annotated[Plateau | None, BeforeValidator(_small)] = None


def _whole_above_one(gpus: float) -> float:
    if gpus > 1 and not gpus.is_integer():
        raise ValueError(f"must be a fraction below 1 or a whole number, got {gpus}")
    return gpus


class Resources(Settings):
    """The resources of one trial, as Ray counts them; fractions share a core or a GPU."""

    cpu: Positive = 1.0
    """CPU cores; a trial computes with as many threads, at least one."""
    gpu: Annotated[float, Field(ge=0, allow_inf_nan=False), AfterValidator(_whole_above_one)] = 0.0
    """GPUs: a fraction below 1, or a whole number."""

    @property
    def threads(self) -> int:
        """The number of threads that a trial computes with."""
        return max(1, math.floor(self.cpu))


UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _duration(raw: Any) -> Any:
    """Read a duration such as `10m` or `1h30m` as seconds."""
    if isinstance(raw, str):
        parts = re.fullmatch(r"(?:\d+(?:\.\d+)?[smhd])+", raw)
        if not parts:
            raise ValueError(f"must be a time like 90s, 10m or 1h30m, or a number of seconds, got {shown(raw)}")
        return sum(float(number) * UNITS[unit] for number, unit in re.findall(r"([\d.]+)([smhd])", raw))
    return raw


def _is_a_number_of_nets(retrain: Any) -> Any:
    if type(retrain) is not bool and not (type(retrain) is int and 2 <= retrain <= MAX_NETS):
        raise ValueError(f"must be true, false, or a number of nets from 2 to {MAX_NETS}, got {shown(retrain)}")
    return retrain


SchedulerChoice = Annotated[Scheduler, BeforeValidator(_named)]
SearchChoice = Annotated[Search, BeforeValidator(_named)]
UntilChoice = Annotated[Until, BeforeValidator(_named)]
# As a number it is that of the nets that are trained anew: int(False) is 0, and int(True) is 1.
Retrain = Annotated[bool | Annotated[int, Field(ge=2, le=MAX_NETS)], BeforeValidator(_is_a_number_of_nets)]
Duration = Annotated[float, Field(gt=0, le=MAX_SECONDS, allow_inf_nan=False), BeforeValidator(_duration)]
