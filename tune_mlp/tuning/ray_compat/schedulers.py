"""Ray's schedulers, changed through their private members: they can be told earlier results, and they note their decisions."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
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
from tune_mlp.results.journal import Decided, Decision
from tune_mlp.runs.history import WORST, History
from tune_mlp.seeds import derive
from tune_mlp.space.domains import Domain, Value
from tune_mlp.study.mutable import mutable
from tune_mlp.study.study import BoundStudy

TIME = "epoch"
"""The key of a result by which schedulers count time."""


def common_settings(study: BoundStudy) -> dict[str, Any]:
    """Return the settings that every scheduler of Ray's takes."""
    metric, mode = study.ranking
    return {"time_attr": TIME, "metric": metric, "mode": mode}


class _StandIn:
    """Stands for a trial of an earlier driver, where Ray's schedulers expect a trial."""

    def __init__(self, number: int) -> None:
        self.trial_id = f"before-{number}"
        self.config = {"trial": number}


class _Nobody:
    """A controller that has no live trials."""

    def get_live_trials(self) -> list[Any]:
        return []


def decided_by(
    trial: Any, epoch: int, scheduler: str, rung: str, value: float, cutoff: float | None, competed: int, action: str
) -> Decided:
    """Return what Ray decided, in the journal's words. A trial without a metric was reported as the worst of all."""
    real = None if abs(value) >= WORST else float(value)
    bar = None if cutoff is None or not abs(cutoff) < WORST else float(cutoff)
    decision = DECISIONS[action.lower()]
    return Decided(trial.config["trial"], epoch, scheduler, rung, real, bar, competed, decision)


DECISIONS: dict[str, Decision] = {
    "continue": "continue",
    "noop": "continue",
    "stop": "stop",
    "pause": "pause",
    "promote": "promote",
    "exploit": "exploit",
}
"""The journal's word for each of Ray's."""


class Replaying(TrialScheduler):  # type: ignore[misc]  # ray ships no types
    """A scheduler that can be told earlier results again, since Ray saves nothing of a scheduler."""

    def replay(self, history: History, metric: str, mode: Mode) -> set[int]:
        """Take all results again, in their order; return the open trials that were to stop at their last result."""
        worst = -WORST if mode == "max" else WORST
        self._stand_ins = {number: _StandIn(number) for number in history.drawn}
        stopped: set[int] = set()
        for stand_in in self._stand_ins.values():
            super().on_trial_add(_Nobody(), stand_in)
        for came in history.came:
            stand_in = self._stand_ins[came.trial]
            result = {TIME: came.epoch, metric: worst if came.value is None else came.value, "goals": came.goals}
            if came.state is not None:
                self.on_trial_complete(_Nobody(), stand_in, result)
                continue
            decision = self.on_trial_result(_Nobody(), stand_in, result)
            (stopped.add if decision == TrialScheduler.STOP else stopped.discard)(came.trial)
        return stopped & set(history.open)

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Add a trial. One that goes on takes the place of its stand-in."""
        super().on_trial_add(tune_controller, trial)
        stand_in = getattr(self, "_stand_ins", {}).pop(trial.config["trial"], None)
        if stand_in is not None:
            self._take_over(stand_in, trial)

    def _take_over(self, stand_in: Any, trial: Any) -> None:
        raise NotImplementedError


class AshaScheduler(Replaying, AsyncHyperBandScheduler):  # type: ignore[misc]  # ray ships no types
    """Ray's ASHA, whose rungs can be filled again with earlier results."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.decisions: list[Decided] = []

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        epoch, place = result[TIME], self._brackets.index(bracket := self._trial_info[trial.trial_id])
        rungs = ((rung, scores) for rung, scores in bracket._rungs if epoch >= rung and trial.trial_id not in scores)
        rung, scores = next(rungs, (None, {}))  # the rung at which Ray will decide
        cutoff, competed = bracket.cutoff(scores), len(scores) + 1
        action = str(super().on_trial_result(tune_controller, trial, result))
        if rung is not None:
            where = f"bracket {place}, epoch {math.ceil(rung)}"
            bar = None if cutoff is None else self._metric_op * cutoff
            self.decisions.append(decided_by(trial, epoch, "asha", where, result[self._metric], bar, competed, action))
        return action

    def _take_over(self, stand_in: Any, trial: Any) -> None:
        self._trial_info.pop(stand_in.trial_id, None)
        for bracket in self._brackets:
            for _, recorded in bracket._rungs:
                if stand_in.trial_id in recorded:
                    recorded[trial.trial_id] = recorded.pop(stand_in.trial_id)


