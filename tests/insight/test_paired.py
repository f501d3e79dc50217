"""Tests of the paired tests: they agree with SciPy's, cover what is true, and claim no difference between equals too often."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, ttest_rel

from tests.insight import searches
from tune_mlp.insight.paired import around, differences, holm, wilson
from tune_mlp.insight.samples import RIGHT, SQUARED, SampleScores


def two(only_first: int, only_other: int, samples: int) -> SampleScores:
    """Return the scores of two trials of which each alone got some samples right."""
    values = np.zeros((2, samples), np.float32)
    values[0, :only_first] = 1
    values[1, only_first : only_first + only_other] = 1
    return SampleScores(RIGHT, np.arange(2), values, 1)


def test_mcnemars_p_is_that_of_the_binomial_test() -> None:
    generator = np.random.default_rng(0)
    for first, other in [(0, 0), (1, 0), (0, 5), (5, 5), *generator.integers(0, 300, (50, 2))]:
        found = differences(two(int(first), int(other), 1000), 0, [1])
        expected = binomtest(int(first), int(first + other)).pvalue if first + other else 1.0
        assert found.p[0] == pytest.approx(expected, rel=1e-9)
        assert (found.only_first[0], found.only_other[0]) == (first, other)


def test_an_interval_holds_0_where_the_test_finds_nothing_and_leaves_it_out_where_it_does() -> None:
    for samples in (20, 500):
        for first in range(18):
            for other in range(18 if samples > 40 else 20 - first):
                found = differences(two(first, other, samples), 0, [1])
                assert (found.low[0] <= 0 <= found.high[0]) == (found.p[0] > 0.05), (first, other, samples)
                assert -1 <= found.low[0] <= found.difference[0] <= found.high[0] <= 1


@pytest.mark.parametrize(("first", "other"), [(0.02, 0.02), (0.05, 0.01), (0.03, 0.001), (0.3, 0.2)])
def test_intervals_of_a_difference_cover_the_truth(first: float, other: float) -> None:
    generator = np.random.default_rng(1)
    kinds = generator.multinomial(300, [first, other, 1 - first - other], size=400)
    covered = 0
    for only_first, only_other, _ in kinds:
        found = differences(two(int(only_first), int(only_other), 300), 0, [1])
        covered += found.low[0] <= first - other <= found.high[0]
    assert covered >= 0.94 * len(kinds)


def test_wilsons_interval_is_that_of_scipy() -> None:
    low, high = wilson(np.array([0.0, 0.9, 1.0]), 50)
    expected = [binomtest(count, 50).proportion_ci(method="wilson") for count in (0, 45, 50)]
    assert list(zip(low, high, strict=True)) == [pytest.approx(tuple(one)) for one in expected]


def test_the_test_of_errors_is_the_paired_t_test_of_what_each_sample_contributes() -> None:
    generator = np.random.default_rng(2)
    scores = SampleScores(SQUARED, np.arange(3), generator.gamma(1, 1, (3, 80)).astype(np.float32), 1)
    found = differences(scores, 0, [1, 2])
    for place in (1, 2):
        expected = ttest_rel(scores.contributions(0), scores.contributions(place))
        assert found.p[place - 1] == pytest.approx(expected.pvalue)
        assert (found.low[place - 1], found.high[place - 1]) == pytest.approx(tuple(expected.confidence_interval()))
        assert found.difference[place - 1] == pytest.approx(scores.scores[0] - scores.scores[place])


def test_equal_errors_and_a_single_sample_are_no_difference() -> None:
    same = SampleScores(SQUARED, np.arange(2), np.full((2, 9), 0.3, np.float32), 1)
    found = differences(same, 0, [1])
    assert (found.difference[0], found.p[0]) == (0, 1)
    met = SampleScores(SQUARED, np.arange(2), np.zeros((2, 9), np.float32), 1)
    assert differences(met, 0, [1]).p[0] == 1
    one = SampleScores(SQUARED, np.arange(2), np.array([[1.0], [4.0]], np.float32), 1)
    found = differences(one, 0, [1])
    assert (found.difference[0], found.p[0], found.low[0], found.high[0]) == (-1, 1, -np.inf, np.inf)
    assert around(one, 0, 1.0) == (-np.inf, np.inf)


@pytest.mark.parametrize(
    "pair",
    [
        lambda g: searches.regression(g, np.full(2, 0.5), 200),
        lambda g: searches.classification(g, np.full(2, 6.0), 200, 3),
    ],
)
def test_t_tests_of_equals_claim_a_difference_in_a_twentieth(pair: object) -> None:
    assert callable(pair)
    claims = [differences(pair(np.random.default_rng(i)).scores, 0, [1]).p[0] <= 0.05 for i in range(600)]
    assert np.mean(claims) < 0.075


def test_holm_steps_down_and_never_below_an_earlier_p() -> None:
    assert holm(np.array([0.04, 0.01, 0.03])) == pytest.approx([0.06, 0.03, 0.06])
    assert holm(np.array([0.9, 0.8])) == pytest.approx([1, 1])
    assert holm(np.array([])).shape == (0,)
