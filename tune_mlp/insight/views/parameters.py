"""The score along each parameter: the trials, and the middle half of their scores in each part of the parameter's range."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tune_mlp.insight.effects import KNOWN
from tune_mlp.insight.importance import EFFECT, importance
from tune_mlp.insight.views.drawn_trials import left_out
from tune_mlp.insight.views.scales import Values, label, score_scale
from tune_mlp.insight.views.scored_trials import drawn_with_scores, leading_parameters, nothing, scores_of
from tune_mlp.results.answer import Answer
from tune_mlp.results.results import Results

MOST = 12
"""The largest number of parameters that are shown."""
IN_A_BIN = 8
"""The number of trials that a part of a range holds at least."""
BINS, FEWEST_BINS = 10, 3
"""A range has so many parts, or its trials are shown alone."""
IN_A_BOX = 3
"""A value that fewer trials have gets no box."""
COLUMNS = ["trial", "score", "settings"]


def parameters(results: Results) -> Answer:
    """Return a row for each drawn trial with a score, with its values of the leading parameters in the columns v0, v1 ...

    The fact `panels` has for each parameter its name, its scale and the spread of the scores in each part of its range.
    """
    scores = scores_of(results)
    if len(scores) < 2:
        few = "No trial has" if scores.empty else "Only one trial has"
        return nothing(f"{few} a score, so it can't be held against the settings.", COLUMNS)
    leading = leading_parameters(results, MOST)
    if not leading:
        return nothing("No parameter has more than one value, so there is nothing to hold against the score.", COLUMNS)
    rows = drawn_with_scores(results)
    of = left_out(rows)
    there = (
        results.trials["trial"].isin(rows["trial"]).to_numpy() & results.trials["trial"].isin(scores.index).to_numpy()
    )
    rows = rows[rows["score"].notna()].drop(columns="state").reset_index(drop=True)
    own = results.trials["trial"].map(scores).to_numpy(np.float64)
    judged = importance(results).table.set_index("parameter")
    known = judged["high"] - judged["low"] < KNOWN
    panels: list[dict[str, Any]] = []
    for number, values in enumerate(leading):
        rows[f"v{number}"] = values.numbers[there]
        panels.append(
            {
                "name": values.name,
                "verdict": judged.loc[values.name, "verdict"],
                "share": judged.loc[values.name, "share"],
                "known": bool(known[values.name]),
                "log": values.by_logarithm and not values.names,
                "names": values.names,
                "low": float(np.nanmin(values.numbers)),
                "high": float(np.nanmax(values.numbers)),
                "spread": _spread(values, own),
            }
        )
        if values.names and values.is_number:  # few numbers are shown value by value, evenly spaced
            rows[f"v{number}"] = np.searchsorted(
                np.unique(values.numbers[~np.isnan(values.numbers)]), rows[f"v{number}"]
            )
            rows.loc[np.isnan(values.numbers[there]), f"v{number}"] = np.nan
    scale = score_scale(scores.to_numpy(), results.mode)
    facts = {"metric": results.metric, "panels": panels, "scale": scale._asdict()}
    more = len(results.parameters) - len(leading)
    rest = (
        (f"{more:,} further parameters, of less importance or of one value only, are not shown.",) if more > 1 else ()
    )
    return Answer(_sentence(results.metric, panels), rows, (), notes=(*of, *scale.notes, *rest), facts=facts)


def _spread(values: Values, scores: NDArray[np.float64]) -> list[dict[str, Any]]:
    """Return the quartiles of the scores at each value, or in parts of the range that hold equally many trials."""
    known = ~np.isnan(values.numbers) & np.isfinite(scores)
    numbers, scores = values.numbers[known], scores[known]
    if values.names:
        levels = np.unique(values.numbers[~np.isnan(values.numbers)])
        groups = [(numbers == level, float(place), values.names[place]) for place, level in enumerate(levels)]
        return [_quartiles(scores[its], at, name) for its, at, name in groups if its.sum() >= IN_A_BOX]
    count = min(BINS, len(numbers) // IN_A_BIN)
    if count < FEWEST_BINS:
        return []
    parts = np.array_split(np.argsort(numbers, kind="stable"), count)
    return [
        _quartiles(
            scores[part], float(np.median(numbers[part])), f"{_end(numbers[part].min())} to {_end(numbers[part].max())}"
        )
        for part in parts
    ]


def _quartiles(scores: NDArray[np.float64], at: float, name: str) -> dict[str, Any]:
    low, median, high = np.quantile(scores, [0.25, 0.5, 0.75])
    return {"at": at, "name": name, "low": low, "median": median, "high": high, "trials": len(scores)}


def _end(number: float) -> str:
    return label(int(number) if number == round(number) and abs(number) < 10**6 else float(number))


def _sentence(metric: str, panels: list[dict[str, Any]]) -> str:
    """Say along which parameter the score changes."""
    leading = panels[0]
    which = (
        f"Along {leading['name']}, which {'matters most' if leading['known'] else 'has an effect of unknown size'},"
        if leading["verdict"] == EFFECT
        else f"No parameter is known to matter; along the first one, {leading['name']},"
    )
    if len(leading["spread"]) < 2:
        return f"{which} there are too few trials to say how {metric} changes."
    by_median = pd.DataFrame(leading["spread"]).sort_values("median")
    low, high = by_median.iloc[0], by_median.iloc[-1]
    return (
        f"{which} the median {metric} goes from {low['median']:.4g} at {low['name']:.40} to {high['median']:.4g} at "
        f"{high['name']:.40}."
    )
