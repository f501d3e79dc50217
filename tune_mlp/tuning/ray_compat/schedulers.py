"""Ray's schedulers with their private members used: rungs that can be filled again, whole brackets, and our own changes."""

from __future__ import annotations

from typing import Any

from ray.tune.schedulers import (
    AsyncHyperBandScheduler,
    HyperBandScheduler,
    MedianStoppingRule,
    PopulationBasedTraining,
    TrialScheduler,
)
from ray.tune.schedulers.hyperband import _Bracket
from ray.tune.schedulers.pbt import _PBTTrialState

from tune_mlp.records import Mode
from tune_mlp.runs.history import WORST, History
from tune_mlp.seeds import derive
from tune_mlp.space.domains import Domain, Value
from tune_mlp.study.study import BoundStudy, mutable

TIME = "epoch"
"""What schedulers count time in: a key of every result."""


def common_settings(study: BoundStudy) -> dict[str, Any]:
    """What every scheduler of Ray's is given."""
    metric, mode = study.ranking
    return {"time_attr": TIME, "metric": metric, "mode": mode}


class _StandIn:
    """A trial of before, in Ray's place for it."""

    def __init__(self, number: int) -> None:
        self.trial_id = f"before-{number}"


class _Nobody:
    """A controller without live trials."""

    def get_live_trials(self) -> list[Any]:
        return []


class Replaying(TrialScheduler):  # type: ignore[misc]  # ray ships no types
    """A scheduler that can be told again what came before: Ray saves nothing of one."""

    def replay(self, history: History, metric: str, mode: Mode) -> set[int]:
        """Take all results again, in their order; returns the open trials that were to stop at their last."""
        worst = -WORST if mode == "max" else WORST
        self._stand_ins = {number: _StandIn(number) for number in history.drawn}
        stopped: set[int] = set()
        for stand_in in self._stand_ins.values():
            super().on_trial_add(_Nobody(), stand_in)
        for came in history.came:
            stand_in = self._stand_ins[came.trial]
            result = {TIME: came.epoch, metric: worst if came.value is None else came.value}
            if came.state is not None:
                self.on_trial_complete(_Nobody(), stand_in, result)
                continue
            decision = self.on_trial_result(_Nobody(), stand_in, result)
            (stopped.add if decision == TrialScheduler.STOP else stopped.discard)(came.trial)
        return stopped & set(history.open)

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """One that goes on takes the place of what stood in for it."""
        super().on_trial_add(tune_controller, trial)
        stand_in = getattr(self, "_stand_ins", {}).pop(trial.config["trial"], None)
        if stand_in is not None:
            self._take_over(stand_in, trial)

    def _take_over(self, stand_in: Any, trial: Any) -> None:
        raise NotImplementedError


class Asha(Replaying, AsyncHyperBandScheduler):  # type: ignore[misc]  # ray ships no types
    """Ray's, with rungs that can be filled again."""

    def _take_over(self, stand_in: Any, trial: Any) -> None:
        self._trial_info.pop(stand_in.trial_id, None)
        for bracket in self._brackets:
            for _, recorded in bracket._rungs:
                if stand_in.trial_id in recorded:
                    recorded[trial.trial_id] = recorded.pop(stand_in.trial_id)


class Median(Replaying, MedianStoppingRule):  # type: ignore[misc]  # ray ships no types
    """Ray's, with results that can be filled in again."""

    def _take_over(self, stand_in: Any, trial: Any) -> None:
        if stand_in in self._results:
            self._results[trial] = self._results.pop(stand_in)


class _WholeBracket(_Bracket):  # type: ignore[misc]  # ray ships no types
    """Ray's has room again when one of its trials has ended, and so, where few run at once, may take them all."""

    def filled(self) -> bool:
        return bool(len(self._all_trials) >= self._n0)


