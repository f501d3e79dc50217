"""How often `until: plateau` ends a search too early, and how early it ends where nothing is left to gain: made scores, whose tail is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.tables import Table, Target
from tune_mlp.results.more_search import more_trials
from tune_mlp.tuning.plateau import CERTAINTY, FIRST, GROWTH

Floats = NDArray[np.float64]

TAILS: dict[str, Callable[[Floats], Floats]] = {
    "1 parameter: uniform": lambda u: u,
    "4 parameters, a quadratic optimum": lambda u: 1 - (1 - u) ** 0.5,
    "8 parameters, a quadratic optimum": lambda u: 1 - (1 - u) ** 0.25,
    "16 parameters, a quadratic optimum": lambda u: 1 - (1 - u) ** 0.125,
    "no end: exponential": lambda u: -np.log1p(-u),
    "one trial in ten is of a better kind": lambda u: np.where(u < 0.9, u / 0.9, 1.3 + (u - 0.9) / 0.1),
    "scores in steps of 0.05": lambda u: np.floor(20 * (1 - (1 - u) ** 0.25)) / 20,
}
"""How the score grows with the share of trials that are worse."""
SEARCHES, MOST = 1000, 640
SMALL = (1, 2, 3, 6, 12, 25, 50)
"""What is called small, in units of what a doubling brings at 80 trials."""


@dataclass(frozen=True)
class FalseAlarms:
    """What came of searches, for each size of what is called small."""

    small: Floats
    ended: Floats
    """The share that ended before their last trial."""
    after: Floats
    """The median number of trials at the end; infinite where fewer than half ended."""
    false: Floats
    """The share that ended although as many trials again would have brought more than what is small."""


def false_alarms(tail: Callable[[Floats], Floats], searches: int, most: int, seed: int = 0) -> FalseAlarms:
    """Search with scores of a known tail, up to so many trials, by the rule of `until: plateau`."""
    random = np.random.default_rng(seed)
    counts = [FIRST]
    while (count := math.ceil(GROWTH * counts[-1])) <= most:
        counts.append(count)
    middle = (np.arange(1000) + 0.5) / 1000
    small = np.array(SMALL) * float(tail(middle ** (1 / 160)).mean() - tail(middle ** (1 / 80)).mean())
    stops, gains = np.full((searches, len(small)), math.inf), np.zeros((searches, len(small)))
    for search in range(searches):
        scores = tail(random.random(2 * counts[-1]))
        for count in counts:
            more = more_trials(scores[:count], CERTAINTY)
            assert more is not None
            best = scores[:count].max()
            upper = max(more.high, best - scores[: count // 2].max())
            here = np.isinf(stops[search]) & (upper < small)
            stops[search, here] = count
            gains[search, here] = max(0.0, scores[: 2 * count].max() - best)
    return FalseAlarms(small, np.isfinite(stops).mean(0), np.median(stops, axis=0), (gains > small).mean(0))


def measure() -> Table:
    """Return a row for each tail."""
    table = Table(
        "until: plateau where what is left to gain is known",
        ["scores", *(f"small: {times}" for times in SMALL), "false alarms, at most"],
        notes=[
            f"{SEARCHES:,} searches of at most {MOST} trials for each row. What is called small is in units of what doubling 80 trials brings. "
            "The share of searches that ended before their last trial, and the median number of their trials. A false alarm is an end after which as many "
            "trials again would have brought more than what is small; the largest share for any of these sizes is shown.",
        ],
    )
    worst = 0.0
    for name, tail in TAILS.items():
        found = false_alarms(tail, SEARCHES, MOST)
        cells = [
            f"{100 * ended:.0f} %" + (f", {after:.0f}" if math.isfinite(after) else "")
            for ended, after in zip(found.ended, found.after, strict=True)
        ]
        table.rows.append([name, *cells, f"{100 * found.false.max():.1f} %"])
        worst = max(worst, float(found.false.max()))
    table.targets.append(Target("fewer than 5 of 100 searches end too early", worst < 0.05))
    return table
