"""The searcher: gives Ray Tune one numbered draw after the other, at random, by grid or from Optuna."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ray.tune.search import Searcher

from tune_mlp.records import TrialState
from tune_mlp.runs.history import NO_HISTORY, History
from tune_mlp.seeds import trial_seed
from tune_mlp.space.space import Params
from tune_mlp.study.study import BoundStudy
from tune_mlp.tuning.optuna_source import OptunaSource
from tune_mlp.tuning.pausing import PausingScheduler


class Source(Protocol):
    """A source of draws, which is told how each trial ended."""

    def draw(self, trial: int, at_rungs: Mapping[int, Mapping[int, float]]) -> Params:
        """Return a draw that wasn't drawn before; `at_rungs` has the curves of open trials that have come to a rung, up to there."""

    def learn(self, history: History) -> None:
        """Take over the trials of a run that is resumed, open ones and those that ended, and those of an earlier run."""

    def close(
        self,
        trial: int,
        state: TrialState,
        best: float | None,
        curve: Mapping[int, float],
        goals: tuple[float, ...] | None = None,
    ) -> None:
        """Take note of how a trial ended.

        `curve` has the metric of each epoch in which it was finite, and `goals` the value of each goal as of the best epoch, in a
        study with several.
        """


class _Listed:
    """Random, quasi-random and grid search, whose draws depend on nothing that happens."""

    def __init__(self, study: BoundStudy) -> None:
        self._draws = enumerate(study.draws())

    def draw(self, trial: int, at_rungs: Mapping[int, Mapping[int, float]]) -> Params:
        return next(params for number, params in self._draws if number == trial)

    def learn(self, history: History) -> None:
        pass

    def close(self, *ended: Any) -> None:
        pass


SOURCES: dict[str, type[Any]] = {
    "random": _Listed,
    "grid": _Listed,
    "qmc": _Listed,
    "tpe": OptunaSource,
    "gp": OptunaSource,
    "cmaes": OptunaSource,
    "nsga2": OptunaSource,
}


class NumberedSearcher(Searcher):  # type: ignore[misc]  # ray ships no types
    """Gives Ray Tune one numbered draw after the other from a source. A trial's config is its number, its seed and its params."""

    def __init__(
        self,
        study: BoundStudy,
        history: History = NO_HISTORY,
        pausing: PausingScheduler | None = None,
        ended: Callable[[], bool] = lambda: False,
    ) -> None:
        """Draw no more trials than the scheduler has room for, where it pauses trials; else Ray sees to that.
        `ended` is asked before each draw whether there is to be no further one."""
        self._pausing, self._ended = pausing, ended
        self._metric_name, mode = study.ranking
        super().__init__(metric=self._metric_name, mode=mode)
        self._source: Source = SOURCES[study.search.name](study)
        self._seed = study.seed
        self._history = history
        self._source.learn(history)
        self._open = iter(history.open)
        self._to_draw = (number for number in range(study.number_of_trials) if number not in history.drawn)
        self._numbers: dict[str, int] = {}
        self._curves: dict[str, dict[int, float]] = {}

    def suggest(self, trial_id: str) -> Any:
        if self._pausing and not self._pausing.has_room:
            return None
        number = next(self._open, None)
        if number is None and not self._ended():
            number = next(self._to_draw, None)
        if number is None:
            # Ray ends idle workers once it has heard that the search is over, and a trial that goes on would need a new one.
            return None if self._pausing and not self._pausing.is_over else Searcher.FINISHED
        self._numbers[trial_id] = number
        if number in self._history.drawn:
            params = self._history.params(number)
            self._curves[trial_id] = dict(self._history.curves.get(number, {}))
            known = max(self._curves[trial_id], default=0)
            return {"trial": number, "seed": self._history.drawn[number].seed, "params": params, "known": known}
        params = self._source.draw(number, self._at_rungs())
        return {"trial": number, "seed": trial_seed(self._seed, number), "params": params}

    def _at_rungs(self) -> dict[int, dict[int, float]]:
        """Return the curves of the open trials that have come to a rung, whether they wait there or were let go on.

        What they have trained since isn't told: how far each has come depends on the moment, and a run that is resumed couldn't know.
        """
        if self._pausing is None:
            return {}
        found = {}
        for trial_id, curve in self._curves.items():
            number = self._numbers[trial_id]
            if rung := self._pausing.last_rung(number):
                found[number] = {epoch: value for epoch, value in curve.items() if epoch <= rung}
        return found

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        curve = self._curves.setdefault(trial_id, {})
        curve.update((epoch, value) for epoch, value in result["curve"] if math.isfinite(value))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        if result and not error:
            self.on_trial_result(trial_id, result)  # Ray doesn't pass on the result that ends a trial
            state = TrialState(result["state"])
        else:
            state = TrialState.FAILED if error else TrialState.STOPPED
        best, goals = (result["best"], result.get("best_goals")) if result else (None, None)
        self._source.close(self._numbers[trial_id], state, best, self._curves.pop(trial_id, {}), goals)

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: the journal is what a study is rebuilt from."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing. Ray never asks for it, since nothing is saved."""
