"""Advice: what to change in the study for the next search, each change with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tune_mlp.insight.changes import Change, possible
from tune_mlp.insight.defaults import default_values, nearest_point
from tune_mlp.insight.effects import Effect
from tune_mlp.insight.features import Feature
from tune_mlp.insight.judgement import Assessment, Judged, judged_trials
from tune_mlp.records import TrialState
from tune_mlp.results.answer import Answer, percent
from tune_mlp.results.more_search import more_trials
from tune_mlp.results.remembered import remembered
from tune_mlp.results.results import Results
from tune_mlp.results.tables import score_column

Floats = NDArray[np.float64]

SURE = 0.975
"""A value is worse, and a region dead, where it is in this share of the resamples."""
EDGE, INNER = 0.05, 1 / 3
"""The best value is on the boundary if it is this near to an end, as a share of the range, and a value so far inside is worse."""
FEW_IN_REGION = 4
"""A region that fewer trials were in can't be called dead."""
GOOD = 0.25
"""The best trials, a share of all, of which a dead region has none."""
PINNED_SHARE = 0.1
"""A parameter without evidence can be pinned if its share is below this for sure."""
LEADERS = 5
"""The best trials whose curves say whether more epochs would help."""
LEAST_RISE = 0.05
"""A rise is worth more epochs if it is more than this share of the difference between the best trial and the best quarter's last."""
COLUMNS = ["advice", "parameter", "value", "why"]
METHOD = (
    "boundary and dead regions: the effects of `tune-mlp importance`, where 97.5 % of resamples agree and no good trial speaks against it.",
    "more trials: what the last doublings of the number of trials brought, with a 90 % interval of the gain from the tail of the scores;",
    "more epochs: whether the best trials were still rising.",
)


@remembered
def advice(results: Results, seed: int = 0) -> tuple[Answer, Sequence[Change]]:
    """Say what to change for the next search. The same seed gives the same advice."""
    assessed, judged = judged_trials(results, seed)
    facts = {"metric": results.metric, "mode": results.mode, "trials": len(assessed.scores)}
    if judged is None:
        return Answer(assessed.fault, pd.DataFrame(columns=COLUMNS), (), results.notes, facts), []
    changes = [*_space_changes(results, assessed, judged), *_more_epochs(results)]
    if results.study:
        changes = [change for change in changes if possible(results.study, change)]
    rows = [[change.advice, change.parameter, change.value, change.why] for change in changes]
    if corner := _unsampled(assessed, judged):
        rows.append(["sample", *corner])
    more = more_trials(assessed.scores)
    assert more is not None  # fewer trials are refused above
    gain, low, high = (assessed.unit * value for value in (more.gain, more.low, more.high))
    cost = _seconds(results)
    facts["more_trials"] = {"trials": len(assessed.scores), "gain": gain, "low": low, "high": high, "seconds": cost}
    takes = f", for about {cost:.0f} s" if cost else ""
    note = f"{len(assessed.scores)} more trials of the same space would bring about {gain:.2g} ({low:.2g} to {high:.2g}) in {results.metric}{takes}"
    answer = Answer(
        _sentence(changes), pd.DataFrame(rows, columns=COLUMNS), METHOD, (note, *results.notes), facts, _shown(rows)
    )
    return answer, changes


def _space_changes(results: Results, assessed: Assessment, judged: Judged) -> list[Change]:
    best = results.best
    winner = {} if best is None else results.params.get(int(best["trial"]), {})
    defaults = default_values([feature.name for feature in judged.found]) if results.study else {}
    values = {trial: results.params.get(int(trial), {}) for trial in assessed.response.trials}
    good = assessed.scores >= np.quantile(assessed.scores, 1 - GOOD)
    changes = []
    for place in sorted(range(len(judged.found)), key=lambda place: -judged.own[place].share.share):
        feature, effect = judged.found[place], judged.own[place]
        tried = [drawn.get(feature.name) for drawn in values.values()]
        if place in judged.evidence.chosen and feature.is_number:
            changes += _of_number(
                feature, effect, np.array([np.nan if v is None else v for v in tried], np.float64), good
            )
        elif place in judged.evidence.chosen:
            changes += _of_names(feature, effect, tried, good)
        elif place not in judged.with_effect and effect.share.high < PINNED_SHARE and feature.measure == 1.0:
            default = defaults.get(feature.name)
            at_default = nearest_point(feature, default) is not None
            changes.append(_pin(feature, effect, default if at_default else winner.get(feature.name), at_default))
    return changes


def _of_number(feature: Feature, effect: Effect, tried: Floats, good: NDArray[np.bool_]) -> list[Change]:
    """Extend the range on the side where the best value is its end, and cut the side where no good trial is."""
    points = np.array(feature.points, np.float64)
    count, best = len(points), int(np.argmax(effect.curve))
    inner, edge = max(1, round(INNER * (count - 1))), EDGE * (count - 1)
    changes = []
    for at_end, within, word in ((0, inner, "smallest"), (count - 1, count - 1 - inner, "largest")):
        if abs(best - at_end) <= edge and effect.worse[within] >= SURE:
            why = f"it is best at the {word} value that was tried, {_figure(points[at_end])}; {_figure(points[within])} is worse"
            changes.append(Change("extend", feature.name, feature.points[at_end], why))
    alive = points[effect.worse < SURE]
    low, high = (
        np.fmin(alive.min(), np.nanmin(tried[good], initial=np.inf)),
        np.fmax(alive.max(), np.nanmax(tried[good], initial=-np.inf)),
    )
    below, above = int((tried < low).sum()), int((tried > high).sum())
    kept: list[Any] = [None, None]
    cuts = []
    if below >= FEW_IN_REGION:
        kept[0] = feature.points[int(np.searchsorted(points, low, side="right")) - 1]
        cuts.append(f"the {below} trials below {_figure(low)} are all worse than the best quarter")
    if above >= FEW_IN_REGION:
        kept[1] = feature.points[int(np.searchsorted(points, high))]
        cuts.append(f"the {above} trials above {_figure(high)} are all worse than the best quarter")
    if cuts:
        changes.append(Change("cut", feature.name, kept, "; ".join(cuts)))
    return changes


