"""Importance: which parameters matter for the score, how sure that is, and which of their values are best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tune_mlp.insight.defaults import default_values, nearest_point
from tune_mlp.insight.effects import CERTAIN, RESAMPLES, Effect, Share, effects, pair_group
from tune_mlp.insight.evidence import Candidate, Evidence, find_effects, shuffles_of
from tune_mlp.insight.features import Feature, features
from tune_mlp.insight.responses import responses
from tune_mlp.insight.variance_components import Group
from tune_mlp.results.answer import Answer
from tune_mlp.results.results import Results

Floats = NDArray[np.float64]

FEWEST = 8
"""Fewer trials with a score tell nothing."""
LEVEL, PAIR_LEVEL = 0.035, 0.002
"""How often noise alone may look like the effect of a parameter, and of a pair; together below 5 %."""
PAIRED = 12
"""Pairs are looked for among so many parameters, those of the greatest strength."""
EFFECT, NO_EVIDENCE = "effect", "no evidence"
COLUMNS = [
    "parameter",
    "share",
    "low",
    "high",
    "verdict",
    "gain",
    "gain_low",
    "gain_high",
    "best",
    "default",
    "at_most",
    "p",
]


@dataclass(frozen=True)
class Judged:
    """What a set of trials says of its parameters."""

    found: Sequence[Feature]
    evidence: Evidence
    pairs: Sequence[tuple[int, int]]
    pair_evidence: Evidence
    own: Sequence[Effect]
    pair_shares: Sequence[Share]
    """The shares of the pairs with an effect, in the order of `pair_evidence.chosen`."""

    @property
    def with_effect(self) -> set[int]:
        """The places of the parameters that have an effect, alone or in a pair."""
        in_pairs = {place for pair in self.pair_evidence.chosen for place in self.pairs[pair]}
        return {*self.evidence.chosen, *in_pairs}


def importance(results: Results, seed: int = 0) -> Answer:
    """Say which parameters matter for the results' metric. The same seed gives the same answer."""
    response = responses(results)
    found, constant = features([results.params.get(int(trial), {}) for trial in response.trials])
    facts: dict[str, Any] = {"metric": results.metric, "mode": results.mode, "trials": len(response.trials)}
    notes = [f"{_some(constant)}: one value only, so nothing can be said"] if constant else []
    rare = [feature.name for feature in found if feature.present.sum() < FEWEST]
    found = [feature for feature in found if feature.present.sum() >= FEWEST]
    count = len(response.trials)
    scores, unit = _standardised(response.scores)
    unjudged = [{"parameter": name, "verdict": NO_EVIDENCE} for name in (*rare, *constant)]
    if rare and found:
        notes.append(f"{_some(rare)}: in fewer than {FEWEST} trials, so nothing can be said")
    fault = _cannot_judge(results.metric, count - int(response.without.sum()), found, unit)
    if fault:
        nothing = [{"parameter": feature.name, "share": 0.0, "verdict": NO_EVIDENCE} for feature in found]
        table = pd.DataFrame([*nothing, *unjudged], columns=COLUMNS)
        return Answer(fault, table, (), notes=tuple(notes), facts={**facts, "pairs": [], "placebo": {}})
    random = np.random.default_rng(seed)
    judged = judge(found, scores, random)
    order = sorted(range(len(found)), key=lambda place: -judged.own[place].share.share)
    defaults = default_values([feature.name for feature in found]) if results.study else {}
    rows = [_row(judged, place, defaults, unit) for place in order]
    table = pd.DataFrame([*rows, *unjudged], columns=COLUMNS)
    if response.carried:
        notes.append(
            f"{response.carried} stopped trials count with the gap that they had, in their last epoch, to the trials that went on"
        )
    failures = _failures(found, response.without, random)
    if failures:
        notes.append(str(failures.pop("sentence")))
    pairs = _pair_rows(judged)
    if pairs and pairs[0]["verdict"] == EFFECT:
        notes.append(_pair_sentence(pairs[0]))
    facts |= {
        "pairs": pairs,
        "placebo": {
            "copies": shuffles_of(count),
            "level": LEVEL,
            "strength": judged.evidence.threshold,
            "strengths": {feature.name: judged.evidence.strengths[i] for i, feature in enumerate(found)},
        },
        "failures": failures,
    }
    method = (
        f"share: a fit of all parameters and pairs, with shrinkage; 90 % intervals from {RESAMPLES} resamples of the trials.",
        f"verdict: an effect is stronger than the strongest of all parameters' shuffled copies in {100 * (1 - LEVEL):g} % of {shuffles_of(count)} shuffles.",
    )
    shown = pd.DataFrame([_shown(judged.found[place], row) for place, row in zip(order, rows, strict=True)])
    shown = shown.loc[:, (shown != "").any()]
    return Answer(_sentence(results.metric, judged, order), table, method, shown, tuple(notes), facts)


