"""The export to Optuna: what Optuna itself and a real optuna-dashboard say of it is what the run says."""

from __future__ import annotations

import json
import math
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from wsgiref.simple_server import WSGIRequestHandler, make_server

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

from tests.exports.runs import a_run
from tests.results.journals import AT, decided, drawn, ended, record, started, trained, trial
from tune_mlp.errors import StorageError, UsageError
from tune_mlp.exports import optuna_study
from tune_mlp.exports.optuna_study import export_optuna
from tune_mlp.results.results import Results


@cache
def empty_database() -> bytes:
    """Return a database that Optuna made and that has no study; its tables take Optuna a second."""
    with TemporaryDirectory() as folder:
        optuna.storages.RDBStorage(f"sqlite:///{folder}/empty.db").engine.dispose()
        return Path(folder, "empty.db").read_bytes()


def exported(results: Results, folder: Path, name: str = "study") -> optuna.Study:
    url = f"sqlite:///{folder}/study.db"
    if not (folder / "study.db").exists():
        (folder / "study.db").write_bytes(empty_database())
    export_optuna(results, url, name)
    return optuna.load_study(study_name=name, storage=url)


def test_optuna_reads_the_same_trials_states_best_and_intermediate_values(tmp_path: Path) -> None:
    results = a_run(tmp_path / "run")
    study = exported(results, tmp_path)
    states = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.FAIL]
    assert [one.state for one in study.trials] == states
    assert [one.number for one in study.trials] == [0, 1, 2, 3]
    assert results.best is not None
    assert (study.best_trial.number, study.best_value) == (results.best["trial"], results.best["best_val_accuracy"])
    assert study.trials[0].intermediate_values == {1: 0.5, 2: 0.75, 3: 0.7}
    assert study.trials[2].intermediate_values[1] == 0.9
    assert math.isnan(study.trials[2].intermediate_values[2])
    assert sum(len(one.intermediate_values) for one in study.trials) == len(results.epochs) == 6
    assert study.direction is optuna.study.StudyDirection.MAXIMIZE
    assert study.metric_names == ["val_accuracy"]
    facts = study.user_attrs
    assert (facts["metric"], facts["fingerprint"], facts["dataset"], facts["best_trial"]) == (
        "val_accuracy",
        "abc",
        "mnist",
        0,
    )


def test_a_trial_has_its_parameters_with_the_spaces_distributions_and_its_facts(tmp_path: Path) -> None:
    first, second, _, failed = exported(a_run(tmp_path / "run"), tmp_path).trials
    assert first.params == {"lr": 0.1, "optimizer": "sgd", "optimizer.sgd.momentum": 0.9}
    assert first.distributions == {
        "lr": FloatDistribution(1e-4, 0.1, log=True),
        "optimizer": CategoricalDistribution(["sgd", "adam"]),
        "optimizer.sgd.momentum": FloatDistribution(0.0, 0.99),
    }
    assert second.params == {"lr": 1e-4, "optimizer": "adam", "widths": "[64, 128]"}
    assert first.user_attrs["weights"] == 650
    assert first.user_attrs["best_epoch"] == 2
    assert first.user_attrs["seed"] == 2**62
    assert first.user_attrs["test_accuracy"] == 0.8125
    assert "RuntimeError" in failed.user_attrs["error"]


def test_a_trial_begins_and_ends_when_the_journal_says(tmp_path: Path) -> None:
    first = exported(a_run(tmp_path / "run"), tmp_path).trials[0]
    assert (first.datetime_start, first.datetime_complete) == (
        datetime.fromtimestamp(AT + 2),
        datetime.fromtimestamp(AT + 6),
    )


