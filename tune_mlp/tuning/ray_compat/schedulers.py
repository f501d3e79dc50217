"""Ray's schedulers, changed through their private members: they can be told earlier results, and they note their decisions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from ray.tune.schedulers import AsyncHyperBandScheduler, MedianStoppingRule, TrialScheduler

from tune_mlp.records import Mode
from tune_mlp.results.journal import Decided, Decision
from tune_mlp.runs.history import WORST, History
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
    decision = DECISIONS[action]
    return Decided(trial.config["trial"], epoch, scheduler, rung, real, bar, competed, decision)


DECISIONS: dict[str, Decision] = {"CONTINUE": "continue", "STOP": "stop"}
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
