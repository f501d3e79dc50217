"""Importance: which parameters matter for the score, how sure that is, and which of their values are best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tune_mlp.command_line import command_line
from tune_mlp.insight.defaults import default_values, nearest_point
from tune_mlp.insight.effects import CERTAIN, RESAMPLES, Effect, Share
from tune_mlp.insight.evidence import shuffles_of
from tune_mlp.insight.features import Feature
from tune_mlp.insight.judgement import FEWEST, LEVEL, Judged, judge, judged_trials, standardised
from tune_mlp.results.answer import Answer, listed, percent
from tune_mlp.results.remembered import remembered
from tune_mlp.results.results import Results

EFFECT, NO_EVIDENCE = "effect", "no evidence"
LEADING = 3
"""The largest number of parameters that a search's summary names."""
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


@remembered
def importance(results: Results, seed: int = 0) -> Answer:
    """Say which parameters matter for the results' metric. The same seed gives the same answer."""
    assessed, judged = judged_trials(results, seed)
    found, count, unit = assessed.found, len(assessed.scores), assessed.unit
    facts: dict[str, Any] = {"metric": results.metric, "mode": results.mode, "trials": count}
    notes = list(results.notes)
    if assessed.constant:
        notes.append(f"{_some(assessed.constant)}: one value only, so nothing can be said")
    unjudged = [{"parameter": name, "verdict": NO_EVIDENCE} for name in (*assessed.rare, *assessed.constant)]
    if assessed.rare and found:
        notes.append(f"{_some(assessed.rare)}: in fewer than {FEWEST} trials, so nothing can be said")
    if judged is None:
        nothing = [{"parameter": feature.name, "share": 0.0, "verdict": NO_EVIDENCE} for feature in found]
        table = pd.DataFrame([*nothing, *unjudged], columns=COLUMNS)
        return Answer(
            assessed.fault,
            table,
            (),
            notes=tuple(notes),
            facts={**facts, "pairs": [], "placebo": {}, "failures": {}},
            shown=pd.DataFrame(),
        )
    order = sorted(range(len(found)), key=lambda place: -judged.own[place].share.share)
    defaults = default_values([feature.name for feature in found]) if results.study else {}
    spread = unit * float(np.ptp(assessed.scores))  # no choice costs more than the best and the worst trial differ
    rows = [_row(judged, place, defaults, unit, spread) for place in order]
    table = pd.DataFrame([*rows, *unjudged], columns=COLUMNS)
    if assessed.response.carried:
        notes.append(
            f"{assessed.response.carried} stopped trials count with the gap that they had, in their last epoch, to the trials that went on"
        )
    failures = _failures(found, assessed.response.without, np.random.default_rng([seed, 1]))
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
    return Answer(_sentence(results.metric, judged), table, method, tuple(notes), facts, shown)


def leading_line(results: Results) -> str:
    """Return one line for a search's summary: the leading parameters, or that there is no evidence; empty for very few trials."""
    judged = judged_trials(results, seed=0)[1]
    if judged is None:
        return ""
    command = command_line("importance", results.files.where if results.files else results.source)
    leading = _leading(judged)[:LEADING]
    if not leading:
        return f"no parameter has a detectable effect on {results.metric}: {command}"
    shares = {judged.found[place].name: judged.own[place].share for place in leading}
    known = [f"{name} ({percent(share.share)} of its variance)" for name, share in shares.items() if share.known]
    unknown = [name for name, share in shares.items() if not share.known]
    said = f"{listed(known)} {'decides' if len(known) == 1 else 'decide'} {results.metric}" if known else ""
    if unknown:
        has = f"{listed(unknown)} {'has an effect' if len(unknown) == 1 else 'have effects'}"
        said += f", and {has}" if known else f"{has} on {results.metric}"
        said += " whose size isn't known"
    return f"{said}: {command}"


def _leading(judged: Judged) -> list[int]:
    """Return the places of the parameters with an effect, the largest share first; those whose share isn't known stand last."""
    shares = {place: judged.own[place].share for place in judged.with_effect}
    return sorted(shares, key=lambda place: (not shares[place].known, -shares[place].share))


def _shown(feature: Feature, row: dict[str, Any]) -> dict[str, str]:
    """Return a row as a person reads it."""
    sure, share = row["verdict"] == EFFECT, Share(row["share"], row["low"], row["high"])
    said = "unknown" if sure and not share.known else percent(share.share)
    return {
        "parameter": feature.name,
        "share of variance": f"{said} ({100 * share.low:.0f} to {percent(share.high)})",
        "verdict": row["verdict"],
        "a good choice brings": f"{row['gain']:.3g} ({row['gain_low']:.3g} to {row['gain_high']:.3g})" if sure else "",
        "best": "" if row["best"] is None else _values(row["best"], feature),
        "its default costs": "" if row["at_most"] is None else f"at most {row['at_most']:.3g}",
    }


def _row(judged: Judged, place: int, defaults: dict[str, Any], unit: float, spread: float) -> dict[str, Any]:
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
        "at_most": None if point is None else min(unit * effect.cost_of(point), spread),
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
    """Return the pairs with an effect, that of the largest share first; without any the strongest one, as no evidence."""
    chosen, p_values = judged.pair_evidence.chosen, judged.pair_evidence.p_values
    rows = [
        {
            "parameters": [judged.found[i].name for i in judged.pairs[place]],
            "share": share.share,
            "low": share.low,
            "high": share.high,
            "verdict": EFFECT if place in chosen else NO_EVIDENCE,
            "p": float(p_values[place]),
        }
        for place, share in zip(judged.shown_pairs, judged.pair_shares, strict=True)
    ]
    return sorted(rows, key=lambda row: -row["share"])


def _pair_sentence(pair: dict[str, Any]) -> str:
    first, second = pair["parameters"]
    return (
        f"{first} and {second} work together: their pair has {percent(pair['share'])} of the variance "
        f"({percent(pair['low'])} to {percent(pair['high'])})"
    )


def _failures(found: Sequence[Feature], without: NDArray[np.bool_], random: np.random.Generator) -> dict[str, Any]:
    """Say what makes trials diverge or fail, where some did and some didn't."""
    failed, count = int(without.sum()), len(without)
    if failed < 3 or count - failed < 3 or count < FEWEST:
        return {}
    judged = judge(found, standardised(-without.astype(np.float64))[0], random)
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


def _sentence(metric: str, judged: Judged) -> str:
    leading = _leading(judged)
    if not leading:
        return f"Nothing here has a detectable effect on {metric}."
    first, name = judged.own[leading[0]].share, judged.found[leading[0]].name
    interval = f"90 % interval {percent(first.low)} to {percent(first.high)}"
    said = f"{name} matters most for {metric}, with {percent(first.share)} of its variance ({interval})"
    if not first.known:
        said = f"{name} has an effect on {metric} whose size isn't known (of its variance, {interval})"
    shares = {judged.found[place].name: judged.own[place].share for place in leading[1:]}
    others = [f"{one} ({percent(share.share) if share.known else 'of unknown size'})" for one, share in shares.items()]
    if others:
        said += f"; then {listed(others)}"
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
