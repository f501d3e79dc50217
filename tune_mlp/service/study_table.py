"""The list of a service's studies as an answer: a table with a row for each study."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from tune_mlp.console.formatting import clock, score
from tune_mlp.results.answer import Answer
from tune_mlp.service.client import Client
from tune_mlp.service.messages import StudyState, StudySummary

PAGE = 100
"""The number of studies that are asked for at once."""
COLUMNS = [
    "study",
    "state",
    "space",
    "owner",
    "trials",
    "ended_trials",
    "metric",
    "best",
    "best_low",
    "best_high",
    "best_trial",
    "seconds_left",
    "position",
    "submitted",
    "started",
    "ended",
    "dataset",
    "stand_in_for",
    "detail",
]


def study_table(client: Client, search: str | None = None, state: str | None = None) -> Answer:
    """Return the studies of a service, the last submitted first."""
    found: dict[str, StudySummary] = {}  # by name: while pages are read, new studies move others to later pages
    while True:
        page = client.list(search, state, offset=len(found), limit=PAGE)
        before = len(found)
        found |= {study.name: study for study in page.studies}
        if len(found) >= page.total or len(found) == before:
            break
    studies = list(found.values())
    states = Counter(study.state for study in studies)
    counts = [f"{states[one]} {one}" for one in StudyState if one in states]
    many = f"1 study{' that matches' if search or state else ''}"
    if len(studies) != 1:
        many = f"{len(studies):,} studies{' that match' if search or state else ''}"
    return Answer(
        sentence=f"{many}{': ' if counts else ''}{', '.join(counts)}",
        table=pd.DataFrame([_row(study) for study in studies], columns=COLUMNS),
        method=(),
        facts={"server": client.url, "total": len(studies)},
        shown=pd.DataFrame([_shown(study) for study in studies]) if studies else None,
    )


def _row(study: StudySummary) -> dict[str, Any]:
    best = study.best
    return {
        "study": study.name,
        "state": str(study.state),
        "space": study.space,
        "owner": study.owner,
        "trials": study.trials,
        "ended_trials": study.ended_trials,
        "metric": study.metric,
        "best": None if best is None else best.value,
        "best_low": None if best is None else best.low,
        "best_high": None if best is None else best.high,
        "best_trial": None if best is None else best.trial,
        "seconds_left": study.seconds_left,
        "position": study.position,
        "submitted": _time(study.submitted),
        "started": _time(study.started),
        "ended": _time(study.ended),
        "dataset": study.dataset,
        "stand_in_for": study.stand_in_for,
        "detail": study.detail,
    }


def _shown(study: StudySummary) -> dict[str, str]:
    """Return a study's row as a person reads it."""
    best, state = study.best, str(study.state)
    value = "" if best is None else f"{study.metric} {score(study.metric, best.value)}"
    if best is not None and best.low is not None and best.high is not None:
        value += f" ({score(study.metric, best.low)} to {score(study.metric, best.high)})"
    if study.position is not None:
        state += f", {study.position}."
    if study.seconds_left is not None and study.state is StudyState.RUNNING:
        state += f", {clock(study.seconds_left)} left"
    if study.state is StudyState.FAILED and study.detail:
        state += f": {study.detail}"
    return {
        "study": study.name,
        "state": state,
        "trials": f"{study.ended_trials}/{study.trials}" if study.trials is not None else f"{study.ended_trials}",
        "best": value,
        "data": f"{study.dataset} !stands in for {study.stand_in_for}" if study.stand_in_for else study.dataset,
        "owner": study.owner,
        "submitted": "" if study.submitted is None else f"{datetime.fromtimestamp(study.submitted):%Y-%m-%d %H:%M}",
    }


def _time(at: float | None) -> str | None:
    """Write a time for a program: ISO 8601, in UTC."""
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