def _shown(feature: Feature, row: dict[str, Any]) -> dict[str, str]:
    """Return a row as a person reads it."""
    sure = row["verdict"] == EFFECT
    return {
        "parameter": feature.name,
        "share of variance": f"{_percent(row['share'])} ({100 * row['low']:.0f} to {_percent(row['high'])})",
        "verdict": row["verdict"],
        "a good choice brings": f"{row['gain']:.3g} ({row['gain_low']:.3g} to {row['gain_high']:.3g})" if sure else "",
        "best": "" if row["best"] is None else _values(row["best"], feature),
        "its default costs": "" if row["at_most"] is None else f"at most {row['at_most']:.3g}",
    }


def judge(found: Sequence[Feature], scores: Floats, random: np.random.Generator) -> Judged:
    """Judge the features by the scores of their trials, which are standardised."""
    views = [scores, _normal_scores(scores)]
    mains = [Candidate(Group(feature.columns, feature.prior), feature.present) for feature in found]
    evidence = find_effects(mains, views, LEVEL, random)
    strongest = sorted(np.argsort(-evidence.strengths, kind="stable")[:PAIRED].tolist())
    strongest = sorted({*strongest, *evidence.chosen[:PAIRED]})
    pairs = [(a, b) for a, b in combinations(strongest, 2) if _both_vary(found[a], found[b])]
    candidates = [Candidate(pair_group(found[a], found[b]), found[a].present & found[b].present) for a, b in pairs]
    given = [mains[place].group for place in evidence.chosen]
    pair_evidence = find_effects(candidates, views, PAIR_LEVEL, random, given)
    certain = [pairs[place] for place in pair_evidence.chosen]
    own, pair_shares = effects(found, pairs, evidence.chosen, certain, scores, random)
    return Judged(found, evidence, pairs, pair_evidence, own, pair_shares)


def _both_vary(first: Feature, second: Feature) -> bool:
    """True if both parameters vary among the trials that have both: a choice doesn't where it is what brings the other one."""
    both = first.present & second.present
    return both.sum() >= FEWEST and all(np.ptp(feature.columns[both], axis=0).any() for feature in (first, second))


def _standardised(scores: Floats) -> tuple[Floats, float]:
    """Return the scores with mean 0 and standard deviation 1, and the old deviation: 0 where all scores are the same."""
    largest = float(np.abs(scores).max(initial=0.0))
    if largest == 0:
        return scores, 0.0
    centred = scores / largest - float((scores / largest).mean())  # the largest numbers have no squares
    deviation = float(centred.std())
    return (centred / deviation, deviation * largest) if deviation > 1e-12 else (np.zeros_like(scores), 0.0)


def _normal_scores(scores: Floats) -> Floats:
    """Return the scores' ranks as quantiles of a normal distribution; equal scores get the same."""
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - counts / 2) / len(scores)
    quantiles = np.array([NormalDist().inv_cdf(float(rank)) for rank in ranks])[places]
    return np.asarray(quantiles - quantiles.mean())


def _cannot_judge(metric: str, scored: int, found: Sequence[Feature], unit: float) -> str:
    """Say why nothing can be judged; empty where it can."""
    if scored == 0:
        return "No trial has a score, so no parameter can be judged."
    if scored < FEWEST:
        trials = "1 trial has" if scored == 1 else f"{scored} trials have"
        return f"{trials} a score: at least {FEWEST} are needed to tell which parameters matter."
    if not found:
        return "No parameter has more than one value, so there is nothing to judge."
    if unit == 0:
        return f"All trials have the same {metric}: nothing here has a detectable effect."
    return ""


def _row(judged: Judged, place: int, defaults: dict[str, Any], unit: float) -> dict[str, Any]:
    feature, effect = judged.found[place], judged.own[place]
    default = defaults.get(feature.name)
    point = nearest_point(feature, default)
    has_effect = place in judged.with_effect
    return {
        "parameter": feature.name,
        "share": effect.share.share,
        "low": effect.share.low,
        "high": effect.share.high,
        "verdict": EFFECT if has_effect else NO_EVIDENCE,
        "gain": unit * effect.gain.share,
        "gain_low": unit * effect.gain.low,
        "gain_high": unit * effect.gain.high,
        "best": best_values(feature, effect) if place in judged.evidence.chosen else None,
        "default": None if point is None else default,
        "at_most": None if point is None else unit * effect.cost_of(point),
        "p": float(judged.evidence.p_values[place]),
    }


