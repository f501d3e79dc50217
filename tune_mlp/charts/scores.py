"""The axis of a score, and numbers with as many digits as a chart can show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt
import numpy as np


def score_scale(axis: Mapping[str, Any]) -> alt.Scale:
    """Return the scale of a score's axis: of this range, logarithmic or not. What lies beyond is drawn at its edge."""
    low, high = axis["low"], axis["high"]
    if low != high and not axis["log"]:
        low, high = low - 0.03 * (high - low), high + 0.03 * (high - low)
    return number_scale(low, high, axis["log"], nice=False, clamp=True)


def number_scale(low: float, high: float, log: bool, **settings: Any) -> alt.Scale:
    """Return a scale of this range, which is widened where it is a single value.

    Vega would warn if it had to look for the range in a layer without rows, or if zero were spoken of beside logarithms.
    """
    if low == high:
        low, high = low - 0.05 * (abs(low) or 1), high + 0.05 * (abs(high) or 1)
    kind: dict[str, Any] = {"type": "log"} if log else {"type": "linear", "zero": False}
    return alt.Scale(domain=[float(low), float(high)], **kind, **settings)


def rounded(values: Any) -> list[float | None]:
    """Return the numbers with five digits, which is more than a chart shows and half as long in its file."""
    return [float(f"{value:.5g}") if np.isfinite(value) else None for value in np.asarray(values, dtype=float)]


def whole_ticks(most: int, first: int = 1) -> Any:
    """Return each whole number as a tick while there are few; Vega, which chooses them where there are many, would repeat some."""
    return list(range(first, most + 1)) if most <= 15 else alt.Undefined
