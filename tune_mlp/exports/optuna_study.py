"""A run as a study of Optuna in a database, which `optuna.load_study` and optuna-dashboard open."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.study import StudyDirection
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from tune_mlp.errors import StorageError, StudyError, UsageError, one_line
from tune_mlp.exports.database import Database, write_database
from tune_mlp.exports.distributions import Described, describe
from tune_mlp.exports.trial_history import RunHistory, TrialHistory, run_history
from tune_mlp.records import TrialState
from tune_mlp.results.results import Results
from tune_mlp.space.parsing import parse_space
from tune_mlp.space.space import Space

# Optuna stores a trial value by value, which takes 40 ms. So its rows are written here, by the classes of its own tables and in
# one transaction; tried with 4.2.1 and 5.0.0, whose tables are the same.

STATES = {
    None: optuna.trial.TrialState.RUNNING,
    TrialState.FINISHED: optuna.trial.TrialState.COMPLETE,
    TrialState.STOPPED: optuna.trial.TrialState.PRUNED,
    TrialState.DIVERGED: optuna.trial.TrialState.FAIL,
    TrialState.FAILED: optuna.trial.TrialState.FAIL,
}
DIRECTIONS = {"min": StudyDirection.MINIMIZE, "max": StudyDirection.MAXIMIZE}


def export_optuna(results: Results, output: str, name: str | None = None) -> str:
    """Write a run as a study of this name into a database; return a line that says what was written."""
    run = run_history(results)
    study = name or run.name
    described = describe(_space(results), [trial.params for trial in run.trials])
    write_database(output, "studies", lambda database: _write(database, study, run, described))
    epochs = sum(len(trial.curve) for trial in run.trials)
    return f"the study {study!r}, {len(run.trials)} trials with {epochs} intermediate values"


def _space(results: Results) -> Space | None:
    try:
        return parse_space(results.study["space"])
    except (KeyError, StudyError):  # a study.yaml that is lost or that was changed; the values tell the rest
        return None


def _write(database: Database, name: str, run: RunHistory, described: dict[str, Described]) -> None:
    try:
        storage = RDBStorage(database.url)
    except (RuntimeError, optuna.exceptions.OptunaError, ImportError) as error:  # tables of another version
        raise StorageError(f"Optuna can't open it: {one_line(error, limit=200)}") from None
    try:
        database.hurry(storage.engine)
        with Session(storage.engine) as session, session.begin():
            if session.scalar(select(models.StudyModel.study_id).where(models.StudyModel.study_name == name)):
                raise UsageError(f"it has a study {name!r} already; name another one with --name")
            _add(session, name, run, described)
    finally:
        storage.engine.dispose()


def _add(session: Session, name: str, run: RunHistory, described: dict[str, Described]) -> None:
    study = models.StudyModel(study_name=name)
    session.add(study)
    session.flush()
    owner = study.study_id
    session.add(models.StudyDirectionModel(study_id=owner, direction=DIRECTIONS[run.mode], objective=0))
    names = json.dumps([run.metric])
    session.add(models.StudySystemAttributeModel(study_id=owner, key="study:metric_names", value_json=names))
    facts = [{"study_id": owner, "key": key, "value_json": json.dumps(fact)} for key, fact in run.facts.items()]
    session.execute(insert(models.StudyUserAttributeModel), facts)
    rows = [
        models.TrialModel(
            study_id=owner,
            number=number,
            state=_state(trial),
            datetime_start=datetime.fromtimestamp(trial.began),
            datetime_complete=None if trial.ended is None else datetime.fromtimestamp(trial.ended),
        )
        for number, trial in enumerate(run.trials)
    ]
    session.add_all(rows)
    session.flush()
    owners = list(zip([row.trial_id for row in rows], run.trials, strict=True))
    for model, make in (
        (models.TrialParamModel, lambda trial: _params(trial, described)),
        (models.TrialValueModel, _values),
        (models.TrialUserAttributeModel, _attributes),
        (models.TrialIntermediateValueModel, lambda trial: _intermediate(trial, run.metric)),
    ):
        if found := [{"trial_id": trial_id, **row} for trial_id, trial in owners for row in make(trial)]:
            session.execute(insert(model), found)


def _state(trial: TrialHistory) -> optuna.trial.TrialState:
    if trial.state is TrialState.FINISHED and trial.score is None:
        return optuna.trial.TrialState.FAIL  # Optuna wants a value of each complete trial
    return STATES[trial.state]


def _params(trial: TrialHistory, described: dict[str, Described]) -> Iterator[dict[str, Any]]:
    for name, value in trial.params.items():
        distribution, write = described[name]
        yield {
            "param_name": name,
            "param_value": distribution.to_internal_repr(write(value)),
            "distribution_json": optuna.distributions.distribution_to_json(distribution),
        }


def _values(trial: TrialHistory) -> Iterator[dict[str, Any]]:
    if trial.score is not None and _state(trial) is not optuna.trial.TrialState.FAIL:
        value, kind = models.TrialValueModel.value_to_stored_repr(trial.score)
        yield {"objective": 0, "value": value, "value_type": kind}


def _attributes(trial: TrialHistory) -> Iterator[dict[str, Any]]:
    for name, fact in {**trial.facts, **trial.tested}.items():
        yield {
            "key": name,
            "value_json": json.dumps(None if isinstance(fact, float) and not math.isfinite(fact) else fact),
        }


def _intermediate(trial: TrialHistory, metric: str) -> Iterator[dict[str, Any]]:
    for epoch, metrics in trial.curve.items():
        value, kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(metrics[metric])
        yield {"step": epoch, "intermediate_value": value, "intermediate_value_type": kind}
