from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.results.journals import a_study, drawn, ended, record, started, trained, trial, winner
from tune_mlp.errors import RunFolderError, UsageError
from tune_mlp.records import EpochRecord
from tune_mlp.results.journal import Drawn, Event, Param
from tune_mlp.results.tables import build_tables, rank

CLASSIFICATION = (
    "trial state epochs steps seconds train_seconds train_loss train_accuracy val_loss val_accuracy best_epoch "
    "best_val_loss best_val_accuracy test_loss test_accuracy weights engine seed node error"
)
REGRESSION = (
    "trial state epochs steps seconds train_seconds train_loss train_rmse train_r2 val_loss val_rmse val_r2 best_epoch "
    "best_val_loss best_val_rmse best_val_r2 test_loss test_rmse test_r2 weights engine seed node error"
)


def trials_of(events: Sequence[Event]) -> pd.DataFrame:
    return build_tables(events)[0]


@pytest.mark.parametrize(("task", "columns"), [("classification", CLASSIFICATION), ("regression", REGRESSION)])
def test_the_trials_table_has_the_contracts_columns_in_order(task: str, columns: str) -> None:
    events: list[Event] = [
        started(task=task),
        drawn(0, {"lr": 0.1, "depth": 2}),
        drawn(1, {"depth": 1, "optimizer.sgd.momentum": 0.5}),
    ]
    assert list(trials_of(events)) == [*columns.split(), "lr", "depth", "optimizer.sgd.momentum", "reason"]


@pytest.mark.parametrize(
    ("task", "columns"),
    [
        ("classification", "trial epoch train_loss train_accuracy val_loss val_accuracy seconds"),
        ("regression", "trial epoch train_loss train_rmse train_r2 val_loss val_rmse val_r2 seconds"),
    ],
)
@pytest.mark.parametrize("folds", [1, 3])
def test_the_epochs_table_has_the_contracts_columns_in_order(task: str, columns: str, folds: int) -> None:
    values = range(len(columns.split()) - 3)
    records = [record(1, *values, fold=fold, task=task) for fold in range(folds)]
    epochs = build_tables([started(task=task), drawn(0), trained(0, *records)])[1]
    assert list(epochs) == (columns.replace("epoch ", "epoch fold ") if folds > 1 else columns).split()
    assert len(epochs) == folds


def test_a_trial_has_its_last_and_its_best_epoch() -> None:
    row = trials_of(a_study()).iloc[0]
    assert (row["state"], row["epochs"], row["steps"], row["seconds"], row["train_seconds"]) == (
        "finished",
        3,
        30,
        9.25,
        1.5,
    )
    assert (row["train_loss"], row["train_accuracy"], row["val_loss"], row["val_accuracy"]) == (1 / 3, 0.5, 2 / 3, 0.7)
    assert (row["best_epoch"], row["best_val_loss"], row["best_val_accuracy"]) == (2, 1.0, 0.75)
    assert (row["test_loss"], row["test_accuracy"]) == (0.25, 0.8125)
    assert (row["weights"], row["engine"], row["seed"], row["node"], row["error"]) == (650, "eager", 2**62, "head", "")


def test_best_follows_the_studys_metric() -> None:
    table = trials_of([started(metric="val_loss", mode="min"), *trial(0, 0.9, 0.5)])
    assert (table["best_epoch"][0], table["best_val_loss"][0], table["best_val_accuracy"][0]) == (2, 1.0, 0.5)


def test_of_equal_epochs_the_one_of_the_lower_validation_loss_is_best() -> None:
    """The builder's validation loss falls with each epoch."""
    assert trials_of([started(), *trial(0, 0.5, 0.9, 0.9)])["best_epoch"][0] == 3


def test_only_the_tested_trial_has_test_metrics() -> None:
    assert trials_of(a_study())["test_loss"].notna().tolist() == [True, False, False, False]


def test_an_interrupted_trial_is_stopped_and_keeps_what_it_learnt() -> None:
    row = trials_of([started(), *trial(0, 0.5, 0.6)[:-1]]).iloc[0]
    assert (row["state"], row["epochs"], row["seconds"], row["best_val_accuracy"]) == ("stopped", 2, 1.5, 0.6)


