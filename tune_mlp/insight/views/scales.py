"""Scales of charts: which way numbers are spread, where each value stands between 0 and 1, and the labels beside it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tune_mlp.insight.features import as_list, is_spread_by_logarithm, used_value
from tune_mlp.records import Mode
from tune_mlp.results.journal import Param

Floats = NDArray[np.float64]
FEW = 8
"""A parameter of so few different values has a label for each, and is shown value by value."""
MOST_LABELS = 12
NEAREST = 0.055
"""Two labels of an axis are at least so far apart, as a share of its length."""
FAR_OFF = 10.0
"""A scale ends where the better three quarters of the scores do, if all of them span so many times as much."""
WIDE = 100.0
"""Scores of which a small one is good are on a logarithmic scale where the largest is so many times the smallest."""


class Values(NamedTuple):
    """The values that trials have of one parameter."""

    name: str
    numbers: Floats
    """The value of each trial, NaN where it has none; of a choice the place of the value among `names`."""
    names: tuple[str, ...]
    """The different values in their order, where there are few of them or they are no numbers; else empty."""
    by_logarithm: bool
    is_number: bool

    @property
    def varies(self) -> bool:
        return len(np.unique(self.numbers[~np.isnan(self.numbers)])) > 1


def values_of(name: str, params: Sequence[dict[str, Param]]) -> Values:
    """Return the values of a parameter in these trials; a trial whose net doesn't use it has none."""
    used = [used_value(name, drawn) for drawn in params]
    known = [value for value in used if value is not None]
    levels = sorted({_key(value): value for value in known}.values(), key=_order)
    place = {_key(value): at for at, value in enumerate(levels)}
    names = tuple(label(value) for value in levels)
    if known and all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
        numbers = np.array([math.nan if value is None else value for value in used], np.float64)
        low, high = float(np.nanmin(numbers)), float(np.nanmax(numbers))
        if 1e-12 * max(abs(low), abs(high)) < high - low < math.inf:
            by_logarithm = is_spread_by_logarithm(np.unique(numbers[~np.isnan(numbers)]))
            return Values(name, numbers, names if len(names) <= FEW else (), by_logarithm, is_number=True)
    places = np.array([math.nan if value is None else place[_key(value)] for value in used], np.float64)
    return Values(name, places, names, by_logarithm=False, is_number=False)


class Axis(NamedTuple):
    """An axis from 0 to 1."""

    at: Floats
    """Where each value stands, NaN where there is none."""
    ticks: list[tuple[float, str]]


def axis_of(values: Values) -> Axis:
    """Return the axis of a parameter."""
    if values.is_number:
        return number_axis(values.numbers, values.by_logarithm, values.names)
    last = max(1, len(values.names) - 1)
    ticks = [(place / last, name) for place, name in enumerate(values.names)]
    if len(ticks) > MOST_LABELS:
        ticks = [ticks[place] for place in np.linspace(0, last, MOST_LABELS).round().astype(int)]
    return Axis(values.numbers / last, ticks)


def number_axis(numbers: Floats, by_logarithm: bool, names: Sequence[str] = ()) -> Axis:
    """Return an axis from the smallest to the largest number; with names, they are those of the different numbers."""
    scale = np.log10 if by_logarithm else np.asarray
    low, high = float(np.nanmin(numbers)), float(np.nanmax(numbers))
    first, last = float(scale(low)), float(scale(high))
    span = last - first if last > first else 1.0
    levels = np.unique(numbers[~np.isnan(numbers)])
    marks = levels if names else np.array([low, high, *_round_numbers(low, high, by_logarithm)])
    texts = names or [label(float(mark)) for mark in marks]
    ticks: list[tuple[float, str]] = []
    for mark, text in zip(marks, texts, strict=True):
        at = (float(scale(mark)) - first) / span
        if all(abs(at - other) >= NEAREST for other, _ in ticks):
            ticks.append((at, text))
    return Axis((scale(numbers) - first) / span, sorted(ticks))


def _round_numbers(low: float, high: float, by_logarithm: bool) -> list[float]:
    """Return the round numbers between two numbers."""
    if by_logarithm:
        powers = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
        step = max(1, len(powers) // 5)
        return [10.0**power for power in powers[::step]]
    if not 0 < high - low < math.inf:
        return []
    size = 10 ** math.floor(math.log10((high - low) / 4))
    step_size = next(size * times for times in (1, 2, 5, 10) if (high - low) / (size * times) <= 5)
    return [step_size * count for count in range(math.ceil(low / step_size), math.floor(high / step_size) + 1)]


class ScoreScale(NamedTuple):
    """The scale of scores that a chart uses, so that a few hopeless trials don't squeeze all others together."""

    low: float
    high: float
    by_logarithm: bool
    beyond: int
    """The number of trials that are worse than the scale's end, and are drawn there."""

    @property
    def notes(self) -> tuple[str, ...]:
        if not self.beyond:
            return ()
        trials = "1 trial is" if self.beyond == 1 else f"{self.beyond:,} trials are"
        return (f"{trials} worse than the end of the scale, and drawn there.",)


def score_scale(scores: Floats, mode: Mode) -> ScoreScale:
    """Return the scale for these finite scores."""
    low, high = float(scores.min()), float(scores.max())
    if mode == "min" and low > 0 and high / low >= WIDE:
        return ScoreScale(low, high, by_logarithm=True, beyond=0)
    good = float(np.quantile(scores, 0.25 if mode == "max" else 0.75, method="nearest"))
    best = high if mode == "max" else low
    end = best + 1.5 * (good - best)
    if abs(good - best) == 0 or (high / FAR_OFF - low / FAR_OFF) <= abs(good - best):
        return ScoreScale(low, high, by_logarithm=False, beyond=0)
    beyond = int((scores < end).sum() if mode == "max" else (scores > end).sum())
    return ScoreScale(min(best, end), max(best, end), by_logarithm=False, beyond=beyond)


def label(value: Param) -> str:
    """Return a value as an axis or a sentence names it: with three digits."""
    if isinstance(value, float):
        return f"{value:.3g}".replace("e-0", "e-").replace("e+0", "e")
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**6:
        return f"{value:.3g}".replace("e+0", "e").replace("e+", "e")
    return _key(value)


def _key(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _order(value: Any) -> tuple[Any, ...]:
    """Sort numbers by their size, lists by their length and size, all else by its text."""
    items = as_list(value)
    if items is not None:
        return (1, len(items), sum(item for item in items if isinstance(item, int | float)), _key(value))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (0, value, 0, "")
    return (2, 0, 0, _key(value))
