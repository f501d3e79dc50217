"""Draws from Optuna by ask and tell: TPE, a Gaussian process, or CMA-ES, and what each is told of how trials ended."""

from __future__ import annotations

import logging
import math
import sys
import warnings
from collections.abc import Collection, Mapping
from copy import copy
from datetime import UTC, datetime
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
FEW_SCORES = 3
"""With so many scores of the run itself, the scores of the earlier run are replaced by ranks."""
ONE_WITHOUT = 4
"""The number of draws of which one is made without the earlier run."""
MOST_TOLD = {"tpe": 1000, "gp": 100}
"""A sampler is told of so many trials of the run that have a score at most: of the best half of them, and of the latest others. TPE's
thinking takes time in proportion to their number, and a Gaussian process's by its cube. CMA-ES is told of all, by its generations."""


class OptunaSource:
    """Draws from a sampler of Optuna, which learns from the trials that ended.

    For each draw a study is made anew in memory of what is known, and a sampler whose seed is derived from the number of the draw.
    So a draw depends on what the sampler was told and on its number alone, and a run that is resumed draws as one that wasn't
    interrupted.
    """

    def __init__(self, study: BoundStudy) -> None:
        import optuna  # 0.2 s, and only these searches need it

        from tune_mlp.tuning.optuna_records import SharedRecord

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        logging.getLogger("optuna").setLevel(logging.ERROR)
        self._optuna, self._states, self._new_record = optuna, optuna.trial.TrialState, SharedRecord
        self._scored = (self._states.COMPLETE, self._states.PRUNED)
        self._search, self._seed, self._space = study.search, study.seed, study.parsed
        self._mode = study.ranking[1]
        self._first = list(islice(study.draws(), len(study.first_draws())))
        self._earlier: list[tuple[Any, float]] = []
        """The record and the score of each trial of an earlier run that the sampler is told of, the best first."""
        self._known: dict[int, Any] = {}
        """Optuna's own record of each draw, by its number."""

    def draw(self, trial: int, at_rungs: Mapping[int, Mapping[int, float]]) -> Params:
        named = self._first[trial] if trial < len(self._first) else None
        return self._take_in(trial, named, at_rungs)

    def learn(self, history: History) -> None:
        self._earlier = [(self._record(told.params), told.value) for told in history.told]
        for trial in sorted(history.drawn):
            self._take_in(trial, history.params(trial), {})
            if ended := history.ended.get(trial):
                self.close(trial, ended.state, history.best(trial), history.curves.get(trial, {}))

    def _take_in(self, trial: int, named: Params | None, at_rungs: Mapping[int, Mapping[int, float]]) -> Params:
        """Note a draw whose settings are named, or ask for them. CMA-ES is asked for each draw, since it notes with it how far its
        own search is."""
        params, notes = named, None
        if named is None or self._search.cmaes:
            study = self._study(trial, at_rungs)
            asked = resolve(self._space, optuna_chooser(study.ask()))
            params = asked if named is None else named
            notes = study.get_trials(deepcopy=False)[-1].system_attrs if self._search.cmaes else None
        assert params is not None
        self._known[trial] = self._record(params, notes)
        return params

    def _record(self, params: Mapping[str, Any], notes: dict[str, Any] | None = None) -> Any:
        """Return Optuna's record of a draw that is under way."""
        values = asked_values(self._space, {name: as_value(value) for name, value in params.items()})
        fixed = self._optuna.trial.FixedTrial(values)
        resolve(self._space, optuna_chooser(fixed))
        return self._new_record(
            number=-1,  # the storage numbers it
            trial_id=-1,
            state=self._states.RUNNING,
            value=None,
            datetime_start=datetime.now(UTC),
            datetime_complete=None,
            params=values,
            distributions=fixed.distributions,
            user_attrs={},
            system_attrs=notes or {},
            intermediate_values={},
        )

    def _fading(self, trial: int, known: Mapping[int, Any]) -> list[Any]:
        """Return the records of an earlier run's trials that the sampler is told of for a draw, where `known` are the run's own.

        An earlier run may mislead. So some draws are made without it, and it is left out unless the draws that came first, which were
        its best, have a better median than these; and each score of the run itself replaces one earlier trial. Its data may have been
        easier, too: an earlier trial counts as a trial of this run would that has its rank.
        """
        if not self._earlier or self._is_without(trial):
            return []
        scored = [number for number, record in known.items() if record.state in self._scored]
        ranked = sorted(scored, key=lambda number: self._place(known[number]))
        first = [rank for rank, number in enumerate(ranked) if number < len(self._first)]
        without = [rank for rank, number in enumerate(ranked) if self._is_without(number)]
        if first and without and np.median(without) <= np.median(first):
            return []
        found = []
        for place in spread_out(len(self._earlier), max(0, MOST_EARLIER - len(ranked))):
            record, value = copy(self._earlier[place][0]), self._earlier[place][1]
            record.state, record.value, record.datetime_complete = self._states.COMPLETE, value, record.datetime_start
            if len(ranked) >= FEW_SCORES:
                rank = place / max(1, len(self._earlier) - 1)
                self._count_as(record, [known[number] for number in ranked], rank)
            found.append(record)
        return found

    def _is_without(self, trial: int) -> bool:
        """True if a draw is made without the earlier run in any case: the first draw that isn't named, and every so many after it."""
        return trial >= len(self._first) and (trial - len(self._first)) % ONE_WITHOUT == 0

    def _count_as(self, record: Any, ranked: list[Any], rank: float) -> None:
        """Give a record the outcome that has a rank, from 0 of the best to 1, among the outcomes of ranked records."""
        place = rank * (len(ranked) - 1)
        better, worse = ranked[math.floor(place)], ranked[math.ceil(place)]
        record.state, record.value, record.intermediate_values = better.state, better.value, better.intermediate_values
        if better.value is not None and worse.value is not None:
            record.value = better.value + (worse.value - better.value) * (place % 1)

    def close(self, trial: int, state: TrialState, best: float | None, curve: Mapping[int, float]) -> None:
        self._end(self._known[trial], state, best, curve)

    def _end(self, record: Any, state: TrialState, best: float | None, curve: Mapping[int, float]) -> None:
        """Write into a trial's record how it ended; a failed one says nothing about its settings, nor does one that was stopped
        before its first epoch.

        TPE takes a finished trial as complete, and a stopped one as pruned at its last epoch. A diverged one is pruned without
        any epoch, which it ranks below all others. The other samplers learn from complete trials alone: for them a stopped trial
        is complete with its best value, and a diverged one with the worst value of all.
        """
        if state is not TrialState.DIVERGED and best is None:
            best = (max if self._mode == "max" else min)(curve.values(), default=None)
        if state is TrialState.FAILED or (state is not TrialState.DIVERGED and best is None):
            record.state = self._states.FAIL
        elif state is TrialState.FINISHED or not self._search.tpe:
            record.state = self._states.COMPLETE
            record.value = None if state is TrialState.DIVERGED else best
        else:
            record.state = self._states.PRUNED
            record.intermediate_values = dict(curve) if state is TrialState.STOPPED else {}
        record.datetime_complete = record.datetime_start

    def _told(self, at_rungs: Mapping[int, Mapping[int, float]]) -> dict[int, Any]:
        """Return the records of the draws as they stand, in the order of their numbers.

        An open trial that has come to a rung counts as one that was stopped there, whether it waits or trains: TPE takes all other
        open trials for bad ones. CMA-ES isn't told, since its generations are made of trials that ended.
        """
        told = dict(sorted(self._known.items()))
        for trial in at_rungs.keys() & told.keys() if not self._search.cmaes else ():
            told[trial] = copy(told[trial])
            self._end(told[trial], TrialState.STOPPED, None, at_rungs[trial])
        values = [record.value for record in told.values() if record.value is not None]
        worst = (min if self._mode == "max" else max)(values, default=None)
        for trial, record in told.items():
            if record.state == self._states.COMPLETE and record.value is None:
                told[trial] = copy(record)
                told[trial].state = self._states.FAIL if worst is None else self._states.COMPLETE
                told[trial].value = worst
        return told

    def _most_telling(self, known: Collection[Any]) -> Collection[Any]:
        """Return the records without those that are too many: of trials with a score, the best half are kept and the latest others."""
        scored = [record for record in known if record.state in self._scored]
        most = MOST_TOLD.get(self._search.name, len(scored))
        if len(scored) <= most:
            return known
        best = {id(record) for record in sorted(scored, key=self._place)[: most // 2]}
        others = [id(record) for record in scored if id(record) not in best]
        left_out = set(others[: len(scored) - most])
        return [record for record in known if id(record) not in left_out]

    def _place(self, record: Any) -> tuple[int, float]:
        """Return what ranks a record, the lowest first, as TPE does: complete trials, then pruned ones by their last epoch."""
        sign = -1 if self._mode == "max" else 1
        if record.value is not None:
            return (-sys.maxsize, sign * record.value)
        last = max(record.intermediate_values, default=None)
        return (1, 0.0) if last is None else (-last, sign * record.intermediate_values[last])

    def _study(self, trial: int, at_rungs: Mapping[int, Mapping[int, float]]) -> Any:
        """Return a study of what is known, to be asked for a draw."""
        optuna, name = self._optuna, "what is known"
        storage = optuna.storages.InMemoryStorage()
        directions = {"max": optuna.study.StudyDirection.MAXIMIZE, "min": optuna.study.StudyDirection.MINIMIZE}
        number = storage.create_new_study([directions[self._mode]], name)
        known = self._told(at_rungs)
        for record in (*self._fading(trial, known), *self._most_telling(known.values())):
            storage.create_new_trial(number, record)  # `add_trials` would validate each of our own records
        return optuna.load_study(
            study_name=name, storage=storage, sampler=self._sampler(trial), pruner=optuna.pruners.NopPruner()
        )

    def _sampler(self, trial: int) -> Any:
        samplers, seed = self._optuna.samplers, derive(self._seed, self._search.name, trial) % 2**32
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # group, constant_liar and the Gaussian process are marked experimental
            if self._search.gp:
                return samplers.GPSampler(seed=seed, n_startup_trials=self._search.gp.startup)
            if self._search.cmaes:
                return samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
            assert self._search.tpe
            return samplers.TPESampler(
                n_startup_trials=self._search.tpe.startup,
                multivariate=True,
                group=True,  # parameters inside branches are modelled together with those they occur with
                constant_liar=True,  # trials that run at once shouldn't be neighbours
                seed=seed,
            )
