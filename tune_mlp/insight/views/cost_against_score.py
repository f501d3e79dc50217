"""What a score costs: seconds and weights of each trial against its score, and the front of the trials that nothing beats."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tune_mlp.insight.views.drawn_trials import left_out, settings_of
from tune_mlp.insight.views.scales import score_scale
from tune_mlp.insight.views.scored_trials import drawn_with_scores, nothing, scores_of
from tune_mlp.records import Mode
from tune_mlp.results.answer import Answer
from tune_mlp.results.front import front
from tune_mlp.results.results import Results

WIDE = 10.0
"""Costs are on a logarithmic scale where the largest is so many times the smallest."""
MOST_ON_FRONT = 50
APART = 0.05
"""Two trials of the front that the chart names are so far apart, as a share of the range of costs."""
NEARLY = 0.95
"""The cheap trial that the sentence names has reached this share of the way from the cheapest trial's score to the best one's."""
COLUMNS = ["trial", "cost", "score", "front", "named", "settings"]


class CostColumn(NamedTuple):
    """A column of the table of trials that says what a trial costs."""

    column: str
    title: str
    missing: str
    """The sentence for results that don't have it."""
    words: str
    """The cost in a sentence."""


SECONDS = CostColumn("seconds", "seconds of the trial", "It isn't known how long the trials took.", "in {:.3g} s")
WEIGHTS = CostColumn(
    "weights", "weights of the net", "It isn't known how many weights the nets have.", "with {:,.0f} weights"
)


def time_against_score(results: Results) -> Answer:
    """Return a row for each drawn trial: its seconds, its score, and whether it is on the front."""
    return _against_score(results, SECONDS)


def weights_against_score(results: Results) -> Answer:
    """Return a row for each drawn trial: the weights of its net, its score, and whether it is on the front."""
    return _against_score(results, WEIGHTS)


def pareto_front(costs: NDArray[np.float64], scores: NDArray[np.float64], mode: Mode) -> NDArray[np.int64]:
    """Return the places of the trials that no other one beats in one of both without being worse in the other, the cheapest first.

    Of trials that are equal in both, the first one counts.
    """
    return front(np.column_stack([costs, -scores if mode == "max" else scores]))


def _against_score(results: Results, cost: CostColumn) -> Answer:
    scores = scores_of(results)
    if cost.column not in results.trials or cost.column in results.parameters:
        return nothing(cost.missing, COLUMNS)
    costs = pd.to_numeric(results.trials.set_index("trial")[cost.column], errors="coerce").astype("float64")
    known = pd.DataFrame({"score": scores, "cost": costs.reindex(scores.index)})
    known = known[np.isfinite(known["cost"]) & (known["cost"] >= 0)]
    if known.empty:
        return nothing("No trial has a score." if scores.empty else cost.missing, COLUMNS)
    on_front = known.iloc[pareto_front(known["cost"].to_numpy(), known["score"].to_numpy(), results.mode)]
    shown = on_front.iloc[np.unique(np.linspace(0, len(on_front) - 1, MOST_ON_FRONT).round().astype(int))]
    drawn = drawn_with_scores(results)
    rows = pd.DataFrame({"trial": [*{*drawn["trial"], *shown.index} & {*known.index}]}).sort_values(
        "trial", ignore_index=True
    )
    rows = rows.merge(known, left_on="trial", right_index=True)
    rows["front"] = rows["trial"].isin(shown.index)
    rows["named"] = rows["trial"].isin(_named(shown, known))
    rows["settings"] = [settings_of(results, int(trial)) for trial in rows["trial"]]
    scale = score_scale(known["score"].to_numpy(), results.mode)
    low, high = float(known["cost"].min()), float(known["cost"].max())
    facts = {
        "metric": results.metric,
        "mode": results.mode,
        "title": cost.title,
        "log": low > 0 and high / low >= WIDE,
        "scale": scale._asdict(),
    }
    notes = (*left_out(drawn), *scale.notes)
    return Answer(_sentence(on_front, known, cost, results.metric), rows[COLUMNS], (), notes=notes, facts=facts)


def _named(front: pd.DataFrame, known: pd.DataFrame) -> list[int]:
    """Return the trials of the front whose names have room beside each other, the best first."""
    costs = np.log(known["cost"]) if known["cost"].min() > 0 else known["cost"]
    along = (costs / (np.ptp(costs) or 1.0)).to_dict()
    chosen: list[int] = []
    for trial in front.index[::-1]:
        if all(along[other] - along[trial] >= APART for other in chosen):
            chosen.append(int(trial))
    return chosen


def _sentence(front: pd.DataFrame, known: pd.DataFrame, cost: CostColumn, metric: str) -> str:
    """Name the best trial, and the cheapest one that comes near it."""
    best = front.iloc[-1]
    dear = cost.words.format(best["cost"])
    if len(front) == 1:
        if len(known) == 1:
            return f"Trial {best.name} is the only one with a score: {metric} {best['score']:.4g} {dear}."
        return f"Trial {best.name} is both the best and the cheapest of {len(known):,} trials: {metric} {best['score']:.4g} {dear}."
    reached = (front["score"] - front["score"].iloc[0]) / (best["score"] - front["score"].iloc[0])
    near = front[reached >= NEARLY].iloc[0]
    said = f"{len(front)} of {len(known):,} trials are on the front; the best, trial {best.name}, has {metric} {best['score']:.4g} {dear}"
    if near.name == best.name:
        return f"{said}, and no cheaper one comes near it."
    return f"{said}, and trial {near.name} has {near['score']:.4g} {cost.words.format(near['cost'])}."