def test_a_failed_trial_without_epochs_has_no_metrics_and_no_weights() -> None:
    table = trials_of(a_study())
    row = table.iloc[3]
    assert (row["state"], row["epochs"], row["steps"], row["node"]) == ("failed", 0, 0, "")
    assert row["error"] == 'RuntimeError: "a", b\nc\r\n| é 😀'
    assert row[[name for name in map(str, table) if "loss" in name or "accuracy" in name]].isna().all()
    assert pd.isna(row["best_epoch"])
    assert pd.isna(row["weights"])


def test_a_diverged_trials_last_epoch_is_shown_and_its_best_is_finite() -> None:
    row = trials_of([started(), *trial(0, 0.9, math.nan, state="diverged")]).iloc[0]
    assert math.isnan(row["val_accuracy"])
    assert (row["best_epoch"], row["best_val_accuracy"]) == (1, 0.9)
    never = trials_of([started(), *trial(0, math.inf, state="diverged")]).iloc[0]
    assert never["val_accuracy"] == math.inf
    assert pd.isna(never["best_epoch"])


def test_folds_are_averaged_and_their_work_summed() -> None:
    one = [record(1, 1.0, 0.2, 3.0, 0.4, fold=0), record(1, 3.0, 0.4, 5.0, 0.8, fold=1, steps=12)]
    two = [record(2, 1.0, 0.2, 1.0, 0.5, fold=0), record(2, 1.0, 0.4, 2.0, 0.6, fold=1)]
    row = trials_of([started(), drawn(0), trained(0, *one), trained(0, *two), ended(0)]).iloc[0]
    assert (row["epochs"], row["steps"], row["train_seconds"]) == (2, 42, 2.0)
    assert row["val_accuracy"] == pytest.approx(0.55)
    assert (row["best_epoch"], row["best_val_loss"]) == (1, 4.0)
    assert row["best_val_accuracy"] == pytest.approx(0.6)
    assert row["best_val_accuracy_std"] == pytest.approx(np.std([0.4, 0.8], ddof=1))
    assert row["best_val_loss_std"] == pytest.approx(np.std([3.0, 5.0], ddof=1))


def test_one_fold_has_no_columns_for_deviations() -> None:
    assert not any(name.endswith("_std") for name in trials_of(a_study()))


def test_the_reason_says_what_ended_a_trial_early() -> None:
    ends = [ended(0), ended(1, "stopped", reason="time budget"), ended(2, reason="patience")]
    table = trials_of([started(), *(drawn(i) for i in range(4)), *ends])
    assert list(table["reason"]) == ["", "time budget", "patience", ""]


def test_seeds_are_averaged_and_their_spread_is_that_of_their_folds_means() -> None:
    def epoch(number: int, accuracies: Sequence[Sequence[float]]) -> list[EpochRecord]:
        return [
            record(number, 1.0, 0.5, 2.0, accuracy, fold=fold, repeat=repeat)
            for repeat, folds in enumerate(accuracies)
            for fold, accuracy in enumerate(folds)
        ]

    first, second = epoch(1, [[0.1, 0.3], [0.5, 0.7]]), epoch(2, [[0.0, 0.1], [0.2, 0.3]])
    trials, epochs = build_tables([started(), drawn(0), trained(0, *first, *second), ended(0)])
    row = trials.iloc[0]
    assert (row["epochs"], row["steps"], row["best_epoch"]) == (2, 80, 1)
    assert row["best_val_accuracy"] == pytest.approx(0.4)
    assert row["best_val_accuracy_std"] == pytest.approx(np.std([0.2, 0.6], ddof=1))
    assert row["best_val_loss_std"] == 0
    assert list(epochs.columns[:4]) == ["trial", "epoch", "repeat", "fold"]
    assert [tuple(key) for key in epochs[["epoch", "repeat", "fold"]].to_numpy()[:4]] == [
        (1, 0, 0), (1, 0, 1), (1, 1, 0), (1, 1, 1),
    ]  # fmt: skip


def test_an_epoch_that_lacks_a_seed_is_not_whole() -> None:
    both = [record(1, 1.0, 0.5, 2.0, 0.5, repeat=repeat) for repeat in (0, 1)]
    row = trials_of([started(), drawn(0), trained(0, *both, record(2, 1.0, 0.5, 2.0, 0.9))]).iloc[0]
    assert (row["epochs"], row["best_epoch"]) == (1, 1)


