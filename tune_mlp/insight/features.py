"""Features: each parameter as a few orthonormal functions of its values, so that variances can be read off their weights."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune_mlp.results.journal import Param

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SMOOTHNESS = (1.0, 0.8, 0.2, 0.08, 0.04)
"""How much of a number's effect the polynomials of each order are expected to carry: most effects rise, fall or have one peak."""
FEW_VALUES = 20
"""A number of so few different values is weighted by its values, each the same; of more, by its range."""
MOST_NAMES = 30
"""The commonest values of a choice have a weight of their own; all others share one."""
WIDE_RANGE = 10.0
"""Positive numbers whose largest is so many times the smallest may be taken by their logarithms."""
SHOWN_POINTS = 201
"""The number of points at which the effect of a number over a range is looked at."""
UNUSED_WITHOUT_LAYERS = ("width", "widths", "activation", "dropout", "batch_norm", "init")
"""Parameters that a net without hidden layers doesn't use."""


@dataclass(frozen=True)
class Feature:
    """A parameter's values as functions with mean 0 and variance 1 over its values, uncorrelated with each other."""

    name: str
    columns: Floats
    """[trials, functions]; 0 where the parameter isn't present."""
    prior: Floats
    """The share of the parameter's variance that each function is expected to have: smooth functions come first."""
    present: Bools
    points: tuple[Param, ...]
    """The values at which the effect can be looked at, in order."""
    at_points: Floats
    """[points, functions]: the functions there."""
    is_number: bool

    @property
    def measure(self) -> float:
        """The share of the trials in which the parameter is present."""
        return float(self.present.mean())


def features(params: Sequence[dict[str, Param]]) -> tuple[list[Feature], list[str]]:
    """Return a feature for each parameter that varies among these trials, and the names of those that don't."""
    names = list(dict.fromkeys(name for drawn in params for name in drawn))
    found, constant = [], []
    for name in names:
        values = [used_value(name, drawn) for drawn in params]
        feature = _feature(name, values)
        if feature is None:
            constant.append(name)
        else:
            found.append(feature)
    return found, constant


def used_value(name: str, drawn: dict[str, Param]) -> Param:
    """Return a parameter's value in one trial; None where it isn't there, isn't finite or the net doesn't use it."""
    value = drawn.get(name)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    no_layers = drawn.get("depth") == 0 or as_list(drawn.get("widths")) == []
    return None if no_layers and name in UNUSED_WITHOUT_LAYERS and name != "widths" else value


def _feature(name: str, values: Sequence[Param]) -> Feature | None:
    present = np.array([value is not None for value in values])
    known = [value for value in values if value is not None]
    if len({_key(value) for value in known}) < 2:
        return None
    lists = [as_list(value) for value in known]
    if all(items is not None for items in lists):
        basis = _of_lists([items for items in lists if items is not None])
    elif all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
        basis = _of_numbers(np.array(known, np.float64)) or _of_names([_key(value) for value in known])
    else:
        basis = _of_names([_key(value) for value in known])
    columns = np.zeros((len(values), basis.columns.shape[1]))
    columns[present] = basis.columns
    prior = basis.prior / basis.prior.sum()
    return Feature(name, columns, prior, present, basis.points, basis.at_points, basis.is_number)


@dataclass(frozen=True)
class _Basis:
    """The functions of a parameter at the values of the trials that have it, and at the points to look at."""

    columns: Floats
    prior: Floats
    points: tuple[Param, ...]
    at_points: Floats
    is_number: bool


