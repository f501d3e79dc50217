"""A run as an experiment of MLflow in a database: a run for each trial, with its parameters, its metrics by epoch and its end."""

from __future__ import annotations

import logging
import os
import re
import secrets
import warnings
from collections.abc import Collection, Iterator
from typing import Any

from tune_mlp.errors import StorageError, UsageError, one_line
from tune_mlp.exports.database import Database, write_database
from tune_mlp.exports.trial_history import RunHistory, TrialHistory, plain, run_history
from tune_mlp.records import TrialState
from tune_mlp.results.results import Results

QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
"""The variables that keep MLflow from asking anything of the network."""
STATUS = {
    None: "RUNNING",
    TrialState.FINISHED: "FINISHED",
    TrialState.STOPPED: "KILLED",
    TrialState.DIVERGED: "FAILED",
    TrialState.FAILED: "FAILED",
}
TOGETHER = 800
"""The metrics of one call; MLflow takes 1,000 values, parameters among them."""
PARAMS_TOGETHER = 100
"""The parameters of one call; MLflow takes no more."""
LONGEST = {"params": 6000, "tags": 5000}
"""The longest values that MLflow takes."""
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
        # The store itself, as MlflowClient would write the working directory into the database as the place of files.
        store = store_class(database.url, ARTIFACTS)
        database.hurry(store.engine)
        _add(store, name, run)
    except MlflowException as error:
        if error.error_code == "RESOURCE_ALREADY_EXISTS":
            raise UsageError(f"it has an experiment {name!r} already; give another --name") from None
        raise StorageError(f"MLflow can't write it: {one_line(error, limit=200)}") from None
    finally:
        if store is not None:
            store.engine.dispose()
            store_class._engine_map.pop(database.url, None)  # a file that is moved isn't the one that the engine knows


def _add(store: Any, name: str, run: RunHistory) -> None:
    """Add the experiment under a passing name, and give it its own at the end."""
    from mlflow.entities import ExperimentTag
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS

    if store.get_experiment_by_name(name) is not None:
        raise MlflowException(name, RESOURCE_ALREADY_EXISTS)
    passing = f"{name[:80]} (unfinished {secrets.token_hex(4)})"
    tags = [ExperimentTag(key, _cut(fact, "tags")) for key, fact in run.facts.items()]
    experiment = store.create_experiment(passing, tags=tags)
    try:
        keys = _names(name for trial in run.trials for name in trial.params)
        for trial in run.trials:
            _add_trial(store, experiment, run.metric, trial, keys)
        store.rename_experiment(experiment, name)
    except BaseException:
        store.delete_experiment(experiment)
        raise


def _add_trial(store: Any, experiment: str, metric: str, trial: TrialHistory, keys: dict[str, str]) -> None:
    from mlflow.entities import Metric, Param, RunStatus, RunTag

    tags = [RunTag(key, _cut(fact, "tags")) for key, fact in trial.facts.items()]
    began, ended = _milliseconds(trial.began), None if trial.ended is None else _milliseconds(trial.ended)
    made = store.create_run(experiment, "", began, tags, f"trial {trial.number}").info.run_id
    params = [Param(keys[name], _cut(plain(value), "params")) for name, value in trial.params.items()]
    last = ended or _milliseconds(max(trial.times.values(), default=trial.began))
    values = [
        Metric(name, value, _milliseconds(trial.times[epoch]), epoch)
        for epoch, metrics in trial.curve.items()
        for name, value in metrics.items()
    ]
    final = {**({} if trial.score is None else {f"best_{metric}": trial.score}), **trial.tested}
    values += [Metric(name, value, last, trial.best_epoch or 0) for name, value in final.items()]
    for start in range(0, max(len(values), 1), TOGETHER):
        store.log_batch(made, values[start : start + TOGETHER], params[:PARAMS_TOGETHER] if start == 0 else [], [])
    for start in range(PARAMS_TOGETHER, len(params), PARAMS_TOGETHER):
        store.log_batch(made, [], params[start : start + PARAMS_TOGETHER], [])
    if trial.state is not None:
        store.update_run_info(made, RunStatus.from_string(STATUS[trial.state]), ended, None)


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


def _cut(value: Any, what: str) -> str:
    return str(value)[: LONGEST[what]]


def _milliseconds(at: float) -> int:
    return int(at * 1000)
