"""The Pareto front: which rows no other row beats in all goals at once, and how rows are ordered by several goals.

Each row has a cost for each goal, of which less is better. A row is beaten by one that is as low in every goal and lower in one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tune_mlp.records import Goal

Costs = NDArray[np.float64]


def front(costs: Costs) -> NDArray[np.int64]:
    """Return the places of the rows that no other row beats, the lowest in the first goal first; of equal rows the first counts."""
    rows, places = np.unique(costs + 0.0, axis=0, return_index=True)
    found = []
    while len(rows):
        # The rows are in order, so none of those left beats the first one.
        found.append(places[0])
        left = (rows < rows[0]).any(axis=1)
        rows, places = rows[left], places[left]
    return np.array(found, dtype=np.int64)


def best_first(costs: Costs) -> list[int]:
    """Return the places of all rows, best first: the front, then the front of those that are left, and so on.

    Within a front, the lowest in the first goal comes first, and then always the row that is farthest from all before it: so the
    first few are spread over the whole front (an epsilon net, as Salinas et al. 2021 order it). Distances are counted in places
    along the front, so that no goal's unit matters.
    """
    order: list[int] = []
    left = np.arange(len(costs))
    while len(left):
        here = left[front(costs[left])]
        order += here[_spread_out(costs[here])].tolist()
        left = np.setdiff1d(left, here)
    return order


def trials_in_order(values: Mapping[int, tuple[float, ...]], goals: Sequence[Goal]) -> list[int]:
    """Return trials, of which each has a value of each goal, best first; of equal ones the lower number."""
    numbers = sorted(values)
    return [numbers[place] for place in best_first(costs_of(np.array([values[one] for one in numbers]), goals))]


def _spread_out(costs: Costs) -> list[int]:
    ranks = np.stack([np.unique(goal, return_inverse=True)[1] for goal in costs.T], axis=1)
    chosen, gap = [0], np.abs(ranks - ranks[0]).sum(axis=1)
    while len(chosen) < len(costs):
        chosen.append(int(gap.argmax()))
        gap = np.minimum(gap, np.abs(ranks - ranks[chosen[-1]]).sum(axis=1))
    return chosen


def costs_of(values: Costs, goals: Sequence[Goal]) -> Costs:
    """Return values of goals, a column for each, with the sign by which less is better."""
    return values * [1.0 if goal.mode == "min" else -1.0 for goal in goals]