def _of_numbers(values: Floats) -> _Basis | None:
    """Return the polynomials of a number; None where the numbers are so close or so far apart that a float can't tell."""
    levels = np.unique(values)
    by_logarithm = is_spread_by_logarithm(levels)
    scaled = np.log(values) if by_logarithm else values
    low, high = float(scaled.min()), float(scaled.max())
    if not 1e-12 * max(abs(low), abs(high)) < high - low < math.inf:
        return None
    at = 2 * ((scaled - low) / (high - low)) - 1
    few = len(levels) <= FEW_VALUES
    support = np.unique(at) if few else np.linspace(-1, 1, SHOWN_POINTS)
    order = min(len(SMOOTHNESS), len(levels) - 1)
    powers = np.vander(support, order + 1, increasing=True)
    _, triangle = np.linalg.qr(powers)
    to_functions = np.linalg.inv(triangle) * math.sqrt(len(support))
    place = (support + 1) / 2 * (high - low) + low
    points = levels if few else (np.exp(place) if by_logarithm else place)
    whole = bool(np.all(levels == np.round(levels)) and np.abs(levels).max() < 2**53)
    shown = tuple(round(point) if whole else float(point) for point in points)
    columns = (np.vander(at, order + 1, increasing=True) @ to_functions)[:, 1:]
    return _Basis(columns, np.array(SMOOTHNESS[:order]), shown, (powers @ to_functions)[:, 1:], is_number=True)


def is_spread_by_logarithm(levels: Floats) -> bool:
    """True for positive numbers over a wide range whose logarithms are spread more evenly than they are."""
    if levels[0] <= 0 or math.log(levels[-1]) - math.log(levels[0]) < math.log(WIDE_RANGE):
        return False
    return _unevenness(np.log(levels)) < _unevenness(levels / levels[-1])


def _unevenness(levels: Floats) -> float:
    """Return how far the quartiles of sorted numbers are from those of evenly spread ones."""
    quartiles = np.quantile(levels, [0.25, 0.5, 0.75])
    return float(np.abs((quartiles - levels[0]) / (levels[-1] - levels[0]) - [0.25, 0.5, 0.75]).sum())


def _of_names(values: Sequence[str]) -> _Basis:
    names, codes, counts = np.unique(
        np.array(values, dtype=object).astype(str), return_inverse=True, return_counts=True
    )
    shown = [_value(name) for name in names]
    if len(names) > MOST_NAMES:
        common = np.sort(np.argsort(-counts, kind="stable")[: MOST_NAMES - 1])
        shown = [*(shown[place] for place in common), "any other"]
        codes = np.where(np.isin(codes, common), np.searchsorted(common, codes), MOST_NAMES - 1)
    count = len(shown)
    contrasts = np.linalg.qr(np.column_stack([np.ones(count), np.eye(count)[:, 1:]]))[0][:, 1:] * math.sqrt(count)
    return _Basis(contrasts[codes], np.ones(count - 1), tuple(shown), contrasts, is_number=False)


def _of_lists(lists: Sequence[list[Any]]) -> _Basis:
    """Return the functions of a list such as `widths`: its length, and the mean of its numbers on a logarithmic scale."""
    lengths = np.array([len(items) for items in lists], np.float64)
    means = [[math.log(item) for item in items if isinstance(item, int | float) and item > 0] for items in lists]
    sizes = np.array([sum(logs) / len(logs) if logs else math.nan for logs in means])
    sizes = np.where(np.isnan(sizes), np.nanmean(sizes) if np.isfinite(sizes).any() else 0.0, sizes)
    parts = [basis for part in (lengths, sizes) if (basis := _of_numbers(part))]
    texts = [json.dumps(items) for items in lists]
    if not parts:
        return _of_names(texts)
    columns = np.column_stack([part.columns for part in parts])
    prior = np.concatenate([part.prior / part.prior.sum() for part in parts])
    first = {text: place for place, text in reversed(list(enumerate(texts)))}
    points = sorted(first, key=lambda text: (len(json.loads(text)), text))[:SHOWN_POINTS]
    at_points = columns[[first[text] for text in points]]
    return _Basis(columns, prior, tuple(points), at_points, is_number=False)


def as_list(value: Any) -> list[Any] | None:
    """Return a list that a parameter holds, as such or as the text `[64, 32]` of a table; else None."""
    if isinstance(value, list | tuple):
        return list(value)
    if isinstance(value, str) and value.startswith("[") and value.endswith("]"):
        try:
            read = json.loads(value)
        except ValueError:
            return None
        return read if isinstance(read, list) else None
    return None


def _key(value: Param) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _value(key: str) -> Param:
    """Return the value that a key stands for: `true` is a truth value, and text stays text."""
    return {"true": True, "false": False}.get(key, key)