@contextmanager
def dashboard(url: str) -> Iterator[str]:
    """Serve a real optuna-dashboard on the loopback."""
    from optuna_dashboard import wsgi

    class Quiet(WSGIRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    with make_server("127.0.0.1", 0, wsgi(url), handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def a_search(trials: int) -> list:
    rng = np.random.default_rng(0)
    events = [started()]
    for number in range(trials):
        lr = float(10 ** rng.uniform(-4, -1))
        accuracy = 0.9 + math.log10(lr) / 10
        events += trial(number, accuracy - 0.1, accuracy, params={"lr": lr, "optimizer": ["sgd", "adam"][number % 2]})
    return events


@pytest.mark.filterwarnings("ignore")  # the dashboard's own
def test_a_real_dashboard_and_optunas_importance_run_on_it(tmp_path: Path) -> None:
    study = exported(a_run(tmp_path / "run", a_search(30)), tmp_path)
    importance = optuna.importance.get_param_importances(
        study, evaluator=optuna.importance.FanovaImportanceEvaluator(n_trees=8, seed=0)
    )
    assert importance["lr"] > 0.9
    with dashboard(f"sqlite:///{tmp_path}/study.db") as address:

        def ask(path: str) -> dict:
            with urllib.request.urlopen(f"{address}/api/{path}", timeout=20) as answer:
                return json.load(answer)

        listed = ask("studies")["study_summaries"][0]
        assert (listed["study_name"], listed["directions"]) == ("study", ["maximize"])
        shown = ask(f"studies/{listed['study_id']}")
    assert Counter(one["state"] for one in shown["trials"]) == {"Complete": 30}
    assert sum(len(one["intermediate_values"]) for one in shown["trials"]) == 60
    assert [one["number"] for one in shown["best_trials"]] == [study.best_trial.number]
    assert shown["best_trials"][0]["values"] == [study.best_value]


def test_the_studys_own_table_reads_back_as_the_same_trials(tmp_path: Path) -> None:
    results = a_run(tmp_path / "run", a_search(12))
    back = Results.from_table(exported(results, tmp_path).trials_dataframe())
    assert (back.metric, back.mode) == ("value_val_accuracy", "max")
    assert back.params == results.params
    assert list(back.trials["value_val_accuracy"]) == list(results.trials["best_val_accuracy"])
    assert list(back.trials["state"]) == list(results.trials["state"])


def test_an_open_trial_is_running_and_a_trial_without_an_epoch_has_no_value(tmp_path: Path) -> None:
    events = [started(), drawn(0), trained(0, record(1, 0.5, 0.5, 0.5, 0.5)), drawn(1), drawn(2), ended(2)]
    first, second, third = exported(a_run(tmp_path / "run", events), tmp_path).trials
    assert (first.state, first.intermediate_values, first.value) == (TrialState.RUNNING, {1: 0.5}, 0.5)
    assert (second.state, second.datetime_complete) == (TrialState.RUNNING, None)
    assert (third.state, third.value) == (TrialState.FAIL, None)


def test_folds_are_averaged_and_small_is_better_in_regression(tmp_path: Path) -> None:
    def fold(epoch: int, number: int, rmse: float):
        return record(epoch, 1, 1, 0, 1, rmse, 0, fold=number, task="regression")

    events = [
        started(task="regression", metric="val_rmse", mode="min", classes=0),
        drawn(0),
        trained(0, fold(1, 0, 4.0), fold(1, 1, 6.0), fold(2, 0, 1.0), fold(2, 1, math.inf)),
        ended(0),
    ]
    study = exported(a_run(tmp_path / "run", events), tmp_path)
    assert study.direction is optuna.study.StudyDirection.MINIMIZE
    assert study.trials[0].intermediate_values == {1: 5.0, 2: math.inf}
    assert study.best_value == 5.0


def test_settings_that_population_based_training_changed_are_the_last_ones(tmp_path: Path) -> None:
    events = [
        started(),
        *trial(1, 0.6, params={"lr": 0.01, "optimizer": "adam"}),
        drawn(0, {"lr": 0.1, "optimizer": "adam"}),
        trained(0, record(1, 0.5, 0.5, 0.5, 0.5)),
        decided(0, 1, decision="exploit", donor=1, scheduler="pbt"),
        drawn(0, {"lr": 0.12, "optimizer": "adam"}),
        trained(0, record(2, 0.5, 0.5, 0.5, 0.7)),
        ended(0),
    ]
    first = exported(a_run(tmp_path / "run", events), tmp_path).trials[0]
    assert first.params["lr"] == 0.12  # beyond the space's 0.1
    assert first.distributions["lr"] == FloatDistribution(1e-4, 0.12, log=True)
    (change,) = json.loads(first.user_attrs["changes"])
    assert change == {"epoch": 1, "donor": 1, "parameter": "lr", "before": 0.1, "after": 0.12}
    assert first.intermediate_values == {1: 0.5, 2: 0.7}


def test_a_study_that_is_there_is_refused_and_another_name_is_added(tmp_path: Path) -> None:
    results = a_run(tmp_path / "run")
    exported(results, tmp_path)
    with pytest.raises(UsageError, match="it has a study 'study' already; name another one with --name"):
        exported(results, tmp_path)
    exported(results, tmp_path, "other")
    url = f"sqlite:///{tmp_path}/study.db"
    assert sorted(optuna.get_all_study_names(url)) == ["other", "study"]
    assert [len(optuna.load_study(study_name=name, storage=url).trials) for name in ("study", "other")] == [4, 4]


@pytest.mark.parametrize("new", [True, False])
def test_an_export_that_fails_half_way_leaves_no_half_study(tmp_path: Path, monkeypatch, new: bool) -> None:
    results, url = a_run(tmp_path / "run"), f"sqlite:///{tmp_path}/study.db"
    if not new:
        exported(results, tmp_path, "before")

    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(optuna_study, "_intermediate", broken)
    with pytest.raises(KeyboardInterrupt):
        export_optuna(results, url, "study")
    files = {"run"} if new else {"run", "study.db"}
    assert {path.name for path in tmp_path.iterdir()} == files
    if not new:
        assert optuna.get_all_study_names(url) == ["before"]


def test_a_place_that_is_no_database_is_refused_in_one_line(tmp_path: Path) -> None:
    results = a_run(tmp_path / "run")
    (tmp_path / "text.db").write_text("no database, but some words that are long enough to have a header" * 9)
    (tmp_path / "folder.db").mkdir()
    pd.DataFrame({"a": [1]}).to_sql("other", f"sqlite:///{tmp_path}/other.db")
    for output, error, words in (
        (f"sqlite:///{tmp_path}/text.db", UsageError, "is no SQLite database"),
        (f"sqlite:///{tmp_path}/folder.db", UsageError, "is no file"),
        (f"sqlite:///{tmp_path}/other.db", UsageError, "is a database of something else"),
        (f"sqlite:///{tmp_path}/no/study.db", UsageError, "there is no folder"),
        ("sqlite://", UsageError, "name a file"),
        ("nosuch://host/db", StorageError, "can't be written"),
        ("/proc/study.db", StorageError, "can't be written"),
    ):
        with pytest.raises(error, match=words) as caught:
            export_optuna(results, output, "study")
        assert "\n" not in str(caught.value)
    assert (tmp_path / "text.db").read_text().startswith("no database")