def test_what_else_was_measured_with_the_test_stands_beside_it() -> None:
    scores = {"test_loss": 0.2, "test_accuracy": 0.9, "test_accuracy_std": 0.01, "retrained_loss": 0.1}
    table = trials_of([started(), *trial(0, 0.5), *trial(1, 0.6), winner(1, scores)])
    names = list(table)
    assert names[names.index("test_loss") : names.index("weights")] == list(scores)
    assert table.loc[1, list(scores)].to_dict() == scores
    assert table.loc[0, list(scores)].isna().all()


def test_an_epoch_that_lacks_a_fold_is_not_whole_and_never_best() -> None:
    whole = [record(1, 1.0, 0.2, 3.0, 0.4, fold=fold) for fold in (0, 1)]
    row = trials_of([started(), drawn(0), trained(0, *whole), trained(0, record(2, 1.0, 0.2, 3.0, 0.9))]).iloc[0]
    assert (row["epochs"], row["val_accuracy"], row["best_val_accuracy"]) == (1, 0.4, 0.4)


def test_folds_that_are_infinite_both_ways_have_no_mean() -> None:
    both = [record(1, 0, 0, math.inf, 0.5, fold=0), record(1, 0, 0, -math.inf, 0.5, fold=1)]
    row = trials_of([started(), drawn(0), trained(0, *both)]).iloc[0]
    assert math.isnan(row["val_loss"])
    assert row["val_accuracy"] == 0.5


def test_what_is_said_last_counts() -> None:
    events = [
        *trial(0, 0.5, 0.6, state="stopped"),
        drawn(0, {"lr": 0.2}),
        trained(0, record(2, 1, 1, 1, 0.9), node="b"),
        ended(0),
    ]
    trials, epochs = build_tables([started(), *events])
    row = trials.iloc[0]
    assert (row["state"], row["epochs"], row["val_accuracy"], row["lr"], row["node"]) == ("finished", 2, 0.9, 0.2, "b")
    assert epochs["val_accuracy"].tolist() == [0.5, 0.9]


def test_rows_are_sorted_however_the_trials_interleave() -> None:
    later: list[Event] = [
        drawn(1),
        drawn(0),
        trained(1, record(1, 1, 1, 1, 1)),
        trained(0, record(1, 1, 1, 1, 1)),
        trained(1, record(2, 1, 1, 1, 1)),
    ]
    trials, epochs = build_tables([started(), *later])
    assert trials["trial"].tolist() == [0, 1]
    assert epochs[["trial", "epoch"]].to_numpy().tolist() == [[0, 1], [1, 1], [1, 2]]


def test_columns_have_their_kinds_with_and_without_rows() -> None:
    for events in (a_study(), [started()]):
        trials, epochs = build_tables(events)
        kinds = trials.dtypes.astype(str)
        assert set(kinds[["trial", "epochs", "steps", "seed"]]) == {"int64"}
        assert set(kinds[["best_epoch", "weights"]]) == {"Int64"}
        assert set(kinds[["seconds", "train_seconds", "val_loss", "best_val_loss", "test_loss"]]) == {"float64"}
        assert set(kinds[["state", "engine", "node", "error"]]) <= {"str", "object"}
        assert set(epochs.dtypes.astype(str)) == {"int64", "float64"}
        assert trials["error"].notna().all()


PARAMETERS: dict[str, tuple[list[Param], str, list[Any]]] = {
    "numbers": ([0.1, 2], "float64", [0.1, 2.0]),
    "whole": ([1, 2], "int64", [1, 2]),
    "whole, conditional": ([1, None], "Int64", [1, None]),
    "number, conditional": ([0.5, None], "float64", [0.5, None]),
    "flag": ([True, False], "bool", [True, False]),
    "flag, conditional": ([True, None], "boolean", [True, None]),
    "text": (["relu", "tanh"], "text", ["relu", "tanh"]),
    "text, conditional": (["relu", None], "text", ["relu", None]),
    "list": ([[64, 128], []], "text", ["[64, 128]", "[]"]),
    "mixed": ([True, 0.5], "text", ["true", "0.5"]),
    "huge": ([2**70, 1], "text", [str(2**70), "1"]),
    "undecodable": (["a\udc80", "é"], "text", ["a\\udc80", "é"]),
    "never there": ([None, None], "float64", [None, None]),
}  # fmt: skip


