"""Comparing trials on the same validation samples: is one better than another, and which can't be told from the winner?"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from tune_mlp.errors import UsageError, no_such_trial
from tune_mlp.insight.leaders import AgainstTheWinner, against_the_winner, how_many_alike
from tune_mlp.insight.paired import CONFIDENCE, around, differences, holm, wilson
from tune_mlp.insight.picked import BOOTSTRAPS, corrected_score
from tune_mlp.insight.samples import RIGHT, SampleScores, sample_scores
from tune_mlp.results.answer import Answer, listed, trials_named
from tune_mlp.results.remembered import remembered
from tune_mlp.results.results import Results
from tune_mlp.results.tables import score_column

PAIRS_SAID = 3
"""The number of pairs that the sentence names."""
WINNER, ALIKE, WORSE, BETTER = "winner", "not told apart", "worse", "better"
"""The verdicts on a trial beside the winner. `better` is possible only where the study ranks by another metric."""


@remembered
def compare(results: Results, trials: Sequence[int] = (), seed: int = 0) -> Answer:
    """Compare these trials with each other, or without any all trials of a run with its winner.

    The seed is that of the bootstraps which correct the winner's score for having been picked.
    """
    scores, notes = sample_scores(results)
    if trials:
        return _pairs(results, _chosen(results, scores, trials))
    return _leaders(results, scores, notes, seed)


def _chosen(results: Results, scores: SampleScores, trials: Sequence[int]) -> SampleScores:
    """Return the scores of these trials alone."""
    if len(trials) < 2 or len(set(trials)) < len(trials):
        raise UsageError("compare: name two different trials or more, or none for all of them beside the winner")
    states = dict(zip(results.trials["trial"], results.trials["state"], strict=True))
    there = {int(trial): place for place, trial in enumerate(scores.trials)}
    for trial in trials:
        if trial not in states:
            raise UsageError(no_such_trial(trial, states))
        if states[trial] in ("diverged", "failed"):
            raise UsageError(f"trial {trial}: it {states[trial]}, and so has nothing that can be compared")
        if trial not in there:
            raise UsageError(
                f"trial {trial}: it has no outcomes: it is under way, an earlier version trained it, or they are damaged"
            )
    places = [there[trial] for trial in trials]
    return SampleScores(scores.measure, scores.trials[places], scores.values[places], scores.seeds)


def _pairs(results: Results, scores: SampleScores) -> Answer:
    """Compare each pair of trials; of each pair the one that measured better stands first."""
    measured, sign = scores.scores, 1 if scores.mode == "max" else -1
    pairs = [
        (first, other) if sign * measured[first] >= sign * measured[other] else (other, first)
        for first, other in itertools.combinations(range(len(scores.trials)), 2)
    ]
    found = [differences(scores, first, [other]) for first, other in pairs]
    corrected = holm(np.array([one.p[0] for one in found]))
    rows = [
        {
            "trial": int(scores.trials[first]),
            "other": int(scores.trials[other]),
            **_only("trial_only", int(one.only_first[0]), scores),
            **_only("other_only", int(one.only_other[0]), scores),
            "difference": one.difference[0],
            "low": one.low[0],
            "high": one.high[0],
            "p": p,
            "verdict": BETTER if p <= 1 - CONFIDENCE else ALIKE,
        }
        for (first, other), one, p in zip(pairs, found, corrected, strict=True)
    ]
    each = f"{_test(scores)} on the same {scores.samples:,} validation samples"
    method = (
        f"{each}{'' if len(rows) == 1 else f', corrected for {len(rows)} pairs (Holm)'}; intervals are of 95 % for each pair.",
        "If a trial was chosen because it looked best, compare without naming trials, which corrects for that.",
    )
    facts = {"metric": results.metric, "mode": results.mode, "trials": len(scores.trials)}
    return Answer(
        _pairs_sentence(scores, rows),
        pd.DataFrame(rows),
        method,
        (*results.outcomes.notes, *_about_the_metric(results, scores)),
        facts,
    )


def _pairs_sentence(scores: SampleScores, rows: Sequence[dict[str, Any]]) -> str:
    if len(rows) == 1:
        (row,) = rows
        first, other = row["trial"], row["other"]
        if row["verdict"] == BETTER:
            return f"Trial {first} is better than trial {other}: it {_by_how_much(scores, row)}."
        return f"Trial {first} and trial {other} can't be told apart: trial {first} {_by_how_much(scores, row)}."
    apart = [f"trial {row['trial']} is better than trial {row['other']}" for row in rows if row["verdict"] == BETTER]
    if not apart:
        return f"None of the {len(rows)} pairs can be told apart at 95 %."
    more = f", and {len(apart) - PAIRS_SAID} more" if len(apart) > PAIRS_SAID else ""
    return f"{len(apart)} of {len(rows)} pairs can be told apart at 95 %: {', '.join(apart[:PAIRS_SAID])}{more}."


def _by_how_much(scores: SampleScores, row: dict[str, Any]) -> str:
    """Say how much better the first of two trials measured."""
    low, high = (row["low"], row["high"]) if scores.mode == "max" else (-row["high"], -row["low"])
    if scores.measure != RIGHT:
        interval = f"(95 % interval {low:.4g} to {high:.4g}, {_p(row['p'])})"
        return f"has a {scores.measure} that is {abs(row['difference']):.4g} lower {interval}"
    points = f"{100 * row['difference']:.2f} points"
    interval = f"95 % interval {100 * low:.2f} to {100 * high:.2f}, {_p(row['p'])}"
    if not scores.binary:
        return f"has an accuracy that is {points} higher over {scores.seeds} seeds ({interval})"
    more = row["trial_only"] - row["other_only"]
    return f"got {more:,} of {scores.samples:,} more samples right ({points}, {interval})"


def _leaders(results: Results, scores: SampleScores, notes: tuple[str, ...], seed: int) -> Answer:
    """Compare each trial with the winner, and correct the winner's score for having been picked."""
    beside, measured = against_the_winner(scores), scores.scores
    corrected = math.nan
    if results.metric == scores.measure:
        corrected = corrected_score(scores, seed) if len(scores.trials) > 1 else float(measured[0])
    winner = int(scores.trials[0])
    low, high = around(scores, 0, float(measured[0]) if math.isnan(corrected) else corrected)
    table = _with_goals(results, _beside_the_winner(scores, beside))
    alike = [int(trial) for trial in table.loc[table["verdict"] == ALIKE, "trial"]]
    of_winner = {"trial": winner, "measured": float(measured[0]), "corrected": corrected, "low": low, "high": high}
    facts = {
        "metric": results.metric,
        "mode": results.mode,
        "trials": len(scores.trials),
        "winner": of_winner,
        "indistinguishable": alike,
    }
    figures = _figures(scores, of_winner)
    others = len(beside.p)
    if others == 0:
        sentence = f"Trial {winner} is the only one to compare; its {scores.measure} is {figures}."
    else:
        told = how_many_alike(len(alike), others, f"the winner, trial {winner},")
        sentence = f"{told[0].upper()}{told[1:]}; its {scores.measure} is {figures}."
    pairs = len(scores.trials) * others // 2
    times = f", p times {pairs:,} pairs of trials since the winner was picked" if pairs > 1 else ""
    method = (
        f"{_test(scores)} of each trial against the winner on the same {scores.samples:,} validation samples{times}.",
        f"The expected score is that of the best trial of a bootstrap on the samples left out of it, the mean of {BOOTSTRAPS}, or the measured one if that is worse.",
    )
    about = (*_about_the_metric(results, scores), *_about_the_front(results, table))
    return Answer(sentence, table, method if others else (), (*notes, *about), facts)


