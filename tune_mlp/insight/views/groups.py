"""Groups of trials by a parameter's value, and which parameters part the trials most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tune_mlp.results.results import Results

MOST_PARAMETERS = 4
"""The largest number of parameters that a view shows."""
MOST_GROUPS = 6
"""The largest number of groups by value; numbers of more values are parted at their quartiles."""
OTHERS = "other values"


class Grouping(NamedTuple):
    """A parameter with its groups, in order; `of` has each trial's group, -1 where the trial hasn't the parameter."""

    parameter: str
    names: list[str]
    of: Any


def strongest(results: Results, trials: Sequence[int], response: Any) -> list[Grouping]:
    """Return the groups of the parameters by which the response differs most, the strongest first.

    What is compared is the share of the ranks' variance that lies between groups, less what chance alone would give.
    """
    table = results.trials.set_index("trial").loc[list(trials)]
    ranks = pd.Series(response).rank().to_numpy()
    found = [grouping for name in results.parameters if len((grouping := _grouping(name, table[name])).names) > 1]
    strength = [_between(grouping.of, ranks) for grouping in found]
    order = np.argsort([-share for share in strength], kind="stable")[:MOST_PARAMETERS]
    return [found[place] for place in order]


def _grouping(parameter: str, values: pd.Series[Any]) -> Grouping:
    codes, levels = pd.factorize(values, sort=_is_number(values))
    if len(levels) <= 1 or not _is_number(values) or len(levels) <= MOST_GROUPS:
        return _by_value(parameter, codes, list(levels))
    numbers = pd.to_numeric(values).to_numpy(dtype=float, na_value=np.nan)
    known = np.isfinite(numbers)
    inner = np.quantile(numbers[known], (0.25, 0.5, 0.75), method="nearest")
    of = np.where(known, np.searchsorted(np.unique(inner), numbers), -1)
    used = np.unique(of[known])
    of = np.where(known, np.searchsorted(used, of), -1)
    ends = [(numbers[of == group].min(), numbers[of == group].max()) for group in range(len(used))]
    names = [_said(low) if low == high else f"{_said(low)} to {_said(high)}" for low, high in ends]
    return Grouping(parameter, names, of)


def _by_value(parameter: str, codes: Any, levels: list[Any]) -> Grouping:
    if len(levels) > MOST_GROUPS:
        common = np.argsort(-np.bincount(codes[codes >= 0]), kind="stable")[: MOST_GROUPS - 1]
        place = np.full(len(levels) + 1, MOST_GROUPS - 1)
        place[common] = np.arange(len(common))
        place[-1] = -1  # a missing value has the code -1
        return Grouping(parameter, [*(_said(levels[i]) for i in common), OTHERS], place[codes])
    return Grouping(parameter, [_said(level) for level in levels], codes)


def _is_number(values: pd.Series[Any]) -> bool:
    return pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype)


def _said(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else f"{value}"


def _between(groups: Any, ranks: Any) -> float:
    known = groups >= 0
    sizes = np.bincount(groups[known])
    total = float(((ranks[known] - ranks[known].mean()) ** 2).sum())
    apart, left = len(sizes) - 1, int(known.sum()) - len(sizes)
    if total == 0 or left <= 0:
        return -1.0
    means = np.bincount(groups[known], weights=ranks[known]) / sizes
    between = float((sizes * (means - ranks[known].mean()) ** 2).sum())
    return (between - apart * (total - between) / left) / total
