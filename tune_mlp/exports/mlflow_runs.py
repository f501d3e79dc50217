"""A run as an experiment of MLflow in a database: a run for each trial, with its parameters, its metrics by epoch and its end."""

from __future__ import annotations

import logging
import math
import os
import re
import sys
import time
import uuid
import warnings
from collections.abc import Collection, Iterator
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from tune_mlp.errors import StorageError, UsageError, one_line
from tune_mlp.exports.database import Database, write_database
from tune_mlp.exports.trial_history import RunHistory, TrialHistory, plain, run_history
from tune_mlp.records import TrialState
from tune_mlp.results.results import Results

# MLflow stores a run in seven transactions, which takes 60 ms. So its rows are written here, by the classes of its own tables and
# in one transaction, as its own tool that moves old runs into a database does; tried with 3.17.2.

QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
"""The variables that keep MLflow from asking anything of the network."""
STATUS = {
    None: "RUNNING",
    TrialState.FINISHED: "FINISHED",
    TrialState.STOPPED: "KILLED",
    TrialState.DIVERGED: "FAILED",
    TrialState.FAILED: "FAILED",
}
LARGEST = sys.float_info.max
"""What MLflow keeps in place of infinity."""
LONGEST = 5000
"""The longest text that MLflow takes as a tag; it takes more as a parameter."""
ARTIFACTS = "mlflow-artifacts:/"
"""Where MLflow's server would keep files of these runs; there are none."""


def export_mlflow(results: Results, output: str, name: str | None = None) -> str:
    """Write a run as an experiment of this name into a database; return a line that says what was written."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow imports much that warns of itself
        store = _store_class()
        run = run_history(results)
        experiment = name or run.name
        write_database(output, "experiments", lambda database: _write(store, database, experiment, run))
    values = sum(len(metrics) for trial in run.trials for metrics in trial.curve.values())
    return f"the experiment {experiment!r}, {len(run.trials)} runs with {values} values of metrics"


def _store_class() -> Any:
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # 3 s, and an extra
    except ImportError:
        raise UsageError("--to mlflow needs the package mlflow-skinny: pip install 'tune-mlp[mlflow]'") from None
    for logger in ("mlflow", "alembic"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    return SqlAlchemyStore


def _write(store_class: Any, database: Database, name: str, run: RunHistory) -> None:
    from mlflow.exceptions import MlflowException

    store = None
    try:
        # The store makes the tables. MlflowClient would write the working directory into them as the place of files.
        store = store_class(database.url, ARTIFACTS)
        database.hurry(store.engine)
        _add(store, name, run)
    except MlflowException as error:
        raise StorageError(f"MLflow can't write it: {one_line(error, limit=200)}") from None
    finally:
        if store is not None:
            store.engine.dispose()
            store_class._engine_map.pop(database.url, None)  # a file that is moved isn't the one that the engine knows


def _add(store: Any, name: str, run: RunHistory) -> None:
    """Add the experiment and its runs in one transaction."""
    from mlflow.store.tracking.dbmodels import models

    with Session(store.engine) as session, session.begin():
        if (
            session.scalar(select(models.SqlExperiment.experiment_id).where(models.SqlExperiment.name == name))
            is not None
        ):
            raise UsageError(f"it has an experiment {name!r} already; name another one with --name")
        now = _milliseconds(time.time())
        experiment = models.SqlExperiment(
            name=name, lifecycle_stage="active", artifact_location=ARTIFACTS, creation_time=now, last_update_time=now
        )
        session.add(experiment)
        session.flush()
        owner = experiment.experiment_id
        experiment.artifact_location = f"{ARTIFACTS}{owner}"
        tags = [{"experiment_id": owner, "key": key, "value": _cut(fact)} for key, fact in run.facts.items()]
        session.execute(insert(models.SqlExperimentTag), tags)
        keys = _names(name for trial in run.trials for name in trial.params)
        owned = [(uuid.uuid4().hex, trial) for trial in run.trials]
        for model, make in (
            (models.SqlRun, lambda trial: [_run(trial, owner)]),
            (models.SqlTag, _tags),
            (models.SqlParam, lambda trial: _params(trial, keys)),
            (models.SqlMetric, lambda trial: _metrics(trial, run.metric)),
            (models.SqlLatestMetric, lambda trial: {row["key"]: row for row in _metrics(trial, run.metric)}.values()),
        ):
            rows = [{"run_uuid": run_id, **row} for run_id, trial in owned for row in make(trial)]
            for row in rows if model is models.SqlRun else ():
                row["artifact_uri"] = f"{ARTIFACTS}{owner}/{row['run_uuid']}/artifacts"
            if rows:
                session.execute(insert(model), rows)


def _run(trial: TrialHistory, experiment: int) -> dict[str, Any]:
    return {
        "experiment_id": experiment,
        "name": _name(trial),
        "status": STATUS[trial.state],
        "start_time": _milliseconds(trial.began),
        "end_time": None if trial.ended is None else _milliseconds(trial.ended),
        "lifecycle_stage": "active",
        "source_type": "UNKNOWN",
        "source_name": "",
        "entry_point_name": "",
        "source_version": "",
        "user_id": "",
    }


def _name(trial: TrialHistory) -> str:
    return f"trial {trial.number}"


def _tags(trial: TrialHistory) -> Iterator[dict[str, Any]]:
    for name, fact in {"mlflow.runName": _name(trial), **trial.facts}.items():
        yield {"key": name, "value": _cut(fact)}


def _params(trial: TrialHistory, keys: dict[str, str]) -> Iterator[dict[str, Any]]:
    for name, value in trial.params.items():
        yield {"key": keys[name], "value": _cut(plain(value))}


def _metrics(trial: TrialHistory, metric: str) -> Iterator[dict[str, Any]]:
    """Yield the values of all metrics, the latest of each last."""
    last = trial.ended or max(trial.times.values(), default=trial.began)
    for epoch, metrics in trial.curve.items():
        for name, value in metrics.items():
            yield _value(name, value, epoch, trial.times[epoch])
    for name, value in {**({} if trial.score is None else {f"best_{metric}": trial.score}), **trial.tested}.items():
        yield _value(name, value, trial.best_epoch or 0, last)


def _value(name: str, value: float, step: int, at: float) -> dict[str, Any]:
    kept = 0.0 if math.isnan(value) else min(max(value, -LARGEST), LARGEST)
    return {"key": name, "value": kept, "is_nan": math.isnan(value), "step": step, "timestamp": _milliseconds(at)}


def _names(params: Iterator[str]) -> dict[str, str]:
    """Return the names that MLflow takes for parameters: other characters than its own become underscores."""
    names: dict[str, str] = {}
    for param in dict.fromkeys(params):
        key = re.sub(r"[^\w\-. :/]|^[/.]+|[/.]+$|(?<=/)[/.]+|\.(?=/)", "_", param)[:240] or "_"
        names[param] = _free(key, names.values())
    return names


def _free(key: str, taken: Collection[str]) -> str:
    """Return the name, with a number where it is taken."""
    free, number = key, 1
    while free in taken:
        number += 1
        free = f"{key}_{number}"
    return free


def _cut(value: Any) -> str:
    return str(value)[:LONGEST]


def _milliseconds(at: float) -> int:
    return int(at * 1000)
