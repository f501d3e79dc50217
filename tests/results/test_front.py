"""The Pareto front: hand-made fronts, ties, trials that can't be on it, and the order by fronts against a plain reference."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.results.journals import drawn, ended, record, started, trained, trial
from tune_mlp.errors import RunFolderError
from tune_mlp.records import Goal
from tune_mlp.results.front import best_first, costs_of, front
from tune_mlp.results.journal import Event
from tune_mlp.results.journal_reader import parse_events
from tune_mlp.results.state import RunState
from tune_mlp.results.tables import build_tables, front_of

NAN = math.nan


def beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True)) and one != other


def fronts_of(rows: list[tuple[float, ...]]) -> list[list[int]]:
    """Return the places of the rows of each front, by comparing all pairs; of equal rows the first one counts."""
    left, found = list(range(len(rows))), []
    while left:
        here = [
            i
            for i in left
            if not any(beats(rows[j], rows[i]) or (rows[j] == rows[i] and j < i) for j in left if j != i)
        ]
        found.append(here)
        left = [i for i in left if i not in here]
    return found


def spread_out(rows: list[tuple[float, ...]], places: list[int]) -> list[int]:
    """Return the places of one front: first the lowest in the first goal, then always the farthest from those before it."""
    order = sorted(places, key=lambda i: rows[i])
    ranks = [
        [sorted({rows[j][goal] for j in places}).index(rows[i][goal]) for goal in range(len(rows[i]))] for i in order
    ]
    chosen = [0]
    while len(chosen) < len(order):
        gaps = {
            i: min(sum(abs(a - b) for a, b in zip(ranks[i], ranks[j], strict=True)) for j in chosen)
            for i in range(len(order))
            if i not in chosen
        }
        chosen.append(min(gaps, key=lambda i: (-gaps[i], i)))
    return [order[i] for i in chosen]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(1, 1)], [0]),
        ([(1, 3), (2, 2), (3, 1)], [0, 1, 2]),
        ([(3, 1), (2, 2), (1, 3), (3, 3), (2, 3)], [2, 1, 0]),
        (
            [(1, 1), (1, 1), (1, 2)],
            [0],
        ),  # the first of two equal rows; the third is beaten in one goal and equal in the other
        ([(2, 1), (1, 1)], [1]),
        ([(1, math.inf), (2, 5)], [0, 1]),
        ([(0.0, 1), (-0.0, 1)], [0]),
        ([(1, 2, 3), (3, 2, 1), (2, 2, 2), (2, 2, 3)], [0, 2, 1]),
        ([(2,), (1,), (1,), (3,)], [1]),
    ],
)
def test_a_hand_made_front(rows: list[tuple[float, ...]], expected: list[int]) -> None:
    assert front(np.array(rows, dtype=float)).tolist() == expected


def test_no_row_has_no_front() -> None:
    assert front(np.empty((0, 2))).tolist() == []
    assert best_first(np.empty((0, 2))) == []


@pytest.mark.parametrize("seed", range(60))
def test_rows_are_ordered_as_a_comparison_of_all_pairs_orders_them(seed: int) -> None:
    random = np.random.default_rng(seed)
    count, goals, values = random.integers(1, 25), random.integers(1, 4), [3, 8, 1000][seed % 3]
    costs = random.integers(0, values, (count, goals)).astype(float)  # few values, so that many are equal
    rows = [tuple(row) for row in costs.tolist()]
    expected = fronts_of(rows)
    assert sorted(front(costs).tolist()) == sorted(expected[0])
    assert best_first(costs) == [place for places in expected for place in spread_out(rows, places)]


def test_the_first_few_of_a_front_are_spread_over_all_of_it_whatever_its_units() -> None:
    line = np.array([(i, 1e6 - 1000.0 * i) for i in range(9)])
    assert best_first(line)[:3] == [0, 8, 4]
    assert best_first(line * [1e-6, 1e6]) == best_first(line)


def test_of_one_goal_the_order_is_that_of_the_values() -> None:
    assert best_first(np.array([[3.0], [1.0], [2.0], [1.0]])) == [1, 3, 2, 0]


def test_values_become_costs_by_the_direction_of_their_goal() -> None:
    costs = costs_of(np.array([[0.9, 10.0]]), [Goal("val_accuracy", "max"), Goal("weights", "min")])
    assert costs.tolist() == [[-0.9, 10.0]]


def sized(number: int, accuracy: float, weights: int, state: str = "finished", seconds: float = 0.5) -> list[Event]:
    """Return the events of a trial of one epoch."""
    one = record(1, 1.0, 0.5, 2.0 if math.isfinite(accuracy) else NAN, accuracy)
    return [drawn(number), trained(number, one, weights=weights), ended(number, state)]


GOALS = {"further_goals": ("weights",)}


def marked(*trials: list[Event], **changes: Any) -> list[int]:
    table, _ = build_tables([started(**{**GOALS, **changes}), *(event for events in trials for event in events)])
    assert table.columns[-1] == "on_front"
    assert table["on_front"].dtype == bool
    return table.loc[table["on_front"], "trial"].tolist()


def test_the_table_marks_the_trials_that_no_other_beats() -> None:
    assert marked(sized(0, 0.9, 100), sized(1, 0.8, 10), sized(2, 0.85, 200), sized(3, 0.7, 10)) == [0, 1]


def test_of_trials_that_are_equal_in_all_goals_the_best_is_on_the_front() -> None:
    worse = [
        drawn(0),
        trained(0, record(1, 1.0, 0.5, 3.0, 0.9), weights=100),
        ended(0),
    ]  # its validation loss is larger
    assert marked(worse, sized(1, 0.9, 100)) == [1]


def test_a_trial_that_diverged_or_failed_is_never_on_the_front_and_a_stopped_one_may_be() -> None:
    small = sized(1, 0.5, 5, state="stopped")
    assert marked(sized(0, 0.9, 100), small, sized(2, NAN, 1, "diverged"), [drawn(3), ended(3, "failed")]) == [0, 1]
    assert marked(sized(0, NAN, 1, "diverged")) == []


def test_one_trial_is_the_front() -> None:
    assert marked(sized(0, 0.1, 5)) == [0]


def test_a_metric_counts_with_its_best_epoch_and_seconds_with_all() -> None:
    rising = trial(0, 0.5, 0.9, 0.6)
    short = trial(1, 0.6)
    assert marked(rising, short, further_goals=("train_seconds",)) == [0, 1]
    assert marked(rising, trial(1, 0.95), further_goals=("train_seconds",)) == [1]
    table, _ = build_tables([started(further_goals=("train_seconds",)), *rising])
    assert table["train_seconds"].item() == pytest.approx(1.5)


def test_the_columns_of_a_study_with_one_goal_stay_as_they_were() -> None:
    table, _ = build_tables([started(), *trial(0, 0.5)])
    assert "on_front" not in table.columns


def test_a_front_of_three_goals_with_a_maximum_in_two() -> None:
    columns = {
        "best_val_accuracy": [0.9, 0.8, 0.85, 0.7],
        "best_val_r2": [0.1, 0.9, 0.05, 0.2],
        "weights": [9, 9, 8, 9],
    }
    table = pd.DataFrame({"trial": range(4), **columns})
    goals = [Goal("val_accuracy", "max"), Goal("val_r2", "max"), Goal("weights", "min")]
    assert front_of(table, goals)["trial"].tolist() == [0, 2, 1]


def test_the_state_knows_what_a_trial_had_cost_by_an_epoch() -> None:
    state = RunState.of([started(further_goals=("weights", "train_seconds")), *trial(0, 0.5, 0.9, 0.6)])
    assert state.goals(0, 2) == pytest.approx((0.9, 650, 1.5))
    assert state.goals(0, 2, until=2) == pytest.approx((0.9, 650, 1.0))
    assert state.goals(0, 9) is None
    assert RunState.of([started(), *trial(0, 0.5)]).goals(0, 1) is None


def test_a_journal_with_an_unknown_goal_is_refused() -> None:
    from tests.results.journals import lines_of

    for name in ("size", "val_roc_auc", "train_loss"):  # val_roc_auc isn't measured in this run
        with pytest.raises(RunFolderError, match="further_goals: must be among"):
            parse_events(b"".join(lines_of([started(further_goals=(name,))])), "journal.jsonl")
    events = parse_events(b"".join(lines_of([started(further_goals=("weights", "val_loss"))])), "journal.jsonl")
    assert [goal.mode for goal in events[0].goals] == ["max", "min", "min"]  # type: ignore[union-attr]
