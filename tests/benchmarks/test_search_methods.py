"""The comparison of search methods: its medians and intervals, when a method is near, and its table."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.curves.played import Played
from benchmarks.search_figure import draw, regrets
from benchmarks.search_methods import BASE, TASKS, Shown, _table, methods, thinking, time_until_near
from tune_mlp.study.study import Study


def test_a_medians_interval_holds_it_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    held = [shown.low <= 0.0 <= shown.high for shown in (Shown.of(rng.standard_t(3, 50)) for _ in range(2000))]
    assert 0.94 <= np.mean(held) <= 0.99


def test_near_is_when_the_regret_falls_below_for_good() -> None:
    found = Played(seconds=[1, 2, 3, 4], epochs=[1, 2, 3, 4], regrets=[0.1, 0.0005, 0.01, 0.0008])
    assert time_until_near(found) == 4
    assert time_until_near(replace(found, least=0.0095)) == 2
    assert time_until_near(replace(found, regrets=[0.1, 0.0005, 0.01, 0.002])) == math.inf


def test_methods_are_studies_that_load() -> None:
    for task in TASKS.values():
        for searcher, scheduler in methods().values():
            Study.from_dict(
                {"data": {"name": "digits"}, "space": dict(task.space), "search": searcher, "scheduler": scheduler}
            )


def test_the_table_has_shares_of_the_base_and_the_best_method_first() -> None:
    slow = Played([9.0, 27.0], [9, 27], [0.02, 0.01], draws=3, trained=27, ended=27.0)
    fast = Played([2.0, 8.0], [2, 8], [0.01, 0.0], draws=3, trained=27, ended=27.0)
    shown = _table("digits", 2, {BASE: [slow] * 5, "random + promotion_asha": [fast] * 5})
    assert [row[0] for row in shown.rows] == ["random + promotion_asha", BASE]
    first = dict(zip(shown.columns, shown.rows[0], strict=True))
    assert first["regret at the end of the time"] == "0.00 (0.00 to 0.00)"
    assert first["regret at 1/9 of the time"] == "1.00 (1.00 to 1.00)"
    assert first["0.1 points near"] == "0.30"
    assert dict(zip(shown.columns, shown.rows[1], strict=True))["0.1 points near"] == "never"
    assert [target.met for target in shown.targets] == [True]


@pytest.mark.slow  # a thousand trials are told to each searcher
def test_every_searcher_thinks() -> None:
    assert all(float(cell.removesuffix(" ms")) >= 0 for row in thinking().rows for cell in row[1:])


def test_the_figure_has_each_method_beside_the_base(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    def made(speed: float) -> list[Played]:
        times = np.geomspace(0.5, 27, 12)
        return [
            Played(
                list(times),
                list(range(12)),
                list(0.1 * np.exp(-speed * times) + rng.uniform(0.001, 0.002)),
                ended=27.0,
                trained=11,
            )
            for _ in range(9)
        ]

    runs = {BASE: made(0.1), "tpe + promotion_asha": made(0.4)}
    frames = [regrets(runs, BASE, workers) for workers in (2, 16)]
    draw(frames, BASE, "Searches over made curves", tmp_path / "made.svg")
    drawn = (tmp_path / "made.svg").read_text()
    assert all(
        word in drawn
        for word in (BASE, "tpe + promotion_asha", "time, 2 workers", "epochs, 16 workers", "regret, points")
    )
    fast, slow = (frames[0][frames[0]["method"] == method]["median"].to_numpy() for method in reversed(list(runs)))
    assert (fast <= slow + 1e-9).mean() > 0.9
