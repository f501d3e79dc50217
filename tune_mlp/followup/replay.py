"""`tune-mlp replay` trains trials of a run again from their own seeds, and compares every epoch with the journal to the bit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tune_mlp.console.board import Display
from tune_mlp.errors import UsageError
from tune_mlp.insight.replayed import WEIGHTS, Course, changed_facts, courses, first_difference, largest_share
from tune_mlp.results.answer import Answer, told_apart
from tune_mlp.results.storage import ObjectStore
from tune_mlp.runs.manifest import installed_versions, this_machine
from tune_mlp.tuning.again import FollowUpRun, only_read
from tune_mlp.tuning.run import Request

TOLERANCE = 0.1
"""On another kind of machine the study's metric may differ by this share of its value in any epoch: rounding, which differs
there, grows from step to step."""
SAME, OTHER, NOTHING = "the same", "differs", "nothing to compare"
"""The verdicts."""


class Replayed(NamedTuple):
    """The outcome of a replay."""

    answer: Answer
    failure: str
    """Why the check fails; empty where it passes."""


def replay(
    where: Path | ObjectStore, trials: Sequence[int], count: int | None, seed: int, request: Request, display: Display
) -> Replayed:
    """Train these trials again, or `count` random ones, which the `seed` picks, and compare them with what the run recorded."""
    run = only_read(where, request, display)
    then = courses(run.events)
    if count is not None:
        trials = _some(run, then, count, seed)
    run.check_repeatable(trials)
    epochs = {trial: max(then[trial].records, default=0) for trial in dict.fromkeys(trials)}
    now = courses(run.rehearse({trial: last for trial, last in epochs.items() if last}))
    differ = _differences(run)
    metric = run.results.metric
    rows = [_row(trial, then[trial], now.get(trial, Course()), metric) for trial in epochs]
    table = pd.DataFrame(rows)
    return Replayed(_answer(table, differ), _failure(table, differ, metric))


def _some(run: FollowUpRun, then: dict[int, Course], count: int, seed: int) -> list[int]:
    """Return random trials, of those that trained an epoch and whose settings weren't changed on their way."""
    able = [trial for trial, course in then.items() if course.records and not run.why_not(trial)]
    if count < 1:
        raise UsageError(f"--random: must be at least 1, got {count}")
    if not able:
        raise UsageError(f"{run.results.where}: has no trial that can be trained again")
    picked = np.random.default_rng(seed).choice(able, min(count, len(able)), replace=False)
    return sorted(int(trial) for trial in picked)


def _differences(run: FollowUpRun) -> list[str]:
    """Return what differs between the machine and the versions of the run and those of now."""
    facts = run.manifest.facts
    processor = {"processor": facts.get("machine", {}).get("processor", "unknown")}
    found = changed_facts(processor, this_machine())
    for versions in (facts.get("versions", {}), *(resumed.get("versions", {}) for resumed in facts.get("resumed", []))):
        found += changed_facts(versions, installed_versions())
    return list(dict.fromkeys(found))


def _row(trial: int, then: Course, now: Course, metric: str) -> dict[str, Any]:
    if not then.records:
        return {"trial": trial, "verdict": NOTHING, "epochs": 0, "digests": 0, "largest_share": 0.0}
    found = first_difference(then, now)
    row: dict[str, Any] = {
        "trial": trial,
        "verdict": SAME if found is None else OTHER,
        "epochs": len(then.records),
        "digests": len(then.digests),
        "first_epoch": found and found.epoch,
        "what": found.what if found else "",
        "then": found and found.then,
        "now": found and found.now,
        "largest_share": largest_share(then, now, metric),
    }
    return row


def _answer(table: pd.DataFrame, differ: Sequence[str]) -> Answer:
    columns = {
        "trial": "int64",
        "verdict": "object",
        "epochs": "int64",
        "digests": "int64",
        "first_epoch": "Int64",
        "what": "object",
        "then": "float64",
        "now": "float64",
        "largest_share": "float64",
    }
    table = table.reindex(columns=list(columns)).astype(columns)
    table["what"] = table["what"].fillna("")
    compared = table[table["verdict"] != NOTHING]
    same = int((compared["verdict"] == SAME).sum())
    if compared.empty and len(table) > 1:
        sentence = "None of the trials trained an epoch, so there is nothing to compare."
    elif len(table) == 1:
        sentence = f"Trial {table['trial'][0]}: {_said(table.iloc[0])}."
    else:
        sentence = f"{same} of {len(compared)} trials are bit for bit the same."
        if same < len(compared):
            other = compared[compared["verdict"] == OTHER].iloc[0]
            sentence = f"{sentence[:-1]}; the first that isn't is trial {other['trial']}: {_said(other)}."
    now = f"What differs between then and now: {', '.join(differ)}." if differ else ""
    return Answer(
        sentence=sentence,
        table=table,
        method=(
            "Each trial was trained again from its recorded seed and settings. All metrics of all epochs are compared to the bit, "
            "and the weights by their digests",
            "after those epochs after which the run recorded one. `largest_share` is the study's metric's largest difference, as a "
            "share of its value.",
        ),
        notes=(now or "The processor, the engine and the versions are those of the run.",),
        facts={"differs": list(differ), "tolerance": TOLERANCE},
        shown=_shown(table),
    )


def _said(row: pd.Series[Any]) -> str:
    """Say of one trial what was found."""
    if row["verdict"] == NOTHING:
        return "nothing to compare, since it trained no epoch"
    if row["verdict"] == SAME:
        plural = "s" if row["epochs"] != 1 else ""
        alone = "" if row["digests"] else ", of which the run recorded the metrics alone"
        return f"bit for bit the same for {row['epochs']} epoch{plural}{alone}"
    if row["what"] == WEIGHTS:
        return (
            f"epoch {int(row['first_epoch'])} is the first that differs, in its weights, while all metrics are the same"
        )
    gap = abs(row["now"] - row["then"])
    then, now = told_apart(row["then"], row["now"])
    return f"epoch {int(row['first_epoch'])} is the first that differs, {row['what']} by {gap:.3g}: it was {then} and is {now} now"


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table as a person reads it: two values that differ are shown with digits that differ."""
    pairs = [
        told_apart(then, now) if what and what != WEIGHTS else ("", "")
        for what, then, now in zip(table["what"], table["then"], table["now"], strict=True)
    ]
    return table.assign(then=[then for then, _ in pairs], now=[now for _, now in pairs])


def _failure(table: pd.DataFrame, differ: Sequence[str], metric: str) -> str:
    """Say why the check fails: a difference where nothing explains it, or one that is too large for what does."""
    others = table[table["verdict"] == OTHER]
    if others.empty:
        return ""
    first = others.iloc[0]
    if not differ:
        return (
            f"trial {first['trial']} differs from epoch {int(first['first_epoch'])} on, on a machine of the same kind with the same "
            "versions"
        )
    far = others[others["largest_share"] > TOLERANCE]
    if far.empty:
        return ""
    first = far.iloc[0]
    return (
        f"trial {first['trial']}: {metric} differs by {first['largest_share']:.0%} of its value, more than the {TOLERANCE:.0%} that "
        "other rounding explains"
    )