class HyperBand(HyperBandScheduler):  # type: ignore[misc]  # ray ships no types
    """Ray's halves a bracket as soon as those of its trials that are there have come to its milestone. Where few run at
    once, that is before the others have come, and then none is stopped: this one waits for them. So what it decides
    doesn't depend on how many run at once. And who is left in the end trains all epochs, where Ray's may stop at 9 of 10."""

    def __init__(self, study: BoundStudy) -> None:
        assert study.scheduler.hyperband
        super().__init__(
            **common_settings(study),
            max_t=study.epochs,
            reduction_factor=study.scheduler.hyperband.reduction_factor,
        )
        self.to_come = study.number_of_trials

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        if trial not in self._trial_info:  # else it lost its worker
            self.to_come -= 1
        super().on_trial_add(tune_controller, trial)

    def _create_bracket(self, s: int) -> _WholeBracket:
        first = self._get_r0(s)
        return _WholeBracket(
            self._time_attr, self._get_n0(s), first, self._max_t_attr, self._eta, s, stop_last_trials=False
        )

    def _process_bracket(self, tune_controller: Any, bracket: Any) -> str:
        if not bracket.filled() and self.to_come > 0:
            return str(TrialScheduler.PAUSE)
        try:
            return str(super()._process_bracket(tune_controller, bracket))
        finally:
            bracket.is_being_processed = False  # Ray forgets it, and the end of its last runner would then go unnoticed


class Population(PopulationBasedTraining):  # type: ignore[misc]  # ray ships no types
    """Ray's, with changes drawn from the study's own domains, and beside a searcher, which Ray refuses for searchers
    that want to know a trial's settings from its result; ours goes by the trial's number."""

    def __init__(self, study: BoundStudy) -> None:
        assert study.scheduler.pbt
        super().__init__(
            **common_settings(study),
            perturbation_interval=study.scheduler.pbt.interval,
            quantile_fraction=study.scheduler.pbt.quantile,
            custom_explore_fn=lambda config: config,
            log_config=False,
        )
        self._seed = study.seed
        self._resample = study.scheduler.pbt.resample
        self._domains: dict[str, Domain] = mutable(study.parsed)
        self._changes: dict[int, int] = {}

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        self._trial_state[trial] = _PBTTrialState(trial)

    def _checkpoint_or_exploit(
        self, trial: Any, tune_controller: Any, upper_quantile: Any, lower_quantile: Any
    ) -> None:
        """Take over only what is better, and no younger: Ray would send a trial back to an older state, and when scores
        tie again and again, without end."""
        mine = self._trial_state[trial]
        if trial in lower_quantile:
            upper_quantile = [
                other
                for other in upper_quantile
                if self._trial_state[other].last_score > mine.last_score
                and self._trial_state[other].last_train_time >= mine.last_train_time
            ]
            lower_quantile = [trial] if upper_quantile else []
        super()._checkpoint_or_exploit(trial, tune_controller, upper_quantile, lower_quantile)

    def _get_new_config(self, trial: Any, trial_to_clone: Any) -> tuple[dict[str, Any], dict[str, str]]:
        number = trial.config["trial"]
        change = self._changes[number] = self._changes.get(number, 0) + 1
        params = dict(trial_to_clone.config["params"])
        for path, domain in self._domains.items():
            if path in params:
                u, v = (derive(self._seed, "pbt", number, change, path, i) / 2**63 for i in range(2))
                params[path] = domain.at(v) if u < self._resample else neighbour(domain, params[path], up=v < 0.5)
        return {**trial.config, "params": params}, {}


def neighbour(domain: Domain, value: Value, up: bool) -> Value:
    """A small change: the next value of a countable domain, else a fifth up or down, within the domain's ends."""
    values = domain.values()
    if values is not None:
        index = values.index(value) + (1 if up else -1)
        return values[min(max(index, 0), len(values) - 1)]
    low, high = domain.extremes()
    assert isinstance(value, int | float)
    assert isinstance(low, int | float)
    assert isinstance(high, int | float)
    changed = min(max(value * (1.2 if up else 0.8), low), high)
    return round(changed) if isinstance(value, int) else changed
