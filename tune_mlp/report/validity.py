"""Threats to validity: what speaks against the results of this run, each only where it applies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from tune_mlp.records import BETTER
from tune_mlp.report.domain_words import domains
from tune_mlp.report.markup import Inner, listed, tag, written
from tune_mlp.report.material import Material

FEW_A_PARAMETER = 10
"""Fewer trials for each parameter leave weak effects unseen."""
EDGE = 0.05
"""A value is at the boundary if it is this near to an end, as a share of the range."""
MANY_LOST = 0.1
"""A share of diverged and failed trials that is worth a word."""


def threats(material: Material) -> Inner:
    """List the threats that apply."""
    found = [said for threat in THREATS if (said := threat(material))]
    return tag("ul", [tag("li", written(one)) for one in found])


def _stand_in(material: Material) -> Inner:
    if not material.results.stand_in_for:
        return None
    return f"The data stand in for {material.results.stand_in_for}, which couldn't be had. No figure here is one of {material.results.stand_in_for}."


def _unfinished(material: Material) -> Inner:
    state = material.results.manifest.get("state")
    words = {
        "running": "The search is still going on",
        "interrupted": "The search was interrupted",
        "failed": "The search ended with a fault",
    }
    return f"{words[state]}: what is said here may change." if state in words else None


def _chosen_by_validation(material: Material) -> Inner:
    if material.best is None or material.value("count") < 2:
        return None
    said: list[Inner] = [
        "The best of ",
        material.n("count"),
        " trials was chosen by the very samples that its score is measured on, and its best epoch as well, so the score is too good by some luck. ",
    ]
    compared = material.evidence.answers.get("compare")
    if compared and compared["winner"]["corrected"] is not None:
        return [
            *said,
            "The corrected score, ",
            material.n("answer", "compare", "winner.corrected"),
            ", allows for the choice of the trial, and not for that of the epoch.",
        ]
    return [*said, "It isn't corrected for that here."]


def _test_looks(material: Material) -> Inner:
    looks = material.results.looks
    if looks == 0 and material.is_run:
        return "Nothing was measured on a test part, so no figure here comes from samples that had no part in a choice."
    if looks > 1:
        return [
            "The test part was looked at ",
            material.n("looks"),
            " times; whoever picks the best of several looks needs new data to know its score.",
        ]
    return None


def _metric(material: Material) -> Inner:
    """Name the trials that would be best by another metric of the same samples."""
    best, results = material.best, material.results
    if best is None or not material.is_run:
        return None
    found = []
    for column in results.trials.columns:
        metric = column.removeprefix("best_")
        score = metric.removeprefix("val_")
        if column.startswith("best_val_") and score in BETTER and metric != results.metric:
            other = results.judged_by(metric, BETTER[score]).best
            if other is not None and int(other["trial"]) != best:
                found.append([f"by {metric} trial ", material.n("best_by", metric, BETTER[score])])
    if not found:
        return None
    return [
        f"The choice of the metric decides what is best: by {results.metric} it is trial ",
        material.n("best"),
        ", ",
        listed(found),
        ".",
    ]


def _boundary(material: Material) -> Inner:
    """Name the parameters of which the best trial has a value at the end of what was tried."""
    best, results = material.best, material.results
    if best is None or len(results.trials) < 5:
        return None
    hits: list[Inner] = []
    for name in results.parameters:
        values = results.trials[name]
        if (
            not pd.api.types.is_numeric_dtype(values.dtype)
            or pd.api.types.is_bool_dtype(values.dtype)
            or values.nunique() < 3
        ):
            continue
        tried = values.dropna().astype(float)
        value = results.trials.set_index("trial")[name].get(best)
        logs = "logarithm" in domains(results.study).get(name, "") or (
            tried.min() > 0 and tried.max() / tried.min() >= 100
        )
        place = _place(tried, value, logs)
        if place is not None and min(place, 1 - place) <= EDGE:
            hits.append([f"{name} (", material.n("cell", best, name), ")"])
    if not hits:
        return None
    end = "ends of its range" if len(hits) == 1 else "ends of their ranges"
    return ["The best trial lies at one of the ", end, " in ", listed(hits), ": something better may lie beyond."]


def _place(tried: pd.Series[Any], value: Any, logs: bool) -> float | None:
    """Return where a value lies between the smallest and the largest one, from 0 to 1."""
    if value is None or pd.isna(value):
        return None
    import math

    measure: Callable[[float], float] = math.log if logs and tried.min() > 0 else float
    low, high = measure(float(tried.min())), measure(float(tried.max()))
    return (measure(float(value)) - low) / (high - low) if high > low else None


def _one_seed(material: Material) -> Inner:
    if not material.is_run or material.best is None or material.setting("seeds", 1) > 1:
        return None
    if "confirm" in material.evidence.answers:
        return None
    return "Each configuration was trained from one seed, so that part of its score is the luck of its weights and of the order of samples. `tune-mlp confirm RUN` trains the best again from fresh seeds."


def _few_trials(material: Material) -> Inner:
    trials, parameters = material.value("count"), material.value("parameters")
    if not parameters or trials >= FEW_A_PARAMETER * parameters:
        return None
    return [
        "With ",
        material.counted("trial", "count"),
        " for ",
        material.counted("parameter", "parameters"),
        " weak effects go unseen: no evidence of an effect isn't evidence of none.",
    ]


def _stopped_early(material: Material) -> Inner:
    scheduler = material.setting("scheduler")
    if not material.value("count", "stopped") or not material.is_run or not scheduler or "fifo" in scheduler:
        return None
    return [
        material.counted("trial", "count", "stopped"),
        " of ",
        material.n("count"),
        " were judged before they had trained all their epochs: a configuration that starts slowly may be better than it looks. `tune-mlp regret RUN` measures what that cost.",
    ]


def _lost(material: Material) -> Inner:
    lost = material.value("count", "diverged") + material.value("count", "failed")
    if not lost or lost < MANY_LOST * len(material.results.trials):
        return None
    kinds = [
        [material.n("count", state), f" {state}"] for state in ("diverged", "failed") if material.value("count", state)
    ]
    return [
        "Of ",
        material.counted("trial", "count"),
        " ",
        listed(kinds),
        ": the space has regions that this search says little of.",
    ]


def _small_validation(material: Material) -> Inner:
    compared = material.evidence.answers.get("compare")
    if compared is None or not compared["indistinguishable"] or material.best is None:
        return None
    return [
        "The validation samples are too few to tell ",
        material.n("answer", "compare", "indistinguishable"),
        " of the ",
        material.n("others"),
        " other trials from the best one.",
    ]


def _of_a_table(material: Material) -> Inner:
    if material.is_run:
        return None
    return "A table alone doesn't say how its figures were measured, whether on samples that had no part in the training, and how often each was looked at."


def _shared_rows(material: Material) -> Inner:
    notes = [note for note in material.results.manifest.get("dataset", {}).get("notes", []) if "equal" in note]
    return [f"{note[:1].upper()}{note[1:]}. " for note in notes] or None


THREATS: tuple[Callable[[Material], Inner], ...] = (
    _stand_in,
    _unfinished,
    _of_a_table,
    _chosen_by_validation,
    _small_validation,
    _test_looks,
    _metric,
    _boundary,
    _one_seed,
    _few_trials,
    _stopped_early,
    _lost,
    _shared_rows,
)
