"""Tests of the set that can't be told from the winner: equals are hardly ever told apart, and better ones are found."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from tests.insight import searches
from tests.insight.runs import a_run, right
from tests.insight.searches import Search
from tune_mlp.insight.leaders import against_the_winner, indistinguishable_line
from tune_mlp.results.results import Results


def claims(searched: list[Search]) -> float:
    """Return the share of searches in which a trial is told from the winner."""
    return float(np.mean([against_the_winner(search.scores).told_apart.any() for search in searched]))


@pytest.mark.parametrize("trials", [2, 20])
def test_of_equal_trials_one_is_told_from_the_winner_in_at_most_a_twentieth(trials: int) -> None:
    searched = [searches.classification(np.random.default_rng(i), np.full(trials, 6.0), 1000) for i in range(200)]
    assert claims(searched) <= 0.05


@pytest.mark.slow
@pytest.mark.parametrize(("trials", "samples"), [(2, 1000), (5, 300), (20, 1000), (100, 1000), (300, 1000)])
def test_of_equal_trials_one_is_told_from_the_winner_in_at_most_a_twentieth_in_full(trials: int, samples: int) -> None:
    equal = np.full(trials, searches.GOOD)
    searched = (searches.classification(np.random.default_rng(i), equal, samples) for i in range(1000))
    found = np.mean([against_the_winner(search.scores).told_apart.any() for search in searched])
    print(f"{trials} equal trials, {samples} samples: a difference is claimed in {100 * found:.1f} % of 1,000 searches")
    assert found <= 0.05


def test_trials_that_are_worse_are_told_from_the_winner_and_equal_ones_arent() -> None:
    search = searches.classification(np.random.default_rng(0), np.repeat([6.0, 3.0], [3, 7]), 3000)
    told = against_the_winner(search.scores).told_apart
    assert list(told) == [False] * 2 + [True] * 7


def test_the_line_says_how_many_and_names_the_command(tmp_path: Path) -> None:
    results = a_run(tmp_path, {0: right(950), 1: right(949), 2: right(700)})
    command = f"tune-mlp compare {tmp_path}"
    assert (
        indistinguishable_line(results) == f"1 of the 2 other trials can't be told from the winner at 95 %: {command}"
    )


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ((950, 300), "the other trial can be told from the winner at 95 %"),
        ((950, 949), "the other trial cannot be told from the winner at 95 %"),
        ((950, 300, 200), "both other trials can be told from the winner at 95 %"),
    ],
)
def test_the_line_is_a_plain_one_for_few_trials_too(counts: tuple[int, ...], said: str, tmp_path: Path) -> None:
    results = a_run(tmp_path, {number: right(count) for number, count in enumerate(counts)})
    assert indistinguishable_line(results) == f"{said}: tune-mlp compare {tmp_path}"


def test_the_line_takes_no_time_at_the_end_of_a_search(tmp_path: Path) -> None:
    """Loading the outcomes of 100 trials with 10,000 samples and comparing them takes under 0.2 s."""
    generator = np.random.default_rng(0)
    a_run(tmp_path, {number: generator.random((1, 10_000)) < 0.95 for number in range(100)})
    indistinguishable_line(Results.load(tmp_path))
    took = []
    for _ in range(3):
        results = Results.load(tmp_path)
        began = time.perf_counter()
        assert "of the 99 other trials" in indistinguishable_line(results)
        took.append(time.perf_counter() - began)
    assert min(took) < 0.2
