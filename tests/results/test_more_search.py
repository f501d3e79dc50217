"""What more search would bring is foreseen with an interval that holds it."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from tune_mlp.results.more_search import _expected_best, more_trials

Floats = NDArray[np.float64]

TAILS: dict[str, Callable[[Floats], Floats]] = {
    "an end that many scores come close to": lambda u: u,
    "an end that few scores come close to": lambda u: 1 - (1 - u) ** 0.25,
    "no end": lambda u: -np.log1p(-u),
}


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("count", [20, 100])
def test_nineteen_gains_of_twenty_are_no_larger_than_the_upper_end(tail: str, count: int) -> None:
    """The interval is of 90 %, and so one gain of twenty may be above it; with 150 searches chance adds 6 to the 7.5 of them."""
    random = np.random.default_rng(7)
    above = 0
    for _ in range(150):
        scores = TAILS[tail](random.random(2 * count))
        more = more_trials(scores[:count])
        assert more is not None
        assert 0 <= more.low <= more.gain <= more.high
        above += float(scores.max() - scores[:count].max()) > more.high
    assert above <= 13


def test_the_upper_end_falls_as_trials_come() -> None:
    random = np.random.default_rng(3)
    scores = random.random(800)
    ends = [found.high for count in (25, 200, 800) if (found := more_trials(scores[:count]))]
    assert ends[0] > 2 * ends[1] > 4 * ends[2]


def test_too_few_scores_say_nothing() -> None:
    assert more_trials(np.array([0.1, 0.2, 0.3, 0.4, 0.5])) is None
    assert more_trials(np.array([0.5, 0.6] + [-np.inf] * 30)) is None


def test_where_many_trials_share_the_best_value_nothing_more_is_foreseen() -> None:
    more = more_trials(np.array([1.0] * 8 + [0.5] * 12))
    assert more is not None
    assert (more.gain, more.low, more.high) == (0, 0, 0)


def test_a_unit_and_an_origin_make_no_difference() -> None:
    scores = np.random.default_rng(0).random(60)
    here, there = more_trials(scores), more_trials(100 * scores - 7)
    assert here is not None
    assert there is not None
    assert there.gain == pytest.approx(100 * here.gain)
    assert there.high == pytest.approx(100 * here.high)


def test_twice_as_many_trials_bring_more_and_an_earlier_best_leaves_less() -> None:
    scores = np.random.default_rng(1).random(40)
    once, twice = more_trials(scores), more_trials(scores, times=2)
    behind = more_trials(scores, best=1.02)
    assert once is not None
    assert twice is not None
    assert behind is not None
    assert behind.high < once.high < twice.high
    assert behind.gain <= once.gain < twice.gain


def test_the_expected_best_is_the_mean_over_all_choices() -> None:
    ranked = np.sort(np.random.default_rng(2).random(9))[::-1]
    for size in (1, 4, 9):
        choices = [max(choice) for choice in itertools.combinations(ranked, size)]
        assert _expected_best(ranked, size) == pytest.approx(np.mean(choices))