class MedianScheduler(Replaying, MedianStoppingRule):  # type: ignore[misc]  # ray ships no types
    """Ray's median stopping rule, which can be given earlier results again."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.decisions: list[Decided] = []

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        action, epoch = str(super().on_trial_result(tune_controller, trial, result)), result[TIME]
        if epoch >= self._grace_period:
            others = [other for other in self._trials_beyond_time(epoch) if other is not trial]
            means = [mean for other in others if np.isfinite(mean := self._running_mean(other, epoch))]
            cutoff = float(np.median(means)) if len(means) >= self._min_samples_required else None
            best = self._best_result(trial)
            self.decisions.append(
                decided_by(trial, epoch, "median", f"epoch {epoch}", best, cutoff, len(means) + 1, action)
            )
        return action

    def _take_over(self, stand_in: Any, trial: Any) -> None:
        if stand_in in self._results:
            self._results[trial] = self._results.pop(stand_in)


class _WholeBracket(_Bracket):  # type: ignore[misc]  # ray ships no types
    """A bracket that is full once all its trials were added. Ray's bracket has room again when one of its trials has ended; if
    few trials run at once, it could take in all of them."""

    decisions: list[Decided]

    def filled(self) -> bool:
        return bool(len(self._all_trials) >= self._n0)

    def successive_halving(self, metric: str, metric_op: float) -> tuple[list[Any], list[Any]]:
        """Halve as Ray does, and note what was decided of each trial."""
        results = dict(self._live_trials)
        good, bad = super().successive_halving(metric, metric_op)
        cutoff = min((metric_op * results[trial][metric] for trial in good), default=None)
        bar = None if cutoff is None else metric_op * cutoff
        for trial in (*good, *bad):
            epoch, action = results[trial][TIME], "stop" if trial in bad else "continue"
            where, value = f"bracket {self._s}, epoch {epoch}", results[trial][metric]
            self.decisions.append(decided_by(trial, epoch, "hyperband", where, value, bar, len(results), action))
        return good, bad


class WaitingHyperBand(HyperBandScheduler):  # type: ignore[misc]  # ray ships no types
    """HyperBand that halves a bracket only when all of the bracket's trials have reached the milestone, so its decisions don't
    depend on how many trials run at once.

    Ray's HyperBand halves as soon as the trials that were started so far have reached it; if few run at once, it then stops none.
    Here the trials that are left at the end also train all epochs, where Ray's may stop at 9 of 10.
    """

    def __init__(self, study: BoundStudy) -> None:
        assert study.scheduler.hyperband
        super().__init__(
            **common_settings(study),
            max_t=study.epochs,
            reduction_factor=study.scheduler.hyperband.reduction_factor,
        )
        self.to_come = study.number_of_trials
        self.decisions: list[Decided] = []

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        if trial not in self._trial_info:  # a trial that lost its worker is added again
            self.to_come -= 1
        super().on_trial_add(tune_controller, trial)

    def awaited(self, trial: Any) -> list[Any]:
        """Return the trials of this one's bracket that haven't come to its milestone."""
        bracket = self._trial_info[trial][0]
        results = bracket._live_trials.items()
        return [other for other, result in results if bracket._get_result_time(result) < bracket._cumul_r]

    def _create_bracket(self, s: int) -> _WholeBracket:
        first = self._get_r0(s)
        bracket = _WholeBracket(
            self._time_attr, self._get_n0(s), first, self._max_t_attr, self._eta, s, stop_last_trials=False
        )
        bracket._s, bracket.decisions = s, self.decisions
        return bracket

    def _process_bracket(self, tune_controller: Any, bracket: Any) -> str:
        if not bracket.filled() and self.to_come > 0:
            return str(TrialScheduler.PAUSE)
        try:
            action = super()._process_bracket(tune_controller, bracket)
            # Trials of an earlier driver may all be beyond the next milestone, too: Ray would leave them paused for ever.
            while bracket._halves and bracket._live_trials and bracket.cur_iter_done():
                again = super()._process_bracket(tune_controller, bracket)
                action = action if action == TrialScheduler.STOP else again
            return str(action)
        finally:
            # Ray leaves it True, and would then ignore the end of the last running trial.
            bracket.is_being_processed = False


class Population(PopulationBasedTraining):  # type: ignore[misc]  # ray ships no types
    """Population-based training whose changes are drawn from the study's own domains.

    It works together with a searcher. Ray's refuses that, because a searcher could not recognise a trial whose settings were changed;
    ours knows a trial by its number.
    """

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
        self.decisions: list[Decided] = []
        self._donor: int | None = None
        self.told: dict[tuple[int, int], int | None] = {}
        """The donor by trial and epoch, where decisions are derived again: earlier versions took one of the best by chance."""

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        self._trial_state[trial] = _PBTTrialState(trial)

    def _checkpoint_or_exploit(
        self, trial: Any, tune_controller: Any, upper_quantile: Any, lower_quantile: Any
    ) -> None:
        """Take over only a trial that is better and at least as old. Ray would send a trial back to an older state and, if
        scores tie again and again, would never end."""
        mine = self._trial_state[trial]
        scores = {other: state.last_score for other, state in self._trial_state.items() if state.last_score is not None}
        cutoff = min((score for other, score in scores.items() if other not in lower_quantile), default=None)
        if trial in lower_quantile:
            upper_quantile = [
                other
                for other in upper_quantile
                if self._trial_state[other].last_score > mine.last_score
                and self._trial_state[other].last_train_time >= mine.last_train_time
            ]
            upper_quantile = self._chosen(trial, self._as_told(trial, upper_quantile))
            lower_quantile = [trial] if upper_quantile else []
        self._donor = None
        epoch, value = int(mine.last_train_time), self._metric_op * mine.last_score
        super()._checkpoint_or_exploit(trial, tune_controller, upper_quantile, lower_quantile)
        bar = None if cutoff is None else self._metric_op * cutoff
        action = "continue" if self._donor is None else "exploit"
        decided = decided_by(trial, epoch, "pbt", f"epoch {epoch}", value, bar, len(scores), action)
        self.decisions.append(replace(decided, donor=self._donor))

    def _chosen(self, trial: Any, able: list[Any]) -> list[Any]:
        """Return one of the trials that can be taken over, drawn from the study's seed. Ray would draw by Python's global chance."""
        epoch = int(self._trial_state[trial].last_train_time)
        place = derive(self._seed, "pbt", "donor", trial.config["trial"], epoch) % max(len(able), 1)
        return sorted(able, key=lambda other: int(other.config["trial"]))[place : place + 1]

    def _as_told(self, trial: Any, able: list[Any]) -> list[Any]:
        """Return the donor that was drawn in the run that is derived again, if it is able; else all that are."""
        place = trial.config["trial"], int(self._trial_state[trial].last_train_time)
        if place not in self.told:
            return able
        donor = self.told[place]
        if donor is None:  # one was drawn that had saved nothing, if there was such
            return [other for other in able if not self._trial_state[other].last_checkpoint] or able
        return [other for other in able if other.config["trial"] == donor] or able

    def _exploit(self, tune_controller: Any, trial: Any, trial_to_clone: Any) -> None:
        self._donor = trial_to_clone.config["trial"]
        super()._exploit(tune_controller, trial, trial_to_clone)

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
    """Return a value that is a little different: the next value of a countable domain, else one that is a fifth larger or
    smaller, within the domain's ends."""
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
