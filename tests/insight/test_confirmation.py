"""The statistics of a confirmation: intervals cover what is known, and equals are told apart no more often than is said."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from tune_mlp.insight.confirmation import best_of, confirm_table, simplest_of, t_interval

FAMILIES = {
    "equal": (np.zeros(5), np.ones(5)),
    "steps": (-np.arange(5.0), np.ones(5)),
    "unequal spreads": (-np.arange(5.0) / 2, np.array([0.5, 1, 1, 1, 3])),
}
"""The true means of configurations, and the standard deviations over their seeds."""


def drawn(family: str, generator: np.random.Generator, seeds: int = 5, shared: float = 0.5) -> pd.DataFrame:
    """Return values of nets; this share of their variance is common to nets of one seed."""
    means, deviations = FAMILIES[family]
    common = generator.normal(size=(1, seeds)) * math.sqrt(shared)
    own = generator.normal(size=(len(means), seeds)) * math.sqrt(1 - shared)
    return pd.DataFrame(means[:, None] + deviations[:, None] * (common + own))


def coverage(family: str, tables: int, mode: str = "max") -> tuple[float, float, float]:
    """Return how often a mean's interval covers it, how often all differences are covered at once, and how often the truly best
    is among those that can't be told apart."""
    generator = np.random.default_rng(0)
    truth: NDArray[np.float64] = FAMILIES[family][0]
    mean = pairs = kept = 0.0
    for _ in range(tables):
        values = drawn(family, generator)
        table = confirm_table(values if mode == "max" else -values, "max" if mode == "max" else "min")
        trials = table["trial"].to_numpy()
        sign = 1 if mode == "max" else -1
        mean += ((table["low"] <= sign * truth[trials]) & (sign * truth[trials] <= table["high"])).mean()
        behind = truth[trials[0]] - truth[trials[1:]]
        others = table.iloc[1:]
        pairs += bool(((others["behind_low"] <= behind) & (behind <= others["behind_high"])).all())
        kept += bool(table.set_index("trial")["verdict"][int(truth.argmax())] != "worse")
    return mean / tables, pairs / tables, kept / tables


@pytest.mark.parametrize("family", FAMILIES)
def test_95_percent_intervals_cover_the_known_means(family: str) -> None:
    mean, pairs, kept = coverage(family, 80)
    assert mean >= 0.9
    assert pairs >= 0.9
    assert kept >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["max", "min"])
@pytest.mark.parametrize("family", FAMILIES)
def test_95_percent_intervals_cover_the_known_means_in_1000_tables(family: str, mode: str) -> None:
    mean, pairs, kept = coverage(family, 1000, mode)
    print(f"\n{family}, {mode}: means {mean:.3f}, all differences {pairs:.3f}, the best kept {kept:.3f}")
    assert 0.94 <= mean <= 0.96
    assert pairs >= 0.94
    assert kept >= 0.95


def test_a_configuration_that_is_clearly_worse_is_told_apart() -> None:
    values = pd.DataFrame([[0.97, 0.972, 0.971], [0.9, 0.901, 0.902]], index=[7, 3])
    table = confirm_table(values, "max")
    assert list(table["trial"]) == [7, 3]
    assert list(table["verdict"]) == ["best", "worse"]
    assert table["behind"][1] == pytest.approx(0.07)
    assert list(confirm_table(-values, "min")["verdict"]) == ["best", "worse"]


def test_one_seed_tells_nothing_apart() -> None:
    table = confirm_table(pd.DataFrame([[0.9], [0.1]]), "max")
    assert list(table["verdict"]) == ["best", "not told apart"]
    assert table[["std", "low", "high", "behind_low"]].isna().all(axis=None)


def test_a_configuration_that_diverged_from_one_seed_is_never_best() -> None:
    table = confirm_table(pd.DataFrame([[0.99, math.nan], [0.5, 0.6]]), "max")
    assert list(table["trial"]) == [1, 0]
    assert list(table["verdict"]) == ["best", "diverged or failed"]
    assert list(table["seeds"]) == [2, 1]
    alone = confirm_table(pd.DataFrame([[math.nan, math.nan]]), "max")
    assert best_of(alone) is None


def test_rounded_scores_that_differ_by_chance_alone_are_not_told_apart() -> None:
    """Two seeds with the same difference have no spread, and yet say little: scores are shares of a few samples."""
    table = confirm_table(pd.DataFrame([[0.91, 0.92], [0.90, 0.91]]), "max")
    assert list(table["verdict"]) == ["best", "not told apart"]
    constant = confirm_table(pd.DataFrame([[0.5, 0.5], [0.5, 0.5]]), "max")
    assert list(constant["verdict"]) == ["best", "not told apart"]


def test_the_simplest_is_the_one_with_the_fewest_weights_of_those_alike() -> None:
    table = pd.DataFrame(
        {
            "trial": [1, 2, 3, 4],
            "verdict": ["best", "not told apart", "not told apart", "worse"],
            "weights": [900, 500, 500, 10],
        }
    )
    assert simplest_of(table) == 2
    assert best_of(table) == 1


def test_students_interval_is_scipys() -> None:
    interval = t_interval(np.array([1.0, 2.0, 4.0]), 0.95)
    assert interval.mean == pytest.approx(7 / 3)
    assert (interval.low, interval.high) == pytest.approx((-1.461, 6.128), abs=1e-3)
