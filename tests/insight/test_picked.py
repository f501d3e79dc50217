"""Tests of the winner's corrected score: it is what it says, and comes close to the truth where the measured one doesn't."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.insight import searches
from tests.insight.searches import Search
from tune_mlp.insight.paired import around
from tune_mlp.insight.picked import corrected_score
from tune_mlp.insight.samples import RIGHT, SQUARED, SampleScores

FAMILIES: dict[str, Callable[[np.random.Generator], NDArray[np.float64]]] = {
    "equal trials": lambda generator: np.full(100, searches.GOOD),
    "most are good, some are bad": lambda generator: 7 - generator.exponential(1, 100),
    "from chance to good": lambda generator: generator.uniform(0, 7, 100),
}
"""The qualities of a search's 100 trials."""


def alike(generator: np.random.Generator) -> NDArray[np.float64]:
    """Return the qualities of 100 trials that differ about as much as their luck does."""
    return searches.GOOD + generator.normal(0, 0.3, 100)


@pytest.mark.parametrize("measure", [RIGHT, SQUARED])
def test_it_is_the_mean_score_outside_of_bootstraps_of_the_best_inside(measure: str) -> None:
    generator = np.random.default_rng(0)
    values = generator.random((5, 40)).astype(np.float32)  # no two trials are equal
    ranking = np.argsort(values.mean(axis=1))
    values = values[ranking[::-1] if measure == RIGHT else ranking]
    scores = SampleScores(measure, np.arange(5), values, 3)
    draws = np.random.default_rng(7)
    expected = []
    for _ in range(100):
        inside = draws.integers(40, size=40)
        means = values[:, inside].mean(axis=1, dtype=np.float64)
        best = means.argmax() if measure == RIGHT else means.argmin()
        outside = np.setdiff1d(np.arange(40), inside)
        score = values[best, outside].mean(dtype=np.float64)
        expected.append(score if measure == RIGHT else np.sqrt(score))
    assert corrected_score(scores, seed=7, bootstraps=100) == pytest.approx(np.mean(expected), rel=1e-6)


def test_a_trial_that_is_far_better_is_hardly_corrected() -> None:
    search = searches.classification(np.random.default_rng(0), np.array([6.0, 1.0, 0.0]), 1000)
    assert corrected_score(search.scores, 0) == pytest.approx(search.scores.scores[0], abs=0.002)


def test_of_trials_that_are_equal_in_a_bootstrap_any_is_taken() -> None:
    """One of two trials is wrong on one of 20 samples. Bootstraps without that sample, 36 %, leave both equal: half of these take
    this one, which is then wrong on one of the 7.4 samples that are left out."""
    values = np.ones((2, 20), np.float32)
    values[1, 19] = 0
    scores = SampleScores(RIGHT, np.arange(2), values, 1)
    assert corrected_score(scores, 0, 4000) == pytest.approx(1 - 0.36 / 2 / 7.4, abs=0.004)


@pytest.mark.parametrize("measure", [RIGHT, SQUARED])
def test_the_corrected_score_is_never_better_than_the_measured_one(measure: str) -> None:
    """Where the winner is far better, the mean of the bootstraps is as often better than its score as it is worse."""
    capped = 0
    for seed in range(20):
        values = np.zeros((2, 60), np.float32)
        values[0, :50] = 1
        values = values if measure == RIGHT else 1 - values
        scores = SampleScores(measure, np.arange(2), values, 1)
        corrected, measured = corrected_score(scores, seed, 20), scores.scores[0]
        assert corrected <= measured if measure == RIGHT else corrected >= measured
        capped += corrected == measured
    assert 0 < capped < 20


def test_one_sample_can_tell_nothing() -> None:
    assert np.isnan(corrected_score(SampleScores(RIGHT, np.arange(2), np.ones((2, 1), np.float32), 1), 0))


def errors(searched: list[Search], bootstraps: int) -> tuple[NDArray[np.float64], NDArray[np.float64], list[bool]]:
    """Return the errors of the measured and of the corrected scores in points, and whether the interval covers the truth."""
    measured, corrected, covered = [], [], []
    for seed, search in enumerate(searched):
        score = corrected_score(search.scores, seed, bootstraps)
        low, high = around(search.scores, 0, score)
        measured.append(100 * (search.scores.scores[0] - search.truth[0]))
        corrected.append(100 * (score - search.truth[0]))
        covered.append(bool(low <= search.truth[0] <= high))
    return np.array(measured), np.array(corrected), covered


def test_of_equal_trials_the_measured_score_is_too_good_and_the_corrected_one_isnt() -> None:
    """The luck that all trials of a search share with its samples is taken off, so that few searches suffice."""
    searched = [searches.classification(np.random.default_rng(i), np.full(50, searches.GOOD), 500) for i in range(60)]
    luck = np.array([100 * (search.scores.scores - search.truth).mean() for search in searched])
    measured, corrected, covered = errors(searched, 100)
    assert abs((corrected - luck).mean()) < 0.2
    assert (measured - luck).mean() > 1
    assert np.mean(covered) >= 0.8


def in_full(qualities: Callable[[np.random.Generator], NDArray[np.float64]], name: str) -> tuple[float, float, float]:
    """Return the mean errors of the measured and of the corrected score in 200 searches, and how often the interval covers."""
    generators = [np.random.default_rng(1000 + i) for i in range(200)]
    searched = [searches.classification(generator, qualities(generator), 1000) for generator in generators]
    measured, corrected, covered = errors(searched, 500)
    print(
        f"{name}: measured {measured.mean():+.3f} points, corrected {corrected.mean():+.3f} "
        f"(standard error {corrected.std() / np.sqrt(200):.3f}); the interval covers {100 * np.mean(covered):.0f} %"
    )
    return float(measured.mean()), float(corrected.mean()), float(np.mean(covered))


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_over_200_searches_the_corrected_score_is_right_within_a_tenth_of_a_point(family: str) -> None:
    measured, corrected, covered = in_full(FAMILIES[family], family)
    assert abs(corrected) < 0.1
    assert measured > 4 * abs(corrected)
    assert covered >= 0.9


@pytest.mark.slow
def test_where_trials_differ_as_much_as_their_luck_the_corrected_score_errs_to_the_safe_side() -> None:
    """A bootstrap's choice is luckier than the search's own, and so a worse one; this is where that matters most."""
    measured, corrected, covered = in_full(alike, "trials that differ as much as their luck")
    assert -0.25 < corrected < 0
    assert measured > 3 * abs(corrected)
    assert covered >= 0.9
