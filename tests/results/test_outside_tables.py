"""Tables of trials from our own files, Ray Tune, Optuna, W&B and anywhere else become Results."""

from __future__ import annotations

import io
import math
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.results.journals import a_study
from tune_mlp import Results
from tune_mlp.errors import DataError, RunFolderError, UsageError
from tune_mlp.results.export import export
from tune_mlp.results.outside_tables import EXACT
from tune_mlp.results.tables import build_tables

RAY_TUNE = """\
val_loss,val_acc,timestamp,checkpoint_dir_name,done,training_iteration,trial_id,date,time_this_iter_s,time_total_s,pid,hostname,node_ip,time_since_restore,iterations_since_restore,config/lr,config/optimizer,config/width,logdir
0.31,0.91,1700000000,,True,10,a1,2026-01-01,0.1,1.0,11,host,127.0.0.1,1.0,10,0.1,sgd,64,a1
0.25,0.93,1700000001,,True,10,a2,2026-01-01,0.1,1.0,11,host,127.0.0.1,1.0,10,0.01,adam,32,a2
,,1700000002,,True,1,a3,2026-01-01,0.1,1.0,11,host,127.0.0.1,1.0,1,10.0,sgd,,a3
"""
OPTUNA = """\
number,value,datetime_start,datetime_complete,duration,params_lr,params_momentum,params_optimizer,user_attrs_note,state
0,0.31,2026-01-01 10:00:00,2026-01-01 10:00:01,0 days 00:00:01,0.1,0.9,sgd,,COMPLETE
1,0.45,2026-01-01 10:00:00,2026-01-01 10:00:01,0 days 00:00:01,0.2,,adam,,PRUNED
2,,2026-01-01 10:00:00,2026-01-01 10:00:01,0 days 00:00:01,0.3,,adam,,FAIL
3,0.12345678901234567,2026-01-01 10:00:00,2026-01-01 10:00:01,0 days 00:00:01,0.4,0.5,sgd,,COMPLETE
"""
WANDB = """\
"Name","State","Notes","User","Tags","Created","Runtime","Sweep","lr","batch_size","optimizer","epoch_time","val_loss","val_accuracy","_step"
"calm-sun-1","finished","-","me","","2026-01-01T10:00:00.000Z","12","s1","0.1","32","sgd","1.5","0.3","0.90","10"
"wild-sea-2","crashed","-","me","","2026-01-01T10:00:00.000Z","3","s1","3.0","64","sgd","","","","2"
"mild-fog-3","finished","-","me","","2026-01-01T10:00:00.000Z","12","s1","0.01","64","adam","1.4","0.2","0.95","10"
"""
UNKNOWN = "learning,depth,loss\n0.1,2,0.5\n0.2,3,0.4\n"


def table(text: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text), **EXACT)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_our_own_table_is_taken_as_it_is(kind: str, tmp_path: Path) -> None:
    trials, _ = build_tables(a_study())
    export(trials, tmp_path / f"trials.{kind}", kind)
    results = Results.from_table(tmp_path / f"trials.{kind}")
    assert (results.metric, results.mode) == ("val_accuracy", "max")
    assert list(results.trials.columns) == list(trials.columns)
    assert set(results.parameters) == {"lr", "widths", "optimizer", "optimizer.sgd.momentum"}
    assert list(results.trials["trial"]) == list(trials["trial"])
    assert results.best is not None
    assert repr(results) == f"<Results {tmp_path / f'trials.{kind}'}: {results.summary}>"
    assert "<table" in results._repr_html_()


def test_mlflows_runs_are_read_with_parameters_that_are_numbers_as_such() -> None:
    frame = pd.DataFrame(
        {
            "run_id": ["a", "b", "c"],
            "status": ["FINISHED", "KILLED", "FAILED"],
            "metrics.val_loss": [0.5, 0.25, math.nan],
            "metrics.acc": [0.5, 0.75, math.nan],
            "params.lr": ["0.1", "1e-4", "3"],
            "params.width": ["64", None, "128"],
            "params.act": ["relu", "1", "tanh"],
            "tags.trial": ["x", "y", "z"],
        }
    )
    results = Results.from_table(frame, "metrics.val_loss")
    assert results.params == {
        0: {"lr": 0.1, "width": 64, "act": "relu"},
        1: {"lr": 1e-4, "act": "1"},
        2: {"lr": 3.0, "width": 128, "act": "tanh"},
    }
    assert list(results.trials["state"]) == ["finished", "stopped", "failed"]
    assert results.best is not None
    assert (results.mode, results.best["trial"]) == ("min", 1)


