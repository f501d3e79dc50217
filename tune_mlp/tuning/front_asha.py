"""ASHA by several goals: at each milestone a trial goes on if it is among the best of those that came there, by their Pareto fronts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from tune_mlp.results.front import trials_in_order
from tune_mlp.results.journal import Decided, Decision
from tune_mlp.study.study import BoundStudy
from tune_mlp.tuning.ray_compat.schedulers import TIME, Replaying


class FrontAsha(Replaying, FIFOScheduler):  # type: ignore[misc]  # ray ships no types
    """Asynchronous successive halving by several goals (Schmucker et al. 2021): one trial in so many goes on from each milestone.

    A trial is compared with those that came to the milestone before it, as in Ray's ASHA; `best_first` says in which order they
    stand. What is decided follows from the results in their order alone.
    """

    def __init__(self, study: BoundStudy, milestones: Sequence[int]) -> None:
        assert study.scheduler.asha
        super().__init__()
        self._goals = study.goals
        self._factor = study.scheduler.asha.reduction_factor
        self._came: dict[int, dict[int, tuple[float, ...]]] = {epoch: {} for epoch in milestones}
        """The values of the goals of each trial that came to a milestone, by the milestone's epoch and the trial's number."""
        self.decisions: list[Decided] = []

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        epoch, number = result[TIME], trial.config["trial"]
        if not self._comes(epoch, number, result.get("goals")):
            return str(TrialScheduler.CONTINUE)
        place, count = self._place(epoch, number), len(self._came[epoch])
        kept = math.ceil(count / self._factor)
        goes_on, value = place <= kept, self._came[epoch][number][0]
        action: Decision = "continue" if goes_on else "stop"
        self.decisions.append(
            Decided(number, epoch, "asha", f"epoch {epoch}", value, None, count, action, place=place, kept=kept)
        )
        return str(TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Note a trial whose patience ended at a milestone: those that come later are compared with it, too."""
        self._comes(result.get(TIME, 0), trial.config["trial"], result.get("goals"))

    def _comes(self, epoch: int, number: int, goals: tuple[float, ...] | None) -> bool:
        """Take in a trial that comes to a milestone for the first time; one that diverged or failed is compared with none."""
        if epoch not in self._came or number in self._came[epoch] or goals is None:
            return False
        self._came[epoch][number] = goals
        return True

    def _place(self, epoch: int, number: int) -> int:
        """Return the place of a trial among those that came to a milestone, from 1."""
        return 1 + trials_in_order(self._came[epoch], self._goals).index(number)

    def _take_over(self, stand_in: Any, trial: Any) -> None:
        pass  # trials are known by their numbers
