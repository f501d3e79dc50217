"""The law by which values near a prior are drawn, in terms of a domain's quantiles."""

from __future__ import annotations

import operator
from collections.abc import Callable
from statistics import NormalDist
from typing import Any

SPREAD = 0.25
"""The standard deviation of the draws near a prior, as a share of the domain's range."""


def near_quantile(centre: float, u: float) -> float:
    """Map a uniform number to a quantile near `centre`.

    The law is a normal distribution that is truncated at both ends of the domain; PriorBand (Mallik et al. 2023) takes the same.
    """
    law = NormalDist(centre, SPREAD)
    start, end = law.cdf(0.0), law.cdf(1.0)
    return min(max(law.inv_cdf(start + u * (end - start)), 0.0), 1 - 1e-12)


def quantile_of(at: Callable[[float], Any], value: Any) -> float:
    """Return the middle of the interval that `at` maps to a number; `at` never decreases, so bisection finds both ends."""
    ends = []
    for beyond in (operator.ge, operator.gt):
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (low, middle) if beyond(at(middle), value) else (middle, high)
        ends.append(high)
    return sum(ends) / 2