def test_ray_tunes_table_has_its_parameters_without_their_mark(tmp_path: Path) -> None:
    (tmp_path / "ray.csv").write_text(RAY_TUNE)
    results = Results.from_table(tmp_path / "ray.csv", metric="val_acc")
    assert results.mode == "max"
    assert results.params == {
        0: {"lr": 0.1, "optimizer": "sgd", "width": 64.0},
        1: {"lr": 0.01, "optimizer": "adam", "width": 32.0},
        2: {"lr": 10.0, "optimizer": "sgd"},
    }
    assert list(results.trials["state"]) == ["finished", "finished", "failed"]
    assert results.best is not None
    assert results.best["trial"] == 1
    assert "config/lr" not in results.trials.columns
    with pytest.raises(UsageError, match=r"ray.csv: metric: name the column .*; the table has val_loss, val_acc"):
        Results.from_table(tmp_path / "ray.csv")


def test_optunas_table_keeps_numbers_and_states_and_asks_for_the_mode() -> None:
    frame = table(OPTUNA)
    with pytest.raises(UsageError, match="mode: say whether a small value is good"):
        Results.from_table(frame)
    results = Results.from_table(frame, mode="min")
    assert results.metric == "value"
    assert list(results.trials["state"]) == ["finished", "stopped", "failed", "finished"]
    assert results.best is not None
    assert (results.best["trial"], results.best["value"]) == (3, 0.12345678901234567)
    assert results.params[1] == {"lr": 0.2, "optimizer": "adam"}
    assert results.parameters == ["lr", "momentum", "optimizer"]


def test_the_states_of_optunas_own_frame_are_known() -> None:
    frame = table(OPTUNA)
    frame["state"] = "TrialState." + frame["state"]
    assert list(Results.from_table(frame, mode="min").trials["state"])[1:3] == ["stopped", "failed"]


def test_wandbs_export_tells_metrics_from_parameters_by_their_words() -> None:
    results = Results.from_table(table(WANDB))
    assert (results.metric, results.mode) == ("val_accuracy", "max")
    assert results.parameters == ["lr", "batch_size", "optimizer", "epoch_time"]
    assert list(results.trials["state"]) == ["finished", "failed", "finished"]
    named = Results.from_table(table(WANDB), params=["lr", "batch_size", "optimizer"])
    assert named.parameters == ["lr", "batch_size", "optimizer"]
    assert named.best is not None
    assert named.best["trial"] == 2