def _beside_the_winner(scores: SampleScores, beside: AgainstTheWinner) -> pd.DataFrame:
    """Return a row for each trial: first the winner, then those that can't be told from it, then the others, each best first."""
    sign = 1 if scores.mode == "max" else -1
    found, measured = beside.differences, scores.scores
    if scores.binary:
        low, high = wilson(measured, scores.samples)
    else:
        low, high = np.array([around(scores, place, score) for place, score in enumerate(measured)]).T
    apart = np.where(sign * found.difference > 0, WORSE, BETTER)
    table = pd.DataFrame(
        {
            "trial": scores.trials,
            scores.measure: measured,
            "low": low,
            "high": high,
            **_only("winner_only", [pd.NA, *found.only_first], scores),
            **_only("other_only", [pd.NA, *found.only_other], scores),
            "difference": [math.nan, *found.difference],
            "p": [math.nan, *beside.p],
            "verdict": [WINNER, *np.where(beside.told_apart, apart, ALIKE)],
        }
    )
    order = np.argsort([False, *beside.told_apart], kind="stable")
    return table.iloc[order].reset_index(drop=True)


def _with_goals(results: Results, table: pd.DataFrame) -> pd.DataFrame:
    """Add a column for each further goal of the study, and one that says which trials are on the front."""
    if not results.goals:
        return table
    columns = {goal.name: score_column(results.trials, goal.name) for goal in results.goals[1:]}
    rows = results.trials.set_index("trial").loc[table["trial"]]
    goals = {name: rows[column].array for name, column in columns.items() if name not in table.columns}
    return table.assign(**goals, on_front=table["trial"].isin(results.front["trial"]))


