"""The searcher: gives Ray Tune one numbered draw after the other, at random, by grid or from Optuna."""

from __future__ import annotations

import logging
import math
import warnings
from itertools import chain
from typing import Any, Protocol

from ray.tune.search import Searcher

from tune_mlp.records import TrialState
from tune_mlp.runs.history import NO_HISTORY, History
from tune_mlp.seeds import derive, trial_seed
from tune_mlp.space.choosers import asked_values, optuna_chooser
from tune_mlp.space.space import Params, resolve
from tune_mlp.study.study import BoundStudy
from tune_mlp.tuning.pausing import PausingScheduler


class Source(Protocol):
    """A source of draws, which is told how each trial ended."""

    def draw(self, trial: int) -> Params: ...

    def learn(self, history: History) -> None:
        """Take over the trials of a run that is resumed."""

    def go_on(self, trial: int, params: Params) -> None:
        """Give Ray an open trial of an earlier driver again."""

    def close(self, trial: int, state: TrialState, best: float | None, curve: dict[int, float]) -> None:
        """Take note of how a trial ended; `curve` has the metric of each epoch in which it was finite."""


class _Listed:
    """Random and grid search, whose draws depend on nothing that happens."""

    def __init__(self, study: BoundStudy) -> None:
        self._draws = enumerate(study.draws())

    def draw(self, trial: int) -> Params:
        return next(params for number, params in self._draws if number == trial)

    def learn(self, history: History) -> None:
        pass

    def go_on(self, trial: int, params: Params) -> None:
        pass

    def close(self, trial: int, state: TrialState, best: float | None, curve: dict[int, float]) -> None:
        pass


class _Optuna:
    """TPE by Optuna's ask and tell. It is kept in memory, since the journal is what a study is rebuilt from."""

    def __init__(self, study: BoundStudy) -> None:
        import optuna  # 0.2 s, and only this search needs it

        assert study.search.tpe
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        logging.getLogger("optuna").setLevel(logging.ERROR)
        self._states = optuna.trial.TrialState
        self._created, self._fixed = optuna.trial.create_trial, optuna.trial.FixedTrial
        self._space = study.parsed
        _, self._mode = study.ranking
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # group and constant_liar are marked experimental
            sampler = optuna.samplers.TPESampler(
                n_startup_trials=study.search.tpe.startup,
                multivariate=True,
                group=True,  # parameters inside branches are modelled together with those they occur with
                constant_liar=True,  # trials that run at once shouldn't be neighbours
                seed=derive(study.seed, "tpe") % 2**32,
            )
        self._study = optuna.create_study(
            sampler=sampler,
            direction={"max": "maximize", "min": "minimize"}[self._mode],
            pruner=optuna.pruners.NopPruner(),
        )
        self._trials: dict[int, Any] = {}

    def draw(self, trial: int) -> Params:
        self._trials[trial] = self._study.ask()
        return resolve(self._space, optuna_chooser(self._trials[trial]))

    def learn(self, history: History) -> None:
        """Add the trials that ended to Optuna's study, as if it had suggested them."""
        for trial, ended in history.ended.items():
            values = asked_values(self._space, history.params(trial))
            fixed = self._fixed(values)
            resolve(self._space, optuna_chooser(fixed))
            complete = ended.state is TrialState.FINISHED and history.best(trial) is not None
            stopped = ended.state is TrialState.STOPPED
            state = self._states.COMPLETE if complete else self._states.PRUNED
            self._study.add_trial(
                self._created(
                    state=self._states.FAIL if ended.state is TrialState.FAILED else state,
                    params=values,
                    distributions=fixed.distributions,
                    value=history.best(trial) if complete else None,
                    intermediate_values=history.curves.get(trial, {}) if stopped else {},
                )
            )

    def go_on(self, trial: int, params: Params) -> None:
        self._study.enqueue_trial(asked_values(self._space, params))
        self._trials[trial] = self._study.ask()
        resolve(self._space, optuna_chooser(self._trials[trial]))

    def close(self, trial: int, state: TrialState, best: float | None, curve: dict[int, float]) -> None:
        """Tell TPE how a trial ended.

        A finished trial is complete, and a stopped one is pruned at its last epoch. A diverged one is pruned without any
        epoch, which TPE ranks below all others; a failed one says nothing about its settings.
        """
        asked = self._trials.pop(trial)
        if state is TrialState.FINISHED and best is not None:
            self._study.tell(asked, best)
            return
        if state is TrialState.STOPPED:
            for epoch, value in curve.items():
                asked.report(value, epoch)
        self._study.tell(asked, state=self._states.FAIL if state is TrialState.FAILED else self._states.PRUNED)


SOURCES: dict[str, type[Any]] = {"random": _Listed, "grid": _Listed, "tpe": _Optuna}


class NumberedSearcher(Searcher):  # type: ignore[misc]  # ray ships no types
    """Gives Ray Tune one numbered draw after the other from a source. A trial's config is its number, its seed and its params."""

    def __init__(
        self,
        study: BoundStudy,
        history: History = NO_HISTORY,
        pausing: PausingScheduler | None = None,
        slots: int = 1,
    ) -> None:
        """Draw no more trials than run at once in so many `slots`, where a scheduler pauses trials; else Ray sees to that."""
        self._pausing, self._slots = pausing, slots
        self._metric_name, mode = study.ranking
        super().__init__(metric=self._metric_name, mode=mode)
        self._source: Source = SOURCES[study.search.name](study)
        self._seed = study.seed
        self._history = history
        self._source.learn(history)
        to_come = (number for number in range(study.number_of_trials) if number not in history.drawn)
        self._waiting = chain(history.open, to_come)
        self._numbers: dict[str, int] = {}
        self._curves: dict[str, dict[int, float]] = {}

    def suggest(self, trial_id: str) -> Any:
        if self._pausing and not self._pausing.has_room(self._slots):
            return None
        number = next(self._waiting, None)
        if number is None:
            # Ray ends idle workers once it has heard that the search is over, and a trial that goes on would need a new one.
            return None if self._pausing and not self._pausing.is_over else Searcher.FINISHED
        self._numbers[trial_id] = number
        if number in self._history.drawn:
            params = self._history.params(number)
            self._source.go_on(number, params)
            self._curves[trial_id] = dict(self._history.curves.get(number, {}))
            known = max(self._curves[trial_id], default=0)
            return {"trial": number, "seed": self._history.drawn[number].seed, "params": params, "known": known}
        params = self._source.draw(number)
        return {"trial": number, "seed": trial_seed(self._seed, number), "params": params}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        curve = self._curves.setdefault(trial_id, {})
        curve.update((epoch, value) for epoch, value in result["curve"] if math.isfinite(value))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        if result and not error:
            self.on_trial_result(trial_id, result)  # Ray doesn't pass on the result that ends a trial
            state = TrialState(result["state"])
        else:
            state = TrialState.FAILED if error else TrialState.STOPPED
        best = result["best"] if result else None
        self._source.close(self._numbers[trial_id], state, best, self._curves.pop(trial_id, {}))

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: the journal is what a study is rebuilt from."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing. Ray never asks for it, since nothing is saved."""
