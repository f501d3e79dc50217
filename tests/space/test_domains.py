"""Each domain draws from its own set, with its own law."""

from __future__ import annotations

import math
import statistics
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tune_mlp.errors import StudyError
from tune_mlp.space.domains import DOMAINS, LARGEST, Domain
from tune_mlp.space.parsing import _parse_leaf

GRID = [(i + 0.5) / 20_000 for i in range(20_000)]
"""Numbers spread evenly over [0, 1): what `at` makes of them is the law itself."""

UNITS = st.floats(0, 1, exclude_max=True) | st.just(1.0)
NUMBERS = st.floats(-1e12, 1e12, allow_nan=False)
WHOLES = st.integers(-LARGEST, LARGEST)


def domain(**written: Any) -> Domain:
    leaf = _parse_leaf(written, ("x",))
    assert isinstance(leaf, Domain)
    return leaf


def law(**written: Any) -> list[Any]:
    drawn = domain(**written)
    return [drawn.at(u) for u in GRID]


def shares(values: list[Any]) -> dict[Any, float]:
    return {value: values.count(value) / len(values) for value in sorted(set(values))}


def ordered(values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, Any]]:
    return st.tuples(values, values).map(lambda pair: (min(pair), max(pair))).filter(lambda pair: pair[0] < pair[1])


def test_each_domain_opens_with_a_word_that_is_a_field_of_its_own() -> None:
    for word, kind in DOMAINS.items():
        assert word in [field.alias or name for name, field in kind.model_fields.items()]
        assert kind.__doc__


def test_choice_draws_each_value_as_often() -> None:
    assert shares(law(choice=["a", "b", "c", "d"])) == dict.fromkeys("abcd", 0.25)


def test_choice_keeps_each_values_type() -> None:
    assert [type(value) for value in domain(choice=[1, 1.0, True, "1", [1, 2]]).values() or ()] == [
        int,
        float,
        bool,
        str,
        tuple,
    ]


def test_uniform_is_flat_and_log_is_flat_in_the_exponent() -> None:
    assert statistics.fmean(law(uniform=[2, 4])) == pytest.approx(3, rel=1e-4)
    assert statistics.quantiles(law(uniform=[2, 4]), n=4) == pytest.approx([2.5, 3, 3.5], rel=1e-3)
    assert statistics.quantiles(law(log=[1e-4, 1]), n=4) == pytest.approx([1e-3, 1e-2, 1e-1], rel=1e-2)


def test_int_draws_both_ends_and_all_between_as_often() -> None:
    assert shares(law(int=[-1, 3])) == pytest.approx(dict.fromkeys([-1, 0, 1, 2, 3], 0.2), rel=1e-3)
    assert shares(law(int=[0, 10], step=4)) == pytest.approx(dict.fromkeys([0, 4, 8], 1 / 3), rel=1e-3)


def test_log_int_draws_each_doubling_as_often_and_both_ends() -> None:
    drawn = law(log_int=[1, 1023])
    assert {1, 1023} <= set(drawn)
    doublings = [sum(2**k <= value < 2 ** (k + 1) for value in drawn) / len(drawn) for k in range(3, 10)]
    assert max(doublings) < 1.15 * min(doublings)
    assert all(isinstance(value, int) for value in drawn)


def test_normal_has_its_mean_and_deviation() -> None:
    drawn = law(normal=[5, 2])
    assert statistics.fmean(drawn) == pytest.approx(5, abs=1e-3)
    assert statistics.stdev(drawn) == pytest.approx(2, rel=1e-2)


def test_a_truncated_normal_is_cut_off_rather_than_piled_up_at_its_ends() -> None:
    drawn = law(normal=[0, 1], low=0, high=1)
    assert 0 <= min(drawn) < 1e-3
    assert 0.999 < max(drawn) <= 1
    below_half = sum(value < 0.5 for value in drawn) / len(drawn)
    whole = statistics.NormalDist()
    assert below_half == pytest.approx((whole.cdf(0.5) - 0.5) / (whole.cdf(1) - 0.5), abs=1e-3)


def test_a_rounded_normal_gives_whole_numbers_inside_its_ends() -> None:
    drawn = law(normal=[64, 20], low=31.5, high=96.4, round=True)
    assert all(isinstance(value, int) for value in drawn)
    assert (min(drawn), max(drawn)) == (32, 96)


