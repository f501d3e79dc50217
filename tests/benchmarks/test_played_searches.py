"""Searches that are played over a table of learning curves, on a made-up clock: what they train, when, and what they find."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.curves.curve_table import CurveTable
from benchmarks.curves.played import Played, _Player, play
from tune_mlp.study.study import Study
from tune_mlp.tuning.simulation import BEGIN_SECONDS, RESULT_SECONDS

RATES = [round(0.001 * (1 + i), 3) for i in range(24)]
SEEDS, EPOCHS = 3, 9


def study(**settings: Any) -> Study:
    space = {"lr": {"grid": RATES}, "width": {"grid": [8, 16]}}
    given = {"data": {"name": "digits"}, "space": space, "epochs": EPOCHS, "metric": "val_accuracy", **settings}
    return Study.from_dict(given)


@pytest.fixture(scope="module")
def table() -> CurveTable:
    """Curves that rise to a height by the rate, with a little noise by the seed; the highest rate diverges in epoch 3."""
    grid = study(search="grid", seeds=SEEDS)
    draws = list(grid.draws())
    rng = np.random.default_rng(0)
    values = np.empty((len(draws), SEEDS, EPOCHS), np.float32)
    for net, params in enumerate(draws):
        height = 0.9 - 4 * abs(params["lr"] - 0.012) + 0.001 * (params["width"] == 16)
        curve = height * (1 - 0.5 ** np.arange(1, EPOCHS + 1))
        values[net] = curve + rng.normal(0, 0.001, (SEEDS, EPOCHS))
        if params["lr"] == RATES[-1]:
            values[net, :, 2:] = np.nan
    seconds = np.array([0.5 if params["width"] == 8 else 1.0 for params in draws], np.float32)
    return CurveTable(grid, values, seconds, {"machine": "made"})


def played(table: CurveTable, workers: int = 1, seconds: float = math.inf, **settings: Any) -> Played:
    return play(study(**{"trials": 20, **settings}).bound("classification"), table, workers, seconds)


def test_a_table_is_written_and_read_as_it_is(table: CurveTable, tmp_path: Path) -> None:
    table.write(tmp_path / "made.parquet")
    again = CurveTable.read(tmp_path / "made.parquet")
    np.testing.assert_array_equal(again.values, table.values)
    np.testing.assert_array_equal(again.seconds, table.seconds)
    assert again.facts == table.facts
    assert again.number({"width": 16, "lr": RATES[3]}) == table.number({"lr": RATES[3], "width": 16})
    assert again.best == table.best


def test_a_number_between_those_of_the_grid_is_the_nearest_by_its_ratio() -> None:
    grid = Study.from_dict(
        {"data": {"name": "digits"}, "space": {"lr": {"grid": [0.001, 0.01]}}, "search": "grid", "epochs": EPOCHS}
    )
    curves = CurveTable(grid, np.zeros((2, 1, EPOCHS), np.float32), np.ones(2, np.float32), {})
    assert [curves.number({"lr": lr}) for lr in (0.0002, 0.003, 0.0033, 0.01, 0.3)] == [0, 0, 1, 1, 1]


def test_a_part_of_a_table_has_the_best_of_its_own_nets(table: CurveTable) -> None:
    part = table.only({"width": [8]})
    narrow = [net for net, params in enumerate(table.study.draws()) if params["width"] == 8]
    assert part.best == float(table.means[narrow].max())
    assert part.best < table.best
    assert np.isnan(part.values[table.number({"lr": RATES[0], "width": 16})]).all()


def test_a_search_without_stops_takes_the_seconds_of_its_epochs(table: CurveTable) -> None:
    found = played(table)
    draws = [table.number(params) for params in _draws(20)]
    training = sum(float(table.seconds[net]) * (3 if np.isnan(table.values[net, 0, 2]) else EPOCHS) for net in draws)
    assert found.draws == 20
    assert found.trained == sum(3 if np.isnan(table.values[net, 0, 2]) else EPOCHS for net in draws)
    assert found.ended == pytest.approx(training + 20 * (BEGIN_SECONDS + RESULT_SECONDS) + found.thinking, abs=0.01)
    best = max(draws, key=lambda net: np.nanmax(table.values[net, 0]))
    assert found.regrets[-1] == pytest.approx(table.best - table.means[best].max(), abs=0.004)
    assert found.regret_at(found.ended) == found.regrets[-1] == found.regret_after(found.trained)
    assert found.regret_at(0.0) == math.inf


def _draws(count: int) -> list[dict[str, Any]]:
    return [params for params, _ in zip(study(trials=count).draws(), range(count), strict=False)]


@pytest.mark.parametrize("scheduler", ["fifo", "asha", "hyperband", "median"])
@pytest.mark.parametrize("workers", [1, 2, 16])
def test_every_scheduler_plays_to_its_end(table: CurveTable, scheduler: str, workers: int) -> None:
    found = played(table, workers, scheduler=scheduler)
    assert found.draws == 20
    assert found.regrets[-1] < 0.05
    assert found.epochs == sorted(found.epochs)
    assert found.trained <= 20 * EPOCHS
    assert found.seconds == sorted(found.seconds)


def test_stops_save_epochs_and_more_workers_save_time(table: CurveTable) -> None:
    whole, stopped = played(table, scheduler="fifo", trials=30), played(table, scheduler="asha", trials=30)
    assert stopped.trained < 0.7 * whole.trained
    assert played(table, 8, scheduler="fifo").ended < 0.3 * played(table, 1, scheduler="fifo").ended


def test_a_search_ends_when_its_time_is_over(table: CurveTable) -> None:
    found = played(table, seconds=20.0)
    assert found.ended <= 20.1 + found.thinking
    assert found.draws < 20


def test_what_a_searcher_thinks_is_charged(table: CurveTable) -> None:
    assert played(table, search="tpe", trials=30).thinking > played(table, search="random", trials=30).thinking


def test_tpe_finds_more_than_chance(table: CurveTable) -> None:
    regrets = {
        search: [played(table, search=search, seed=seed, trials=30).regrets[-1] for seed in range(8)]
        for search in ("random", "tpe")
    }
    assert np.mean(regrets["tpe"]) <= np.mean(regrets["random"])


@pytest.mark.parametrize("workers", [1, 4])
def test_tpe_finds_as_much_with_trials_that_wait_at_rungs_as_with_trials_that_are_stopped(
    table: CurveTable, workers: int
) -> None:
    """Both are given the epochs that ASHA trains; of a trial that waits, TPE knows the score at its rung."""
    stopped, waiting = [], []
    for seed in range(6):
        asha = played(table, workers, search="tpe", seed=seed, trials=30, scheduler="asha")
        promoted = played(table, workers, search="tpe", seed=seed, trials=60, scheduler="promotion_asha")
        stopped.append(asha.regrets[-1])
        waiting.append(promoted.regret_after(asha.trained))
    assert np.mean(waiting) <= np.mean(stopped) + 0.001


@pytest.mark.parametrize("scheduler", ["promotion_asha", "pasha", {"top_k": {"after": 2, "keep": 4}}])
@pytest.mark.parametrize("workers", [1, 4])
def test_a_player_tells_the_searcher_of_every_end(table: CurveTable, scheduler: object, workers: int) -> None:
    """A trial that the scheduler stops while it waits gives no result; the searcher is told of it all the same."""
    player = _Player(study(trials=20, search="tpe", scheduler=scheduler).bound("classification"), table, workers)
    assert player.play(math.inf).draws == 20
    records = player._searcher._source._told({}).values()
    assert {record.state.name for record in records} <= {"COMPLETE", "PRUNED"}
    assert len(player._searcher._curves) == 0
