"""The comparison of search methods: its medians and intervals, when a method is near, and its table."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.curves.played import Played
from benchmarks.search_methods import BASE, TASKS, Shown, _table, methods, thinking, time_to
from tune_mlp.study.study import Study


def test_a_medians_interval_holds_it_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    held = [shown.low <= 0.0 <= shown.high for shown in (Shown.of(rng.standard_t(3, 50)) for _ in range(2000))]
    assert 0.94 <= np.mean(held) <= 0.99


def test_near_is_when_the_regret_falls_below_for_good() -> None:
    found = Played(seconds=[1, 2, 3, 4], epochs=[1, 2, 3, 4], regrets=[0.1, 0.0005, 0.01, 0.0008])
    assert time_to(found, 0.001) == 4
    assert time_to(found, 0.05) == 2
    assert time_to(found, 0.0001) == math.inf


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
