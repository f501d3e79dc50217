"""Numbers: how each number of a report's prose is worked out from its evidence, and from which trials it comes.

A number is named by a key such as `cell:8:best_val_accuracy`: the name of a function in NUMBERS, and its arguments. The page carries the
key beside the number, so that `tune-mlp report --verify` can work it out again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pandas as pd

from tune_mlp.console.formatting import score, shown
from tune_mlp.report.domain_words import domains
from tune_mlp.report.evidence import ReportEvidence
from tune_mlp.report.markup import Markup, tag
from tune_mlp.results.answer import plain
from tune_mlp.results.tables import score_column

ALL = "all"
NONE = ""
"""A number that comes from no trial, such as the number of samples."""


MOST_NAMES = 8
"""The names that a range of values lists."""


class Number(NamedTuple):
    """A number as it is written, or a sentence that was found out, and the trials that it comes from."""

    text: str
    trials: str
    """`8`, `all`, `state=stopped`, or empty."""


def written(name: str, value: Any) -> str:
    """Write a value of the column or member of this name."""
    if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
        return "none"
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value:,}" if name != "seed" else str(value)
    if isinstance(value, float):
        # A whole number in a column that has missing values is one all the same.
        return score(name, value) if name.startswith(METRICS) else shown(value)
    if isinstance(value, list | tuple):
        return ", ".join(written(name, item) for item in value)
    return str(value)


METRICS = ("val_", "best_val_", "train_", "test_", "retrained_", "measured", "corrected", "low", "high", "mean", "std")


def duration(seconds: float) -> str:
    """Write seconds as `0.8 s`, `1 min 16 s` or `2 h 5 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, left = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {left} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def cell(evidence: ReportEvidence, trial: str, column: str) -> Number:
    """A value of the table of trials."""
    trials = evidence.results.trials
    value = trials.loc[trials["trial"] == int(trial), column].iloc[0]
    if column in evidence.results.parameters:
        return Number("none" if pd.isna(value) else shown(plain(value)), trial)
    return Number(written(column, value), trial)


def score_of(evidence: ReportEvidence, trial: str) -> Number:
    """The value that a trial is judged by."""
    results = evidence.results
    column = score_column(results.trials, results.metric)
    value = float(results.trials.loc[results.trials["trial"] == int(trial), column].iloc[0])
    return Number(score(results.metric, value), trial)


def best(evidence: ReportEvidence) -> Number:
    """The number of the best trial."""
    row = evidence.results.best
    assert row is not None
    return Number(str(row["trial"]), str(row["trial"]))


def best_by(evidence: ReportEvidence, metric: str, mode: str) -> Number:
    """The number of the trial that would be best by another metric."""
    row = evidence.results.judged_by(metric, mode).best
    assert row is not None
    return Number(str(row["trial"]), str(row["trial"]))


def count(evidence: ReportEvidence, state: str = ALL) -> Number:
    """The number of trials, of all or of those in one state; `open` are those that are under way."""
    states = evidence.results.trials["state"]
    if state == ALL:
        return Number(f"{len(states):,}", ALL)
    under_way = open_trials(evidence)
    if state == "open":
        return Number(f"{int(under_way.sum()):,}", NONE)
    return Number(f"{int(((states == state) & ~under_way).sum()):,}", f"state={state}")


def open_trials(evidence: ReportEvidence) -> pd.Series[bool]:
    """Return which trials haven't ended: in the table they are `stopped`, and have no reason for it."""
    trials = evidence.results.trials
    if not evidence.running or "reason" not in trials:
        return pd.Series(False, index=trials.index)
    return (trials["state"] == "stopped") & (trials["reason"] == "")


def stopped(evidence: ReportEvidence, reason: str) -> Number:
    """The number of trials that were stopped for this reason."""
    trials = evidence.results.trials
    found = (trials["state"] == "stopped") & (trials["reason"] == reason) & ~open_trials(evidence)
    return Number(f"{int(found.sum()):,}", "state=stopped")


def stopped_after(evidence: ReportEvidence, epochs: str) -> Number:
    """The number of trials that the scheduler stopped after so many epochs."""
    trials = evidence.results.trials
    found = (trials["state"] == "stopped") & (trials["epochs"] == int(epochs)) & ~open_trials(evidence)
    after = "1 epoch" if epochs == "1" else f"{epochs} epochs"
    return Number(f"{int(found.sum()):,} after {after}", "state=stopped")


def failures(evidence: ReportEvidence, place: str) -> Number:
    """The number of trials that failed with one error, the commonest one first."""
    found = evidence.results.trials.query("state == 'failed'")["error"].value_counts(sort=True)
    return Number(f"{int(found.iloc[int(place)]):,}", "state=failed")


def total(evidence: ReportEvidence, column: str) -> Number:
    """The sum of a column over all trials."""
    found = evidence.results.trials[column].sum()
    return Number(duration(float(found)) if column.endswith("seconds") else f"{int(found):,}", ALL)


def ranked(evidence: ReportEvidence) -> Number:
    """The number of trials that may be best, since they have a score."""
    return Number(f"{len(evidence.results.ranked):,}", ALL)


def versions(evidence: ReportEvidence) -> Number:
    """The versions of the packages that trained."""
    used = [f"{package} {version}" for package, version in evidence.results.manifest["versions"].items()]
    return Number(", ".join(used), NONE)


def number_of_parameters(evidence: ReportEvidence) -> Number:
    """The number of parameters that were searched."""
    return Number(f"{len(varied(evidence)):,}", ALL)


def varied(evidence: ReportEvidence) -> list[str]:
    """Return the parameters that have more than one value, or that some trials lack."""
    drawn = list(evidence.results.params.values())
    return [name for name in evidence.results.parameters if len({repr(one.get(name)) for one in drawn}) > 1]


def domain(evidence: ReportEvidence, name: str) -> Number:
    """In words what a parameter was drawn from."""
    return Number(domains(evidence.results.study)[name], NONE)


def tried(evidence: ReportEvidence, name: str) -> Number:
    """The values of a parameter that were tried: a number's range, or how many names."""
    values = evidence.results.trials[name].dropna()
    if values.empty:
        return Number("none", ALL)
    if pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype):
        low, high = shown(plain(values.min())), shown(plain(values.max()))
        return Number(low if low == high else f"{low} to {high}", ALL)
    names = sorted({shown(plain(value)) for value in values})
    more = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
    return Number(", ".join(names[:MOST_NAMES]) + more, ALL)


def split(evidence: ReportEvidence, part: str) -> Number:
    """The number of samples of a part, as the study's settings cut them off."""
    return Number(f"{split_sizes(evidence)[part]:,}", NONE)


def split_sizes(evidence: ReportEvidence) -> dict[str, int]:
    """Return the sizes of the parts, as far as they follow from the settings: not where groups or times are kept together."""
    dataset, data = evidence.results.manifest.get("dataset", {}), evidence.results.study.get("data", {})
    if "samples" not in dataset:
        return {}
    # The manifest's number is that of all samples to learn from, ahead of the limit that the study sets.
    known = min(dataset["samples"], data.get("samples") or dataset["samples"])
    sizes = {"all": known, "test": dataset.get("test_samples", 0)}
    part = data.get("validation")
    if isinstance(part, dict) and "folds" in part:
        return {**sizes, "folds": part["folds"]}
    if data.get("order") or data.get("group") or part is None:
        return sizes
    held = known - part["head"] if isinstance(part, dict) else math.floor(known * part + 0.5)
    return {**sizes, "train": known - held, "validation": held}


def fact(evidence: ReportEvidence, where: str, path: str) -> Number:
    """A member of the study, of the manifest, or of the journal's first line."""
    value: Any = {"study": evidence.results.study, "manifest": evidence.results.manifest, "journal": evidence.facts}[
        where
    ]
    for name in path.split("."):
        value = value[int(name)] if isinstance(value, list) else value[name]
    if path.endswith("seconds") or path in ("phases.trials", "time_budget"):
        return Number(duration(float(value)), NONE)
    return Number(str(value) if path.endswith("seed") else written("", value), NONE)


def looks(evidence: ReportEvidence) -> Number:
    """How often the test part was looked at."""
    return Number(f"{evidence.results.looks:,}", NONE)


def answer(evidence: ReportEvidence, word: str, path: str) -> Number:
    """A member of an answer, such as the winner's corrected score; of a list its length."""
    value: Any = evidence.answers[word]
    for name in path.split("."):
        value = value[name]
    trials = str(evidence.answers[word].get("winner", {}).get("trial", ALL)) if path.startswith("winner") else ALL
    if isinstance(value, list):
        return Number(f"{len(value):,}", ",".join(map(str, value)) if len(value) <= 50 else ALL)
    if word == "compare" and path.startswith("winner."):
        return Number(score(measure_of(evidence.answers[word]), value), trials)
    return Number(written(path, value), trials)


def measure_of(compared: Mapping[str, Any]) -> str:
    """Return the metric that `compare` compared by, which its rows name."""
    row = compared["rows"][0]
    return str(next(name for name in row if name.startswith("val_")))


def others(evidence: ReportEvidence) -> Number:
    """The number of trials that were compared with the winner."""
    return Number(f"{evidence.answers['compare']['trials'] - 1:,}", ALL)


def row(evidence: ReportEvidence, word: str, place: str, column: str) -> Number:
    """A value of an answer's table."""
    found = evidence.answers[word]["rows"][int(place)]
    if word == "compare":
        return Number(score(measure_of(evidence.answers[word]), found[column]), str(found["trial"]))
    return Number(written(column, found[column]), str(found.get("trial", ALL)))


def said(evidence: ReportEvidence, word: str, part: str = "sentence", place: str = "") -> Number:
    """A sentence of an answer: its sentence itself, or one of its notes."""
    found = evidence.answers[word][part]
    return Number(found[int(place)] if place else found, ALL)


def advised(evidence: ReportEvidence, place: str) -> Number:
    """The reason of one piece of advice."""
    return Number(str(evidence.answers["advise"]["rows"][int(place)]["why"]), ALL)


def finding(evidence: ReportEvidence, name: str, place: str = "0") -> Number:
    """The sentence of a figure, or one of its notes, which are counted from 1."""
    return Number(evidence.findings[name][int(place)], ALL)


def ending(evidence: ReportEvidence, trial: str) -> Number:
    """In words how a trial diverged."""
    return Number(evidence.endings[int(trial)], trial)


FROM_THE_PAGE: dict[str, Callable[..., Number]] = {
    "cell": cell,
    "score": score_of,
    "best": best,
    "best_by": best_by,
    "count": count,
    "stopped": stopped,
    "stopped_after": stopped_after,
    "failures": failures,
    "total": total,
    "ranked": ranked,
    "versions": versions,
    "parameters": number_of_parameters,
    "domain": domain,
    "tried": tried,
    "split": split,
    "fact": fact,
    "looks": looks,
}
"""The numbers that follow from the table of trials, the study and the manifest, which the page holds."""
FROM_THE_RUN: dict[str, Callable[..., Number]] = {
    "answer": answer,
    "others": others,
    "row": row,
    "said": said,
    "advised": advised,
    "finding": finding,
    "ending": ending,
}
"""The numbers and sentences that need the run itself: its curves, its decisions, and which samples each trial got right."""
SENTENCES = ("said", "finding", "advised", "ending", "versions", "domain", "tried")
NUMBERS = {**FROM_THE_PAGE, **FROM_THE_RUN}
ARGUMENTS = {"cell": 2, "domain": 1, "tried": 1, "row": 3, "fact": 2, "answer": 2, "said": 3}
"""How many arguments a function has where the last one may hold colons."""


def worked_out(evidence: ReportEvidence, key: str) -> Number:
    """Work out the number of a key; a LookupError says that there is none."""
    name, *rest = key.split(":", 1)
    arguments = rest[0].split(":", ARGUMENTS.get(name, 3) - 1) if rest else []
    return NUMBERS[name](evidence, *arguments)


def number(evidence: ReportEvidence, *key: object) -> Markup:
    """Write a number into the prose, with its key and with the trials that it comes from."""
    joined = ":".join(map(str, key))
    found = worked_out(evidence, joined)
    kind = "said" if key[0] in SENTENCES else "number"
    return tag("span", found.text, class_=kind, data_key=joined, data_trials=found.trials)