def test_a_quantised_range_gives_the_numbers_as_they_are_written() -> None:
    assert domain(uniform=[0, 0.5], step=0.1).values() == (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
    assert domain(uniform=[-100, 0], step=0.1).values()[-2:] == (-0.1, 0.0)  # type: ignore[index]
    assert domain(uniform=[0.1, 1], step=0.4).values() == (0.1, 0.5, 0.9)
    assert shares(law(uniform=[0, 0.3], step=0.1)) == dict.fromkeys([0.0, 0.1, 0.2, 0.3], 0.25)
    assert set(law(log=[0.1, 1], step=0.3)) == {0.1, 0.4, 0.7, 1.0}


def test_only_what_can_be_counted_has_values() -> None:
    assert domain(int=[1, 3]).values() == (1, 2, 3)
    assert domain(log_int=[1, 3]).values() == (1, 2, 3)
    assert domain(grid=[3, 1]).values() == (3, 1)
    for endless in ({"uniform": [0, 1]}, {"log": [1, 2]}, {"normal": [0, 1]}, {"int": [0, 10**9]}):
        assert domain(**endless).values() is None


@settings(deadline=None)
@given(ordered(NUMBERS), UNITS)
def test_a_uniform_draw_lies_between_its_ends(ends: tuple[float, float], u: float) -> None:
    value = domain(uniform=list(ends)).at(u)
    assert ends[0] <= value <= ends[1]  # type: ignore[operator]


@settings(deadline=None)
@given(ordered(st.floats(1e-300, 1e300)), UNITS)
def test_a_log_draw_lies_between_its_ends(ends: tuple[float, float], u: float) -> None:
    value = domain(log=list(ends)).at(u)
    assert ends[0] <= value <= ends[1]  # type: ignore[operator]


@settings(deadline=None)
@given(ordered(st.floats(1e-3, 1e3)), st.floats(1e-4, 1), UNITS)
def test_a_quantised_draw_is_one_of_its_values(ends: tuple[float, float], share: float, u: float) -> None:
    step = share * (ends[1] - ends[0])
    for word in ("uniform", "log"):
        try:
            stepped = domain(**{word: list(ends)}, step=step)
        except StudyError:  # a step that rounding makes longer than the range, or 0
            continue
        value = stepped.at(u)
        assert ends[0] <= value <= ends[1]  # type: ignore[operator]
        if stepped.values() is not None:
            assert value in stepped.values()  # type: ignore[operator]


@settings(deadline=None)
@given(ordered(WHOLES), st.integers(1, 1000), UNITS)
def test_a_whole_draw_lies_between_its_ends_on_a_step(ends: tuple[int, int], step: int, u: float) -> None:
    step = min(step, ends[1] - ends[0])
    value = domain(int=list(ends), step=step).at(u)
    assert isinstance(value, int)
    assert ends[0] <= value <= ends[1]
    assert (value - ends[0]) % step == 0


@settings(deadline=None)
@given(ordered(st.integers(1, LARGEST)), UNITS)
def test_a_log_int_draw_lies_between_its_ends(ends: tuple[int, int], u: float) -> None:
    value = domain(log_int=list(ends)).at(u)
    assert isinstance(value, int)
    assert ends[0] <= value <= ends[1]


@settings(deadline=None)
@given(NUMBERS, st.floats(1e-6, 1e6), st.floats(-3, 2), st.floats(0.1, 5), st.booleans(), UNITS)
def test_a_truncated_normal_draw_lies_between_its_ends(
    mean: float, deviation: float, start: float, length: float, whole: bool, u: float
) -> None:
    low, high = mean + start * deviation, mean + (start + length) * deviation
    try:
        cut = domain(normal=[mean, deviation], low=low, high=high, round=whole)
    except StudyError:  # no whole number between, or ends that rounding makes equal
        return
    value = cut.at(u)
    assert low <= value <= high  # type: ignore[operator]
    assert math.isfinite(value)  # type: ignore[arg-type]
    assert not whole or isinstance(value, int)


@settings(deadline=None)
@given(st.lists(st.integers() | st.text() | st.floats(0.1, 9), min_size=1, unique_by=repr), UNITS)
def test_a_chosen_value_is_one_of_those_listed(values: list[Any], u: float) -> None:
    for word in ("choice", "grid"):
        assert domain(**{word: values}).at(u) in values


@pytest.mark.parametrize(
    "written",
    [
        {"uniform": [0, 1]},
        {"uniform": [0, 1], "step": 0.3},
        {"log": [1e-3, 1]},
        {"int": [0, 9], "step": 2},
        {"log_int": [1, 99]},
        {"normal": [0, 1]},
        {"normal": [5, 3], "low": 1, "round": True},
    ],
)
def test_no_draw_passes_the_extremes_that_a_study_is_checked_with(written: dict[str, Any]) -> None:
    lowest, highest = domain(**written).extremes()
    drawn = law(**written)
    assert lowest <= min(drawn)  # type: ignore[operator]
    assert max(drawn) <= highest  # type: ignore[operator]
