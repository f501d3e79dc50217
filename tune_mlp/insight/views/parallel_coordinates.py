"""Parallel coordinates: for each trial a line through its values of the leading parameters and its score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tune_mlp.insight.views.drawn_trials import left_out
from tune_mlp.insight.views.scales import Axis, Values, axis_of, label, number_axis, score_scale
from tune_mlp.insight.views.scored_trials import drawn_with_scores, leading_parameters, nothing, scores_of
from tune_mlp.results.answer import Answer, listed
from tune_mlp.results.results import Results

MOST = 8
"""The largest number of parameters that have an axis."""
ABSENT = -0.13
"""The place below an axis where trials pass that don't use the parameter, or have no score."""
BEST = 0.1
"""The best trials, a share of all of them, that the chart and its sentence are about; at least three and at most fifty."""
MOST_NAMED = 3
NARROW = 0.5
"""The sentence names a parameter if the best trials span at most this share of its axis, and have at most three of a choice's values."""
COLUMNS = ["trial", "state", "score", "settings", "best"]


def parallel_coordinates(results: Results) -> Answer:
    """Return a row for each drawn trial, with its place on each axis from 0 to 1 in the columns p0, p1 ...; the last axis is the score.

    The fact `axes` has the name and the labels of each axis. A trial that doesn't use a parameter passes below its axis.
    """
    scores = scores_of(results)
    if len(scores) < 2:
        return nothing(f"{_few(len(scores))} a score, so there are no settings to hold against each other.", COLUMNS)
    leading = leading_parameters(results, MOST)
    if not leading:
        return nothing("No parameter has more than one value, so there is nothing to hold against the score.", COLUMNS)
    rows = drawn_with_scores(results)
    best = scores.index[: min(max(3, round(BEST * len(scores))), len(scores) // 2 + 1, 50)]
    rows["best"] = rows["trial"].isin(best)
    places = np.flatnonzero(results.trials["trial"].isin(rows["trial"]))
    axes = [axis_of(values) for values in leading]
    facts = [
        {"name": values.name, "ticks": axis.ticks, "absent": "not used" if np.isnan(axis.at).any() else ""}
        for values, axis in zip(leading, axes, strict=True)
    ]
    for number, axis in enumerate(axes):
        rows[f"p{number}"] = _placed(axis.at[places])
    scale = score_scale(scores.to_numpy(), results.mode)
    shown = number_axis(
        np.array([scale.low, scale.high, *rows["score"].clip(scale.low, scale.high)]), scale.by_logarithm
    )
    better_up = results.mode == "max"
    at = shown.at[2:] if better_up else 1 - shown.at[2:]
    rows[f"p{len(axes)}"] = _placed(at)
    ticks = [(tick if better_up else 1 - tick, text) for tick, text in shown.ticks]
    facts.append({"name": results.metric, "ticks": ticks, "absent": "no score" if np.isnan(at).any() else ""})
    among = results.trials["trial"].isin(best).to_numpy()
    sentence = _sentence(len(best), len(results.trials), leading, axes, among)
    return Answer(
        sentence, rows, (), notes=(*left_out(rows), *scale.notes), facts={"axes": facts, "metric": results.metric}
    )


def _placed(at: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isnan(at), ABSENT, np.round(at, 4))


def _sentence(count: int, of: int, leading: Sequence[Values], axes: Sequence[Axis], among: NDArray[np.bool_]) -> str:
    """Say in which values the best trials agree."""
    said = []
    for values, axis in zip(leading, axes, strict=True):
        own = values.numbers[among]
        if np.isnan(own).any():
            continue
        if values.is_number:
            share = float(np.ptp(axis.at[among]))
        else:
            share = len(np.unique(own)) / len(values.names)
            if len(np.unique(own)) > MOST_NAMED:
                continue
        if share <= NARROW:
            said.append((share, f"{values.name} {_range(values, own)}"))
    which = f"The best {count} of {of:,} trials" if count > 1 else f"The best of {of:,} trials"
    if not said:
        return f"{which} are spread over more than half of each parameter's range."
    return f"{which} have {listed([text for _, text in sorted(said)[:3]])}."


def _range(values: Values, own: NDArray[np.float64]) -> str:
    if not values.is_number:
        return " or ".join(f"{values.names[int(place)]:.40}" for place in np.unique(own))
    whole = bool(np.all(own == np.round(own)) and np.abs(own).max() < 10**6)
    low, high = (label(int(number) if whole else float(number)) for number in (own.min(), own.max()))
    return low if low == high else f"from {low} to {high}"


def _few(count: int) -> str:
    return "No trial has" if count == 0 else "Only one trial has"