@pytest.mark.parametrize(("values", "kind", "shown"), PARAMETERS.values(), ids=PARAMETERS)
def test_a_parameters_column_is_as_narrow_as_its_values_allow(values: list[Param], kind: str, shown: list[Any]) -> None:
    column = trials_of([started(), *(drawn(i, {"p": value}) for i, value in enumerate(values))])["p"]
    assert str(column.dtype) in (("str", "object") if kind == "text" else (kind,))
    assert [None if pd.isna(value) else value for value in column] == shown


def test_a_parameter_that_was_not_drawn_is_missing() -> None:
    table = trials_of(a_study())
    assert table["optimizer.sgd.momentum"].notna().tolist() == [True, False, False, False]
    assert table["optimizer"].isna().tolist() == [False, False, True, True]


def test_a_stand_in_is_said_in_every_row_and_only_then() -> None:
    trials, epochs = build_tables([started(dataset="digits", stand_in_for="mnist"), *trial(0, 0.5), *trial(1, 0.5)])
    assert list(trials)[-1] == "data"
    assert trials["data"].tolist() == ["digits for mnist"] * 2
    assert trials.attrs["stand_in_for"] == epochs.attrs["stand_in_for"] == "mnist"
    honest, _ = build_tables(a_study())
    assert "data" not in honest
    assert honest.attrs["stand_in_for"] == ""


@pytest.mark.parametrize(
    ("events", "rule"),
    [([], "has no 'started' line"), ([started(), drawn(0), ended(4)], "tells of trial 4, which was never drawn")],
)
def test_events_that_make_no_table_are_refused(events: list[Event], rule: str) -> None:
    with pytest.raises(RunFolderError, match=rule):
        build_tables(events)


def test_diverged_failed_and_untrained_trials_never_rank() -> None:
    assert rank(trials_of([*a_study(), drawn(4)]), "val_accuracy", "max")["trial"].tolist() == [0, 1]


def test_equals_rank_in_the_order_of_their_draw() -> None:
    table = trials_of([started(), *trial(0, 0.5), *trial(1, 0.9), *trial(2, 0.9), *trial(3, 0.7)])
    assert rank(table, "val_accuracy", "max")["trial"].tolist() == [1, 2, 3, 0]
    assert rank(table, "val_accuracy", "min")["trial"].tolist() == [0, 3, 1, 2]


def test_a_trial_ranks_by_its_best_epoch_not_its_last() -> None:
    table = trials_of([started(), *trial(0, 0.5, 0.95, 0.1), *trial(1, 0.5, 0.6, 0.7)])
    assert rank(table, "val_accuracy", "max")["trial"].tolist() == [0, 1]


def test_trials_rank_by_another_metric_too() -> None:
    table = trials_of([started(), *trial(0, 0.9), *trial(1, 0.8, 0.9)])
    assert rank(table, "val_loss", "min")["trial"].tolist() == [1, 0]
    assert rank(table, "train_loss", "max")["trial"].tolist() == [0, 1]


@pytest.mark.parametrize("metric", ["val_acuracy", "error", "lr"])
def test_an_unknown_metric_is_refused(metric: str) -> None:
    with pytest.raises(UsageError, match=f"no metric '{metric}'"):
        rank(trials_of(a_study()), metric, "max")


def test_ranking_nothing_gives_nothing() -> None:
    assert rank(trials_of([started()]), "val_accuracy", "max").empty


def test_regression_is_ranked_and_tested_by_its_own_scores() -> None:
    events: list[Event] = [started(task="regression", metric="val_rmse", mode="min")]
    for i, rmse in enumerate([0.5, 0.25]):
        events += [Drawn(i, {}, i), trained(i, record(1, 1, 1, 1, rmse * rmse, rmse, 0.9, task="regression")), ended(i)]
    table = trials_of([*events, winner(1, {"test_loss": 0.1, "test_rmse": 0.3, "test_r2": 0.8})])
    best = rank(table, "val_rmse", "min").iloc[0]
    assert (best["trial"], best["best_val_rmse"], best["val_r2"], best["test_r2"]) == (1, 0.25, 0.9, 0.8)