def _about_the_front(results: Results, table: pd.DataFrame) -> tuple[str, ...]:
    """Say which trials are on the front, and which of them can't be told from the winner."""
    if not results.goals:
        return ()
    trials = [int(trial) for trial in results.front["trial"]]
    names = listed([goal.name for goal in results.goals])
    alike = set(table.loc[table["verdict"] == ALIKE, "trial"])
    same = [trial for trial in trials if trial in alike]
    said = f"On the front of {names}: {trials_named(trials)}"
    return (f"{said}; of these {trials_named(same)} can't be told from the winner at 95 %." if same else f"{said}.",)


def _only(name: str, counts: Any, scores: SampleScores) -> dict[str, Any]:
    """Return the column of how many samples one of two trials alone got right, where samples are right or wrong."""
    if scores.measure != RIGHT:
        return {}
    return {name: pd.array(counts, dtype="Int64") if isinstance(counts, list) else counts}


def _figures(scores: SampleScores, winner: dict[str, Any]) -> str:
    measured, corrected, low, high = (
        _figure(scores, winner[name]) for name in ("measured", "corrected", "low", "high")
    )
    interval = f"(95 % interval {low} to {high})"
    if math.isnan(winner["corrected"]) or len(scores.trials) == 1:
        return f"{measured} {interval}"
    return f"{measured} as measured, {corrected} expected on new data {interval}"


def _figure(scores: SampleScores, value: float) -> str:
    return f"{value:.4f}" if scores.measure == RIGHT else f"{value:.4g}"


def _test(scores: SampleScores) -> str:
    return "McNemar's exact test" if scores.binary else "A paired t-test"


def _p(value: float) -> str:
    return "p < 0.0001" if value < 0.0001 else f"p = {value:.2g}"


def _about_the_metric(results: Results, scores: SampleScores) -> tuple[str, ...]:
    """Say what is compared, where the study ranks its trials by another metric."""
    if results.metric == scores.measure:
        return ()
    what = "which samples a trial got right" if scores.measure == RIGHT else "its squared errors"
    return (
        f"The trials are ranked by {results.metric}, and compared by {what}, that is by {scores.measure}; the winner's score "
        "isn't corrected for having been picked by another metric.",
    )
