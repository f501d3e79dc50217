"""The range of an axis of scores: far-off values of a score without bounds are drawn at the axis's edge, and said to be."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tune_mlp.records import Mode

FAR = 8.0
"""A value is far off where it is this many times the interquartile range beyond the worse quartile."""
DECADES = 1.5
"""A score of errors that spans more powers of ten than this is drawn on a logarithmic axis."""


class ScoreRange(NamedTuple):
    """The ends of an axis of scores, and whether it is logarithmic."""

    low: float
    high: float
    log: bool
    beyond: int
    """How many of the values lie outside of it."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Return the note that a reader needs; none where all values are inside."""
        far = "1 value is" if self.beyond == 1 else f"{self.beyond:,} values are"
        return (f"{far} beyond the axis and drawn at its edge.",) if self.beyond else ()


def score_range(values: Any, mode: Mode) -> ScoreRange:
    """Return the range for these scores. Scores up to 1 that are to be large, such as accuracies, keep their whole range."""
    found = np.asarray(values, dtype=float)
    found = found[np.isfinite(found)]
    if not len(found):
        return ScoreRange(0.0, 1.0, False, 0)
    low, high = float(found.min()), float(found.max())
    errors = mode == "min"
    if not errors and low >= 0:
        return ScoreRange(low, high, False, 0)
    log = errors and low > 0
    scaled = np.log10(found) if log else found
    first = np.quantile(scaled, 0.25, method="higher")  # towards the middle, so that one of four values can be far off
    third = np.quantile(scaled, 0.75, method="lower")
    reach = FAR * max(third - first, 1e-12 + 0.01 * abs(third))
    if errors:
        high = float(found[scaled <= third + reach].max())
    else:
        low = float(found[scaled >= first - reach].min())
    log = log and bool(np.log10(high / low) > DECADES)
    return ScoreRange(low, high, log, int(((found > high) | (found < low)).sum()))