def test_any_other_table_asks_for_its_parameters() -> None:
    with pytest.raises(UsageError, match="params: the table isn't one of tune_mlp, Ray Tune, Optuna, MLflow or W&B"):
        Results.from_table(table(UNKNOWN))
    results = Results.from_table(table(UNKNOWN), params=["learning", "depth"])
    assert (results.metric, results.mode) == ("loss", "min")
    assert results.params == {0: {"learning": 0.1, "depth": 2}, 1: {"learning": 0.2, "depth": 3}}
    assert type(results.params[0]["depth"]) is int


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        (OPTUNA, {"metric": "valu"}, r"no metric 'valu' \(did you mean 'value'\?\)"),
        (OPTUNA, {"mode": "best"}, "mode: must be min or max, got 'best'"),
        (OPTUNA, {"mode": "min", "params": ["lrr"]}, "params: the table has no column 'lrr'"),
        (OPTUNA.replace("PRUNED", "LOST"), {"mode": "min"}, "holds 'LOST', which is no state of a trial"),
        (OPTUNA.replace("\n1,", "\n0,"), {"mode": "min"}, "must hold each trial's own number"),
        (OPTUNA.splitlines()[0], {"mode": "min"}, "the table has no trials"),
        (UNKNOWN, {"params": ["learning"], "metric": "nothing"}, "no metric 'nothing'"),
        (UNKNOWN.replace("loss", "state"), {"params": ["learning"]}, "metric: name|mode: say"),
        (RAY_TUNE.replace("config/lr", "config/trial"), {"metric": "val_acc"}, "a parameter is named 'trial'"),
    ],
)
def test_a_table_that_says_too_little_is_answered_in_one_line(text: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises((UsageError, DataError), match=said) as error:
        Results.from_table(table(text), **options)
    assert "\n" not in str(error.value)


def test_words_in_a_column_of_numbers_are_told_in_a_note() -> None:
    frame = table(OPTUNA).assign(params_lr=["0.1", "n/a", "0.3", "0.4"])
    results = Results.from_table(frame, mode="min")
    note = "lr has 1 value that is no number ('n/a'), so all its values are taken as names"
    assert results.notes == (note,)
    assert note in results.importance().attrs["notes"]
    assert note in results.advice().attrs["notes"]
    frame = table(UNKNOWN).assign(loss=["0.5", "lost"])
    results = Results.from_table(frame, "loss", params=["learning"])
    assert results.notes == ("loss has 1 value that is no number ('lost'), so these trials have no value",)


@pytest.mark.parametrize(
    "values", [["sgd", "adam", "sgd", "1"], [0.1, None, 0.2, 0.3], [True, False, True, True], ["1", "2", "3", "inf"]]
)
def test_a_column_of_names_or_of_numbers_alone_has_no_note(values: list[Any]) -> None:
    assert Results.from_table(table(OPTUNA).assign(params_lr=values), mode="min").notes == ()


def test_a_file_with_two_columns_of_one_name_is_refused_in_one_line(tmp_path: Path) -> None:
    """Pandas would name the second one loss.1 and say nothing."""
    path = tmp_path / "trials.csv"
    for text in ("learning,loss,loss\n0.1,0.5,0.4\n", '\ufeff\n"loss","a,b",loss\n0.1,0.5,0.4\n'):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(DataError, match=r"^\S+trials.csv has two columns named 'loss'$"):
            Results.from_table(path, params=["learning"])
    path.write_text(f"learning,{'loss' * 50_000}\n0.1,0.5\n")
    with pytest.raises(DataError, match=r"isn't a table: .*field larger than field limit"):
        Results.from_table(path, params=["learning"])


def test_a_metric_without_numbers_is_refused() -> None:
    frame = table(UNKNOWN).assign(loss=math.nan)
    with pytest.raises(DataError, match="holds no number"):
        Results.from_table(frame, metric="loss", params=["learning"])


@pytest.mark.timeout(60)
def test_only_a_regular_file_is_read_as_a_table(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and no more")
    for name, said in (("pipe.csv", "a pipe"), ("none.csv", "No such file"), ("bad.parquet", "isn't a table")):
        with pytest.raises(DataError, match=f"{name}: .*{said}"):
            Results.from_table(tmp_path / name)


def test_what_needs_a_folder_asks_for_one() -> None:
    results = Results.from_table(table(UNKNOWN), metric="loss", params=["learning"])
    assert results.epochs.empty
    assert results.changes.empty
    assert results.stand_in_for == ""
    for read in (lambda: results.path, lambda: results.where, lambda: results.steps):
        with pytest.raises(RunFolderError, match="a data frame is a table alone: this needs a run's folder"):
            read()


def test_numeric_columns_named_trial_and_state_are_no_trials_numbers_and_states() -> None:
    scores = [0.1, 0.9, 0.5]
    frame = pd.DataFrame({"lr": [1.0, 2.0, 3.0], "accuracy": scores, "trial": [3, 2, 1], "state": [7, 8, 9]})
    results = Results.from_table(frame, "accuracy", params=["lr"])
    assert list(results.trials["trial"]) == [0, 1, 2]
    assert set(results.trials["state"]) == {"finished"}
    assert [results.params[trial]["lr"] for trial in results.ranked["trial"]] == [2.0, 3.0, 1.0]


def test_lists_of_a_parquet_file_are_values(tmp_path: Path) -> None:
    frame = pd.DataFrame({"widths": [[64], [64, 32], [16]], "accuracy": [0.1, 0.2, 0.3]})
    frame.to_parquet(tmp_path / "t.parquet")
    results = Results.from_table(tmp_path / "t.parquet", params=["widths"])
    assert results.params[1] == {"widths": [64, 32]}


@pytest.mark.parametrize(
    ("params", "metric", "said"),
    [
        ([], "accuracy", "params: name at least one column that is a parameter"),
        (["lr", "accuracy"], "accuracy", "metric: 'accuracy' is named as a parameter, too"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(params: list[str], metric: str, said: str) -> None:
    frame = pd.DataFrame({"lr": [1.0, 2.0], "accuracy": [0.1, 0.2]})
    with pytest.raises(UsageError) as caught:
        Results.from_table(frame, metric, params=params)
    assert str(caught.value) == said


def test_a_table_of_300_parameters_is_read_without_a_warning() -> None:
    frame = pd.DataFrame({f"p{i}": range(5) for i in range(300)} | {"accuracy": [0.1] * 5})
    assert len(Results.from_table(frame, params=[f"p{i}" for i in range(300)]).parameters) == 300
