"""The export to MLflow: what MLflow's own client says of it is what the run says."""

from __future__ import annotations

import io
import json
import math
import os
import socket
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from tests.exports.runs import a_run
from tests.results.journals import AT, decided, drawn, ended, record, started, trained, trial
from tune_mlp.errors import StorageError, UsageError
from tune_mlp.exports import mlflow_runs
from tune_mlp.exports.mlflow_runs import export_mlflow
from tune_mlp.results.results import Results

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own imports


class Read:
    """An experiment as MLflow's client reads it."""

    def __init__(self, path: Path, name: str) -> None:
        from mlflow.tracking import MlflowClient

        self.client: Any = MlflowClient(f"sqlite:///{path}")
        self.experiment = self.client.get_experiment_by_name(name)
        found = self.client.search_runs([self.experiment.experiment_id], max_results=1000)
        self.runs = sorted(found, key=lambda run: int(run.data.tags["trial"]))

    def history(self, trial: int, metric: str) -> list[tuple[int, float]]:
        found = self.client.get_metric_history(self.runs[trial].info.run_id, metric)
        return sorted((one.step, one.value) for one in found)


def written(results: Results, path: Path, name: str = "study") -> Read:
    export_mlflow(results, f"sqlite:///{path}", name)
    return Read(path, name)


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> tuple[Results, Read, Path]:
    """A run with every kind of trial, as MLflow reads it. Any request to the network fails the export."""
    folder = tmp_path_factory.mktemp("mlflow") / "a-working-directory"
    folder.mkdir()
    results, said = a_run(folder.parent / "run"), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said), redirect_stderr(said):
        patch.chdir(folder)
        patch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a request"))
        export_mlflow(results, "m.db", "study")
    assert said.getvalue() == ""
    assert os.listdir(folder) == ["m.db"]
    assert b"a-working-directory" not in (folder / "m.db").read_bytes()
    return results, Read(folder / "m.db", "study"), folder


def test_mlflow_reads_the_same_trials_states_best_and_values(exported) -> None:
    results, read, _ = exported
    assert [run.info.status for run in read.runs] == ["FINISHED", "KILLED", "FAILED", "FAILED"]
    best = read.client.search_runs(
        [read.experiment.experiment_id],
        order_by=["metrics.best_val_accuracy DESC"],
        filter_string="attributes.status = 'FINISHED'",
        max_results=1,
    )[0]
    assert results.best is not None
    assert (int(best.data.tags["trial"]), best.data.metrics["best_val_accuracy"]) == (
        0,
        results.best["best_val_accuracy"],
    )
    assert read.history(0, "val_accuracy") == [(1, 0.5), (2, 0.75), (3, 0.7)]
    assert math.isnan(dict(read.history(2, "val_accuracy"))[2])
    names = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
    count = sum(len(read.history(n, name)) for n, run in enumerate(read.runs) for name in names)
    assert count == 4 * len(results.epochs) == 24
    assert read.runs[0].data.metrics["test_accuracy"] == 0.8125


def test_a_run_has_its_parameters_tags_and_times(exported) -> None:
    _, read, _ = exported
    first, second, _, failed = read.runs
    assert first.data.params == {"lr": "0.1", "optimizer": "sgd", "optimizer.sgd.momentum": "0.9"}
    assert second.data.params == {"lr": "0.0001", "optimizer": "adam", "widths": "[64, 128]"}
    assert (first.info.start_time, first.info.end_time) == ((AT + 2) * 1000, (AT + 6) * 1000)
    assert first.data.tags["seed"] == str(2**62)
    assert failed.data.tags["error"].startswith("RuntimeError")
    assert read.experiment.tags["fingerprint"] == "abc"
    assert read.experiment.tags["metric"] == "val_accuracy"


def test_the_experiments_own_table_reads_back_as_the_same_trials(exported) -> None:
    import mlflow

    results, _, folder = exported
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'm.db'}")
    back = Results.from_table(mlflow.search_runs(experiment_names=["study"]), "metrics.best_val_accuracy")
    trials = back.trials.set_index("trial").sort_index()
    ended = {"finished": "finished", "stopped": "stopped", "diverged": "failed", "failed": "failed"}
    assert list(trials["state"]) == [ended[state] for state in results.trials["state"]]
    assert list(trials["metrics.best_val_accuracy"])[:3] == list(results.trials["best_val_accuracy"])[:3]
    assert back.mode == "max"
    plain = {
        n: {name: str(v) if isinstance(v, list) else v for name, v in p.items()} for n, p in results.params.items()
    }
    assert back.params == plain


def test_an_experiment_that_is_there_is_refused_and_half_an_export_leaves_nothing(exported, monkeypatch) -> None:
    results, _, folder = exported
    with pytest.raises(UsageError, match="it has an experiment 'study' already; name another one with --name"):
        written(results, folder / "m.db")
    with monkeypatch.context() as patch:
        patch.setattr(mlflow_runs, "plain", lambda value: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            written(results, folder / "m.db", "next")
    read = written(results, folder / "m.db", "next")
    from mlflow.entities import ViewType

    found = read.client.search_experiments(view_type=ViewType.ALL)
    assert {one.name for one in found} == {"Default", "study", "next"}
    assert len(read.runs) == 4


def test_many_parameters_long_curves_odd_names_and_changes_are_taken(exported, tmp_path: Path) -> None:
    _, _, folder = exported
    params = {"lr": 0.1, **{f"p{n}": n for n in range(130)}, "a#b": 1, "a$b": 2, "/x/../y": "long" * 9000}
    events = [
        started(),
        drawn(0, params | {"lr": 0.2}),
        trained(0, *(record(n, 0.5, 0.5, math.inf, 0.5) for n in range(1, 501))),
        decided(0, 500, decision="exploit", donor=1),
        drawn(0, params),
        ended(0),
        drawn(1, {}),
    ]
    read = written(a_run(tmp_path / "run", events, None), folder / "m.db", "odd")
    done, open_ = read.runs
    assert len(read.history(0, "val_loss")) == 500
    assert [run.info.status for run in read.runs] == ["FINISHED", "RUNNING"]
    assert open_.info.end_time is None
    assert len(done.data.params) == 134
    assert (done.data.params["a_b"], done.data.params["a_b_2"]) == ("1", "2")
    assert json.loads(done.data.tags["changes"])[0]["before"] == 0.2


def test_a_missing_package_and_a_bad_place_are_said_in_one_line(tmp_path: Path, monkeypatch) -> None:
    results = a_run(tmp_path / "run", [started(), *trial(0, 0.5)])
    (tmp_path / "text.db").write_text("no database " * 99)
    for output, error, words in (
        (f"sqlite:///{tmp_path}/text.db", UsageError, "is no SQLite database"),
        ("/proc/m.db", StorageError, "can't be written"),
        ("nosuch://host/db", StorageError, "MLflow can't write it|can't be written"),
    ):
        with pytest.raises(error, match=words) as caught:
            export_mlflow(results, output)
        assert "\n" not in str(caught.value)
    monkeypatch.setitem(sys.modules, "mlflow.store.tracking.sqlalchemy_store", None)
    with pytest.raises(UsageError, match=r"pip install 'tune-mlp\[mlflow\]'"):
        export_mlflow(results, "m.db")