def _of_names(feature: Feature, effect: Effect, tried: Sequence[Any], good: NDArray[np.bool_]) -> list[Change]:
    """Leave out the names that are worse than the best one and that no good trial has."""
    dead = []
    for point, worse in zip(feature.points, effect.worse, strict=True):
        its = np.array([str(value) == str(point) for value in tried])
        if worse >= SURE and its.sum() >= FEW_IN_REGION and not (its & good).any():
            dead.append(point)
    kept = [point for point in feature.points if point not in dead]
    if not dead or not kept:
        return []
    names = ", ".join(map(str, dead))
    return [Change("cut", feature.name, kept, f"no trial with {names} is among the best quarter")]


def _pin(feature: Feature, effect: Effect, value: Any, is_default: bool) -> Change:
    which = "its default" if is_default else "the winner's value"
    why = f"no evidence of an effect: at most {percent(effect.share.high)} of the variance; {which} will do"
    return Change("pin", feature.name, value, why)


def _more_epochs(results: Results) -> list[Change]:
    """Say whether the best trials were still rising in their last epochs, beyond what chance does."""
    planned = results.study.get("epochs")
    if results.epochs.empty or not planned or planned < 5:
        return []
    finished = results.ranked[(results.ranked["state"] == TrialState.FINISHED) & (results.ranked["epochs"] == planned)]
    sign = 1.0 if results.mode == "max" else -1.0
    fifth = max(1, planned // 5)
    rises = []
    for trial in finished["trial"].head(LEADERS):
        own = results.epochs[results.epochs["trial"] == trial].groupby("epoch")[results.metric].mean() * sign
        rises.append(float(own.iloc[-fifth:].mean() - own.iloc[-2 * fifth : -fifth].mean()))
    at_end = int((finished["best_epoch"].head(LEADERS) > planned - fifth).sum()) if "best_epoch" in finished else 0
    if len(rises) < 3 or at_end < len(rises) - 1:
        return []
    mean, error = float(np.mean(rises)), float(np.std(rises, ddof=1) / len(rises) ** 0.5)
    scores = results.ranked[score_column(results.trials, results.metric)]
    spread = abs(float(scores.iloc[0] - scores.iloc[int(GOOD * (len(scores) - 1))]))
    if mean <= 2 * error or mean <= LEAST_RISE * spread:
        return []
    why = f"{at_end} of the {len(rises)} best trials were best in their last {fifth} epochs, rising by {mean:.2g}"
    return [Change("epochs", "epochs", 2 * planned, why)]


def _unsampled(assessed: Assessment, judged: Judged) -> tuple[str, Any, str] | None:
    """Name the best values of the leading parameters, if no trial has all of them."""
    leading = [place for place in judged.evidence.chosen if judged.found[place].measure == 1.0][:3]
    if len(leading) < 2:
        return None
    among = np.ones(len(assessed.scores), bool)
    for place in leading:
        feature, effect = judged.found[place], judged.own[place]
        at_trials = feature.columns @ np.linalg.lstsq(feature.at_points, effect.curve, rcond=None)[0]
        among &= at_trials >= effect.curve[effect.worse < SURE].min() - 1e-9
    if among.any():
        return None
    names = " and ".join(judged.found[place].name for place in leading)
    return names, None, "no trial has the best values of all of them together"


def _seconds(results: Results) -> float | None:
    phases = results.manifest.get("phases")
    return float(phases["trials"]) if isinstance(phases, dict) and "trials" in phases else None


def _sentence(changes: Sequence[Change]) -> str:
    if not changes:
        return "The space and the budget need no change, as far as these trials can tell."
    words = {
        "extend": "extend {} beyond the end where it is best",
        "cut": "cut {} to the values that are not clearly worse",
        "pin": "pin {}, for which there is no evidence",
        "epochs": "raise {}",
    }
    said = []
    for word, text in words.items():
        names = [change.parameter for change in changes if change.advice == word]
        if names:
            said.append(text.format(", ".join(names)))
    sentence = "; ".join(said)
    return f"{sentence[0].upper()}{sentence[1:]}."


def _shown(rows: Sequence[Sequence[Any]]) -> pd.DataFrame:
    shown = [[word, name, "" if value is None else _text(value), why] for word, name, value, why in rows]
    return pd.DataFrame(shown, columns=["advice", "for", "value", "why"])


def _text(value: Any) -> str:
    if isinstance(value, list) and None in value:
        low, high = value
        return f"at least {_figure(low)}" if high is None else f"at most {_figure(high)}"
    if isinstance(value, list):
        numbers = all(isinstance(item, int | float) and not isinstance(item, bool) for item in value)
        return " to ".join(map(_figure, value)) if numbers and len(value) == 2 else ", ".join(map(str, value))
    return _figure(value) if isinstance(value, float) else str(value)


def _figure(value: float) -> str:
    return f"{value:.4g}"