def best_values(feature: Feature, effect: Effect) -> Any:
    """Return the values that can't be told from the best one: `[low, high]` of a number's range, else a list of names."""
    among = effect.worse <= CERTAIN
    if not feature.is_number:
        return [point for point, good in zip(feature.points, among, strict=True) if good]
    best = int(np.argmax(effect.curve))
    first = last = best
    while first > 0 and among[first - 1]:
        first -= 1
    while last + 1 < len(among) and among[last + 1]:
        last += 1
    return [feature.points[first], feature.points[last]]


def _pair_rows(judged: Judged) -> list[dict[str, Any]]:
    """Return the pairs with an effect, strongest first; without any the strongest one, as no evidence."""
    evidence = judged.pair_evidence
    if not len(evidence.strengths):
        return []
    rows = [
        _pair_row(judged, place, EFFECT, share)
        for place, share in zip(evidence.chosen, judged.pair_shares, strict=True)
    ]
    if not rows:
        rows = [_pair_row(judged, int(np.argmax(evidence.strengths)), NO_EVIDENCE, None)]
    return sorted(rows, key=lambda row: -(row["share"] or 0.0))


def _pair_row(judged: Judged, place: int, verdict: str, share: Share | None) -> dict[str, Any]:
    return {
        "parameters": [judged.found[i].name for i in judged.pairs[place]],
        "share": share.share if share else None,
        "low": share.low if share else None,
        "high": share.high if share else None,
        "verdict": verdict,
        "p": float(judged.pair_evidence.p_values[place]),
    }


def _pair_sentence(pair: dict[str, Any]) -> str:
    first, second = pair["parameters"]
    return (
        f"{first} and {second} work together: their pair has {_percent(pair['share'])} of the variance "
        f"({_percent(pair['low'])} to {_percent(pair['high'])})"
    )


def _failures(found: Sequence[Feature], without: NDArray[np.bool_], random: np.random.Generator) -> dict[str, Any]:
    """Say what makes trials diverge or fail, where some did and some didn't."""
    failed, count = int(without.sum()), len(without)
    if failed < 3 or count - failed < 3 or count < FEWEST:
        return {}
    judged = judge(found, _standardised(-without.astype(np.float64))[0], random)
    order = sorted(judged.with_effect, key=lambda place: -judged.own[place].share.share)
    rows = [
        {
            "parameter": judged.found[place].name,
            "share": judged.own[place].share.share,
            "safest": best_values(judged.found[place], judged.own[place]),
        }
        for place in order
    ]
    said = f"{failed} of {count} trials diverged or failed; "
    if not rows:
        return {"sentence": said + "no parameter clearly decides which", "trials": failed, "rows": []}
    said += (
        f"{rows[0]['parameter']} decides most of it: the safest is {_values(rows[0]['safest'], judged.found[order[0]])}"
    )
    return {"sentence": said, "trials": failed, "rows": rows}


def _sentence(metric: str, judged: Judged, order: Sequence[int]) -> str:
    leading = [place for place in order if place in judged.with_effect]
    if not leading:
        return f"Nothing here has a detectable effect on {metric}."
    first = judged.own[leading[0]].share
    said = (
        f"{judged.found[leading[0]].name} matters most for {metric}, with {_percent(first.share)} of its variance "
        f"(90 % interval {_percent(first.low)} to {_percent(first.high)})"
    )
    others = [f"{judged.found[place].name} ({_percent(judged.own[place].share.share)})" for place in leading[1:]]
    if others:
        said += f"; then {_listed(others)}"
    rest = len(judged.found) - len(leading)
    if rest:
        said += (
            f"; the other {rest} show no evidence of an effect"
            if rest > 1
            else "; the other one shows no evidence of an effect"
        )
    return f"{said}."


def _some(names: Sequence[str]) -> str:
    """List names, of many the first three."""
    return ", ".join(names) if len(names) <= 4 else f"{', '.join(names[:3])} and {len(names) - 3} more"


def _values(best: Any, feature: Feature) -> str:
    if feature.is_number:
        low, high = best
        return f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
    return " or ".join(map(str, best))


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")
