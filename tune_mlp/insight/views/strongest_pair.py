"""The strongest pair of parameters: the mean score of the trials in each part of both ranges."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tune_mlp.insight.importance import EFFECT, importance
from tune_mlp.insight.views.scales import Values, label, score_scale, values_of
from tune_mlp.insight.views.scored_trials import nothing, scores_of
from tune_mlp.results.answer import Answer, counted, percent
from tune_mlp.results.results import Results

IN_A_CELL = 4
"""The number of trials that a cell of two ranges would hold if all held the same."""
MOST_PARTS = 8
COLUMNS = ["first", "second", "mean", "trials", "first_place", "second_place"]


def strongest_pair(results: Results) -> Answer:
    """Return a row for each cell of the two parameters' ranges that holds a trial: the mean score and the number of trials."""
    found = importance(results)
    pairs = found.facts["pairs"]
    if not pairs:
        why = (
            "fewer than two parameters vary together"
            if found.facts["placebo"]
            else "too little is known of the parameters"
        )
        return nothing(f"There is no pair of parameters to show: {why}.", COLUMNS)
    scores = scores_of(results)
    drawn = [results.params.get(int(trial), {}) for trial in scores.index]
    first, second = (values_of(name, drawn) for name in pairs[0]["parameters"])
    both = ~np.isnan(first.numbers) & ~np.isnan(second.numbers)
    if not both.any():
        return nothing(f"No trial with a score has both {first.name} and {second.name}.", COLUMNS)
    most = int(np.clip(np.sqrt(both.sum() / IN_A_CELL), 2, MOST_PARTS))
    (its, texts), (other, other_texts) = _parts(first, both, most), _parts(second, both, most)
    cells = pd.DataFrame({"first_place": its, "second_place": other, "score": scores.to_numpy()[both]})
    rows = cells.groupby(["first_place", "second_place"])["score"].agg(mean="mean", trials="size").reset_index()
    rows["first"] = [texts[place] for place in rows["first_place"]]
    rows["second"] = [other_texts[place] for place in rows["second_place"]]
    facts = {
        "metric": results.metric,
        "mode": results.mode,
        "names": [first.name, second.name],
        "orders": [texts, other_texts],
        "scale": score_scale(rows["mean"].to_numpy(), results.mode)._asdict(),
    }
    return Answer(_sentence(results, pairs[0], rows), rows[COLUMNS], (), facts=facts)


def _parts(values: Values, both: NDArray[np.bool_], most: int) -> tuple[NDArray[np.int64], list[str]]:
    """Return the part of its range that each trial is in, and the parts' names in their order."""
    numbers = values.numbers[both]
    if values.names:
        levels = np.unique(values.numbers[~np.isnan(values.numbers)])
        places = np.searchsorted(levels, numbers)
        if len(levels) <= MOST_PARTS:
            return places, list(values.names)
        common = np.sort(np.argsort(-np.bincount(places, minlength=len(levels)), kind="stable")[: MOST_PARTS - 1])
        where = np.where(np.isin(places, common), np.searchsorted(common, places), len(common))
        return where, [*(values.names[place] for place in common), "any other"]
    scale: Any = np.log if values.by_logarithm else np.asarray
    back: Any = np.exp if values.by_logarithm else np.asarray
    ends = np.linspace(scale(numbers.min()), scale(numbers.max()), most + 1)
    places = np.clip(np.searchsorted(ends, scale(numbers), side="right") - 1, 0, most - 1)
    texts = [label(float(f"{end:.2g}")) for end in back(ends)]
    if len(set(texts)) <= most:  # a narrow range needs all digits
        texts = [f"{end:.6g}" for end in back(ends)]
    return places, [f"{low} to {high}" for low, high in pairwise(texts)]


def _sentence(results: Results, pair: dict[str, Any], rows: pd.DataFrame) -> str:
    first, second = pair["parameters"]
    best = rows.sort_values("mean", ascending=results.mode == "min").iloc[0]
    cell = (
        f"the best mean {results.metric} is {best['mean']:.4g}, at {first} {best['first']:.40} and {second} "
        f"{best['second']:.40} ({counted(int(best['trials']), 'trial')})"
    )
    if pair["verdict"] == EFFECT:
        share, low, high = (percent(pair[name]) for name in ("share", "low", "high"))
        return (
            f"{first} and {second} work together: beside their own effects, their pair has {share} of the variance "
            f"({low} to {high}); {cell}."
        )
    return f"There is no evidence that any two parameters work together; of {first} and {second}, the strongest pair, {cell}."
