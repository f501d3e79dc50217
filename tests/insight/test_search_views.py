"""The rows that the figures of a search draw say what the run did: on runs made by hand, whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.charts.awkward_runs import AWKWARD, load, many
from tests.results.journals import drawn, ended, record, started, trained, trial
from tune_mlp.insight.views.best_so_far import best_so_far
from tune_mlp.insight.views.convergence import convergence
from tune_mlp.insight.views.curves import curves_of
from tune_mlp.insight.views.learning_curves import learning_curves
from tune_mlp.insight.views.loss_by_step import loss_by_step
from tune_mlp.insight.views.overfitting import overfitting
from tune_mlp.insight.views.rungs import rungs
from tune_mlp.insight.views.score_range import score_range
from tune_mlp.insight.views.workers import workers
from tune_mlp.results.journal import Event, to_line
from tune_mlp.results.results import Results


def at_times(folder: Path, *lines: tuple[float, Event]) -> Results:
    """Write a journal whose lines were written at these seconds, and load the run."""
    content = b"".join(to_line(event, number, 1.5e9 + at) for number, (at, event) in enumerate(lines, start=1))
    (folder / "journal.jsonl").write_bytes(content)
    return Results.load(folder)


def test_curves_are_means_of_the_epochs_that_all_folds_and_seeds_have_trained(tmp_path: Path) -> None:
    curves = curves_of(AWKWARD["folds_and_seeds"](tmp_path))
    assert curves[curves["trial"] == 0]["val_accuracy"].tolist() == pytest.approx([0.605, 0.705, 0.805])
    assert curves[curves["trial"] == 3]["epoch"].tolist() == [1, 2]


def test_an_epoch_in_which_one_fold_diverged_has_no_mean(tmp_path: Path) -> None:
    folds = [record(1, 0.5, 0.5, 0.5, score, fold=fold) for fold, score in enumerate((0.5, float("nan")))]
    results = load(tmp_path, [started(), drawn(0), trained(0, *folds), ended(0, "diverged")])
    assert np.isnan(curves_of(results)["val_accuracy"]).tolist() == [True]


def test_learning_curves_end_where_trials_did_and_name_the_best(tmp_path: Path) -> None:
    answer = learning_curves(AWKWARD["running"](tmp_path))
    ends = {row["trial"]: (row["ended"], row["epoch"]) for row in answer.facts["trials"]}
    assert ends == {0: ("finished", 3), 1: ("stopped", 1), 2: ("running", 1)}
    assert answer.sentence.startswith(
        "Of 4 trials, 1 trained to the end, 1 was stopped early and 2 are still running; the best, trial 2,"
    )


def test_a_large_search_draws_a_sample_with_the_quantiles_of_all(tmp_path: Path) -> None:
    results = many(tmp_path, 400, epochs=6)
    answer = learning_curves(results)
    assert answer.table["trial"].nunique() < 301
    assert int(results.ranked["trial"].iloc[0]) in set(answer.table["trial"])
    last = results.epochs[results.epochs["epoch"] == 3]["val_accuracy"]
    row = next(row for row in answer.facts["band"] if row["epoch"] == 3)
    assert (row["low"], row["middle"], row["high"]) == pytest.approx(tuple(last.quantile([0.1, 0.5, 0.9])))


def test_the_best_so_far_follows_the_order_in_which_trials_ended(tmp_path: Path) -> None:
    events = [*trial(0, 0.5), *trial(1, 0.9), *trial(2, 0.7), *trial(3, 0.99, float("nan"), state="diverged")]
    ends = [ended(2), ended(0), ended(3, "diverged"), ended(1)]
    kept = [event for event in events if type(event) is not type(ends[0])]
    answer = best_so_far(load(tmp_path, [started(), *kept, *ends]))
    assert answer.table["trial"].tolist() == [2, 0, 3, 1]
    assert answer.table["best"].tolist() == [0.7, 0.7, 0.7, 0.9]
    assert answer.table["new"].tolist() == [True, False, False, True]
    assert (
        answer.sentence
        == "The best val_accuracy, 0.9, came from trial 1, number 4 of 4 to end; it replaced an earlier best."
    )


def test_of_a_score_that_is_to_be_small_the_smallest_is_the_best_so_far(tmp_path: Path) -> None:
    answer = best_so_far(AWKWARD["regression"](tmp_path))
    assert answer.table["best"].tolist() == [0.5] * 9
    assert answer.notes == ("1 value is beyond the axis and drawn at its edge.",)


def test_a_table_stands_in_the_order_of_its_numbers_and_says_so(tmp_path: Path) -> None:
    answer = best_so_far(AWKWARD["table"](tmp_path))
    assert answer.table["best"].tolist() == [0.5, 0.75, 0.75]
    assert answer.notes == ("The table doesn't say when trials ended: they stand in the order of their numbers.",)


def test_rungs_count_the_trials_of_each_epoch_by_what_became_of_them(tmp_path: Path) -> None:
    events = [*trial(0, 0.5, 0.6, 0.7), *trial(1, 0.5, state="stopped"), *trial(2, 0.4, 0.4, state="diverged")]
    table = rungs(load(tmp_path, [started(), *events, drawn(3)])).table
    rows = {(row.epoch, row.fate): row.trials for row in table.itertuples()}
    assert rows == {(1, "went on"): 2, (1, "stopped"): 1, (2, "went on"): 1, (2, "diverged"): 1, (3, "finished"): 1}


def test_the_bars_of_a_long_search_hold_every_trial_that_ended_within_them(tmp_path: Path) -> None:
    results = AWKWARD["long_training"](tmp_path)
    table = rungs(results).table
    assert table["epoch"].nunique() <= 60
    assert table[table["fate"] != "went on"]["trials"].sum() == len(results.trials)


def test_workers_have_a_lane_for_each_trial_that_trained_at_once_on_a_node(tmp_path: Path) -> None:
    one = record(1, 0.5, 0.5, 0.5, 0.5)  # an epoch of 0.75 s
    results = at_times(
        tmp_path,
        (0, started()),
        *((0, drawn(number)) for number in range(4)),
        (1, trained(0, one, node="a")),
        (1.2, trained(1, one, node="a")),
        (1.3, trained(2, one, node="b")),
        (2, trained(3, one, node="a")),
    )
    answer = workers(results)
    assert dict(zip(answer.table["trial"], answer.table["lane"], strict=True)) == {
        0: "a #1",
        1: "a #2",
        2: "b",
        3: "a #1",
    }
    assert answer.table["start"].tolist() == pytest.approx([0, 0.2, 0.3, 1])
    assert answer.sentence.startswith("3 workers on 2 nodes were busy 57 % of the 1.75 s")


def test_a_trial_that_waited_has_a_bar_before_and_one_after(tmp_path: Path) -> None:
    lines = [(at, trained(0, record(epoch, 0.5, 0.5, 0.5, 0.5))) for epoch, at in ((1, 1.0), (2, 1.8), (3, 9.0))]
    table = workers(at_times(tmp_path, (0, started()), (0, drawn(0)), *lines, (9, ended(0)))).table
    assert table["start"].tolist() == pytest.approx([0, 8])
    assert table["end"].tolist() == pytest.approx([1.55, 8.75])


def test_a_large_search_shows_the_share_of_time_in_which_each_lane_was_busy(tmp_path: Path) -> None:
    answer = workers(many(tmp_path, 400, epochs=3))
    assert answer.table["busy"].between(0, 1).all()
    assert len(answer.table) <= 120 * answer.table["lane"].nunique()


def test_convergence_counts_trials_that_never_came_near_as_later_than_all(tmp_path: Path) -> None:
    fast = [trial(n, 0.95, 1.0, params={"lr": 1}) for n in (0, 1)]
    slow = [
        trial(2, 0.1, 0.92, params={"lr": 2}),
        trial(3, 0.1, 0.2, params={"lr": 2}),
        trial(4, 0.1, params={"lr": 2}),
    ]
    answer = convergence(load(tmp_path, [started(), *(event for events in (*fast, *slow) for event in events)]))
    rows = answer.table.set_index(["group", "share"])[["reached", "trials", "epochs"]]
    assert rows.loc["1"].to_numpy().tolist() == [[2, 2, 1], [2, 2, 1], [2, 2, 2]]
    assert rows.loc["2"]["reached"].tolist() == [1, 0, 0]
    assert rows.loc["2"]["epochs"].isna().all()
    assert answer.sentence == (
        "3 of 5 trials reached 90 % of the best score, in 1 epoch at the median; it differs most by lr: 2 of 2 did with 1, "
        "and 1 of 3 with 2."
    )


def test_of_an_error_a_share_is_one_of_the_way_down_to_the_best(tmp_path: Path) -> None:
    answer = convergence(AWKWARD["regression"](tmp_path))  # the median of the first epoch is 7.5, the best error 0.5
    assert answer.notes[0].endswith("are 1.2, 0.85 and 0.71.")


def test_overfitting_is_the_gap_in_the_best_epoch_and_positive_where_training_is_better(tmp_path: Path) -> None:
    epochs = [record(1, 0.1, 0.9, 0.5, 0.8), record(2, 0.1, 1.0, 0.5, 0.7)]
    events = [drawn(0, {"lr": 1}), *(trained(0, one) for one in epochs), ended(0), *trial(1, 0.6, params={"lr": 2})]
    table = overfitting(load(tmp_path, [started(), *events])).table
    assert table[["trial", "group"]].to_numpy().tolist() == [[0, "1"], [1, "2"]]
    assert table["gap"].tolist() == pytest.approx([0.1, -0.1])


def test_overfitting_of_an_error_is_how_much_larger_it_is_in_validation(tmp_path: Path) -> None:
    table = overfitting(AWKWARD["regression"](tmp_path)).table
    assert table.set_index("trial")["gap"][0] == pytest.approx(0.5 / 3)


@pytest.fixture
def stepped(tmp_path: Path) -> Results:
    results = load(tmp_path, [started(), *trial(0, 0.5), *trial(1, 0.9)])
    losses = np.ones(30_000)
    losses[[7, 20_000]] = [50.0, np.nan]
    losses[29_999] = -5.0
    frame = pd.DataFrame({"trial": 1, "epoch": np.repeat([1, 2, 3], 10_000), "step": 1, "loss": losses})
    frame.to_parquet(tmp_path / "steps.parquet")
    return results


def test_no_spike_of_the_loss_is_lost_in_a_thousand_bins(stepped: Results) -> None:
    answer = loss_by_step(stepped)
    assert len(answer.table) <= 1000
    assert (answer.table["high"].max(), answer.table["low"].min()) == (50.0, -5.0)
    assert answer.table["step"].is_monotonic_increasing
    assert answer.table.groupby("epoch").size().between(300, 340).all()
    assert answer.notes == ("1 step with a loss that isn't finite left out.",)


def test_a_study_that_kept_no_steps_says_how_to_keep_them(tmp_path: Path) -> None:
    answer = loss_by_step(load(tmp_path, [started(), *trial(0, 0.5)]))
    assert answer.sentence == "The study kept no losses of steps: set `step_losses` to winner or all."


@pytest.mark.parametrize(
    ("values", "mode", "expected"),
    [
        ([0.1, 0.9, 0.95, 0.96, 0.97], "max", (0.1, 0.97, False, 0)),
        ([1, 2, 3, 4, 1e30], "min", (1, 4, False, 1)),
        ([0.001, 0.01, 0.1, 1], "min", (0.001, 1, True, 0)),
        ([0.9, 0.8, 0.7, -1e9], "max", (0.7, 0.9, False, 1)),
        ([np.nan, np.inf], "max", (0, 1, False, 0)),
        ([2.0], "min", (2, 2, False, 0)),
    ],
)
def test_an_axis_leaves_out_what_is_far_off_and_counts_it(values: list[float], mode: Any, expected: Any) -> None:
    assert tuple(score_range(values, mode)) == expected
