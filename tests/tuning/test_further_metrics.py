"""A study may rank by balanced accuracy, F1, ROC AUC, log loss or mean absolute error, and measure others beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.results.journals import drawn, ended, record, started, trained, winner, write
from tests.studies import Memory, study
from tune_mlp.errors import RunFolderError, StudyError
from tune_mlp.records import FURTHER_SCORES, EpochRecord
from tune_mlp.results.journal import Event
from tune_mlp.results.journal_reader import read
from tune_mlp.results.results import Results
from tune_mlp.results.tables import build_tables
from tune_mlp.tuning.run import Request, run_study


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of which one is rare."""
    generator = np.random.default_rng(0)
    kind = generator.choice(3, 400, p=[0.6, 0.33, 0.07])
    a, b = generator.normal(kind, 1.0), generator.normal(-kind, 1.5)
    path = tmp_path_factory.mktemp("data") / "t.csv"
    pd.DataFrame({"a": a, "b": b, "kind": np.array(["x", "y", "z"])[kind]}).to_csv(path, index=False)
    return path


def test_a_study_ranks_by_a_further_metric_and_shows_others_beside_it(
    table: Path, tmp_path: Path, in_process_and_on_ray: None
) -> None:
    space = {"lr": {"log": [1e-3, 0.1]}, "class_weight": {"choice": ["none", "balanced"]}, "depth": 1}
    asked = study(
        data={"name": f"csv:{table}", "target": "kind"}, space=space, trials=4, epochs=3, metric="val_roc_auc",
        measure=["val_macro_f1", "val_log_loss", "val_accuracy", "val_balanced_accuracy"],
    )  # fmt: skip
    results = run_study(asked, Request(out=tmp_path, name="r"), Memory())
    further = ["roc_auc", "macro_f1", "log_loss", "balanced_accuracy"]
    trials, best = results.trials, results.best
    assert best is not None
    assert best["best_val_roc_auc"] == trials["best_val_roc_auc"].max()
    last = list(trials.columns[trials.columns.get_loc("reason") + 1 :])
    assert last == [f"{part}_{name}" for part in ("val", "best_val", "test") for name in further]
    assert trials[[name for name in last if not name.startswith("test")]].notna().all(axis=None)
    assert set(trials["class_weight"]) <= {"none", "balanced"}
    assert list(results.epochs.columns[-5:]) == ["seconds", *(f"val_{name}" for name in further)]

    for name in ("roc_auc", "macro_f1", "log_loss", "balanced_accuracy"):
        assert f"test_{name}" in results.baselines, "baselines are measured by the same scores"
        assert 0 < best[f"test_{name}"] < 2
    again = Results.from_table(tmp_path / "r" / "trials.csv", metric="val_roc_auc")
    assert again.mode == "max"
    assert set(again.params[0]) == set(results.params[0])


def further_events(task: Any = "classification", folds: int = 1) -> list[Event]:
    names = FURTHER_SCORES[task]

    def with_scores(epoch: int, fold: int, value: float) -> EpochRecord:
        usual = record(epoch, *[0.5] * (4 if task == "classification" else 6), fold=fold, task=task)
        metrics = {**usual.metrics, **{f"val_{name}": value for name in names}}
        return EpochRecord(epoch, fold, metrics, 10, 0.5, 0.75)

    first = started(task=task, metric=f"val_{names[0]}", further=names)
    epochs = [with_scores(epoch, fold, epoch / 10 + fold / 100) for epoch in (1, 2) for fold in range(folds)]
    tested = winner(0, {"test_loss": 0.5, **{f"test_{name}": 0.25 for name in names}})
    return [first, drawn(0), trained(0, *epochs), ended(0), tested]


@pytest.mark.parametrize("task", list(FURTHER_SCORES))
def test_further_columns_stand_at_the_right(task: Any) -> None:
    trials, epochs = build_tables(further_events(task, folds=2))
    names = FURTHER_SCORES[task]
    last = [f"{part}_{name}" for part in ("val", "best_val") for name in names]
    last += [f"best_val_{name}_std" for name in names] + [f"test_{name}" for name in names]
    assert list(trials.columns[-len(last) :]) == last
    assert trials.columns[-len(last) - 1] == "reason"
    assert trials.loc[0, f"best_val_{names[0]}"] == pytest.approx(0.205)
    assert list(epochs.columns[-len(names) :]) == [f"val_{name}" for name in names]


@pytest.mark.parametrize("name", ["mae", "secret"])
def test_a_journal_with_a_score_that_the_task_lacks_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="further: must be among balanced_accuracy, macro_f1"):
        read(write(tmp_path / "journal.jsonl", [started(further=(name,))]))


def test_the_journal_keeps_further_scores(tmp_path: Path) -> None:
    assert read(write(tmp_path / "journal.jsonl", further_events())) == further_events()


def test_an_epoch_without_a_further_score_is_refused(tmp_path: Path) -> None:
    events = [started(further=("roc_auc",)), drawn(0), trained(0, record(1, 0.5, 0.5, 0.5, 0.5))]
    with pytest.raises(RunFolderError, match=r"metrics: must be .*val_roc_auc"):
        read(write(tmp_path / "journal.jsonl", events))


@pytest.mark.parametrize(
    ("task", "settings", "words"),
    [
        ("classification", {"measure": ["val_mae"]}, "got measure val_mae"),
        ("regression", {"measure": ["val_roc_auc"]}, "regression data has val_loss, val_rmse, val_r2, val_mae"),
        ("regression", {"metric": "val_log_loss"}, "got metric val_log_loss"),
        ("regression", {"space": {"class_weight": "balanced"}}, "regression data has no classes"),
        ("regression", {"space": {"class_weight": {"choice": ["none", "balanced"]}}}, "regression data has no classes"),
    ],
)
def test_a_metric_that_the_task_lacks_is_refused(task: Any, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(StudyError, match=words):
        study(**settings).bound(task)


@pytest.mark.parametrize(("metric", "mode"), [("val_roc_auc", "max"), ("val_macro_f1", "max"), ("val_log_loss", "min")])
def test_the_direction_follows_from_the_metric(metric: str, mode: str) -> None:
    bound = study(metric=metric, measure=["val_balanced_accuracy", metric]).bound("classification")
    assert bound.ranking == (metric, mode)
    assert bound.further == (metric.removeprefix("val_"), "balanced_accuracy")


def test_usual_metrics_are_measured_once() -> None:
    assert study(measure=["val_loss", "val_accuracy"]).bound("classification").further == ()
