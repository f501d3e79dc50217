"""Draws from Optuna by ask and tell: TPE, a Gaussian process, CMA-ES or NSGA-II, and what each is told of how trials ended."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from copy import copy
from itertools import islice
from typing import Any

import numpy as np

from tune_mlp.records import TrialState
from tune_mlp.runs.history import History
from tune_mlp.seeds import derive
from tune_mlp.space.choosers import asked_values, optuna_chooser
from tune_mlp.space.domains import as_value
from tune_mlp.space.space import Params, resolve
from tune_mlp.study.study import BoundStudy
from tune_mlp.study.warm_start import spread_out

MOST_EARLIER = 30
"""The number of an earlier run's trials that the sampler is told of at the beginning; they are spread evenly over its ranks."""
DIRECTIONS = {"max": "maximize", "min": "minimize"}
FEW_SCORES = 3
"""With so many scores of the run itself, the scores of the earlier run are replaced by ranks."""


class OptunaSource:
    """Draws from a sampler of Optuna, which learns from the trials that ended.

    For each draw a study is made anew in memory of all that is known, and a sampler whose seed is derived from the number of the
    draw. So a draw depends on what the sampler was told and on its number alone, and a run that is resumed draws as one that
    wasn't interrupted.
    """

    def __init__(self, study: BoundStudy) -> None:
        import optuna  # 0.2 s, and only these searches need it

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        logging.getLogger("optuna").setLevel(logging.ERROR)
        self._optuna, self._states = optuna, optuna.trial.TrialState
        self._search, self._seed, self._space = study.search, study.seed, study.parsed
        self._mode, self._goals = study.ranking[1], study.goals
        self._first = list(islice(study.draws(), len(study.first_draws())))
        self._earlier: list[tuple[Any, float]] = []
        """The record and the score of each trial of an earlier run that the sampler is told of, the best first."""
        self._known: dict[int, Any] = {}
        """Optuna's own record of each draw, by its number."""

    def draw(self, trial: int) -> Params:
        if trial < len(self._first):
            self.go_on(trial, self._first[trial])
            return self._first[trial]
        study = self._study(trial)
        params = resolve(self._space, optuna_chooser(study.ask()))
        self._known[trial] = study.trials[-1]
        return params

    def learn(self, history: History) -> None:
        """Take over the trials of an earlier run, and those that ended, as if each had just been drawn and had ended."""
        self._earlier = [(self._record(told.params), told.value) for told in history.told]
        for trial, ended in sorted(history.ended.items()):
            self.go_on(trial, history.params(trial))
            self.close(trial, ended.state, history.best(trial), history.curves.get(trial, {}), history.goals.get(trial))

    def go_on(self, trial: int, params: Params) -> None:
        """Take over a draw. What evolves is asked, too, since it notes with each draw how far its search is; the others aren't."""
        notes: dict[str, Any] = {}
        if self._search.evolves:
            study = self._study(trial)
            resolve(self._space, optuna_chooser(study.ask()))
            notes = study.trials[-1].system_attrs
        self._known[trial] = self._record(params, notes)

    def _record(self, params: Mapping[str, Any], notes: dict[str, Any] | None = None) -> Any:
        """Return Optuna's record of a draw that is under way."""
        values = asked_values(self._space, {name: as_value(value) for name, value in params.items()})
        fixed = self._optuna.trial.FixedTrial(values)
        resolve(self._space, optuna_chooser(fixed))
        return self._optuna.trial.create_trial(
            state=self._states.RUNNING, params=values, distributions=fixed.distributions, system_attrs=notes or {}
        )

    def _fading(self, trial: int) -> list[Any]:
        """Return the records of an earlier run's trials that the sampler is told of for a draw.

        An earlier run may mislead. So every second draw is made without it; once both kinds of draws have a few scores, it is
        forgotten while those made with it have the worse median; and each score of the run itself replaces one earlier trial. Its
        data may have been easier, too: an earlier trial counts with the score that has its rank among those of this run.
        """
        if not self._earlier:
            return []
        begin = len(self._first)
        kinds: tuple[list[float], list[float]] = ([], [])
        scores = {number: one.value for number, one in self._known.items() if one.state == self._states.COMPLETE}
        for number, score in scores.items():
            if number >= begin:
                kinds[(number - begin) % 2].append(score if self._mode == "max" else -score)
        informed, others = kinds
        misled = min(len(informed), len(others)) >= FEW_SCORES and np.median(informed) < np.median(others)
        if (trial - begin) % 2 or misled:
            return []
        found = []
        for place in spread_out(len(self._earlier), max(0, MOST_EARLIER - len(scores))):
            record, value = copy(self._earlier[place][0]), self._earlier[place][1]
            if len(scores) >= FEW_SCORES:
                rank = 1 - place / max(1, len(self._earlier) - 1)
                value = float(np.quantile(list(scores.values()), rank if self._mode == "max" else 1 - rank))
            record.state, record.value, record.datetime_complete = self._states.COMPLETE, value, record.datetime_start
            found.append(record)
        return found

    def close(
        self,
        trial: int,
        state: TrialState,
        best: float | None,
        curve: dict[int, float],
        goals: tuple[float, ...] | None = None,
    ) -> None:
        """Tell the sampler how a trial ended; a failed one says nothing about its settings.

        TPE takes a finished trial as complete, and a stopped one as pruned at its last epoch. A diverged one is pruned without
        any epoch, which it ranks below all others. The other samplers, and TPE with several goals, learn from complete trials
        alone: for them a stopped trial is complete with its best value, and a diverged one with the worst value so far.
        """
        known = self._known[trial]
        if len(self._goals) == 1 and best is not None:
            goals = (best,)
        if state is TrialState.STOPPED and self._search.tpe and len(self._goals) == 1:
            known.intermediate_values = curve
            values = None
        elif state is TrialState.DIVERGED:
            values = None if self._search.tpe else self._worst()
        else:
            values = goals if state in (TrialState.FINISHED, TrialState.STOPPED) else None
        known.state = self._states.FAIL if state is TrialState.FAILED else self._states.PRUNED
        if values is not None:
            known.state, known.values = self._states.COMPLETE, values
        known.datetime_complete = known.datetime_start

    def _worst(self) -> tuple[float, ...] | None:
        """Return the worst value of each goal so far; None where there is none."""
        values = zip(*(one.values for one in self._known.values() if one.values is not None), strict=True)
        worst = tuple(
            (min if goal.mode == "max" else max)(found) for goal, found in zip(self._goals, values, strict=False)
        )
        return worst or None

    def _study(self, trial: int) -> Any:
        """Return a study of all that is known, to be asked for a draw."""
        study = self._optuna.create_study(
            sampler=self._sampler(trial),
            directions=[DIRECTIONS[goal.mode] for goal in self._goals],
            pruner=self._optuna.pruners.NopPruner(),
        )
        study.add_trials([*self._fading(trial), *(self._known[number] for number in sorted(self._known))])
        return study

    def _sampler(self, trial: int) -> Any:
        samplers, seed = self._optuna.samplers, derive(self._seed, self._search.name, trial) % 2**32
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # group, constant_liar and the Gaussian process are marked experimental
            if self._search.gp:
                return samplers.GPSampler(seed=seed, n_startup_trials=self._search.gp.startup)
            if self._search.cmaes:
                return samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
            if self._search.nsga2:
                return samplers.NSGAIISampler(seed=seed, population_size=self._search.nsga2.population)
            assert self._search.tpe
            return samplers.TPESampler(
                n_startup_trials=self._search.tpe.startup,
                multivariate=True,
                group=True,  # parameters inside branches are modelled together with those they occur with
                constant_liar=True,  # trials that run at once shouldn't be neighbours
                seed=seed,
            )
