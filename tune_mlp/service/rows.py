"""The rows of the ledger as typed and frozen values, a study and a job of a study, and how they are found."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tune_mlp.service.ledger import Transaction
from tune_mlp.service.messages import Job, StudyState

QUEUED, ACTIVE, ENDED = "queued", "active", "ended"
"""The states of a job: it waits, it has a driver or is about to have one, it is over."""


@dataclass(frozen=True)
class JobRow:
    """A job of a study: what its driver is to do, and how far it has come."""

    id: int
    study: int
    kind: Job
    arguments: Mapping[str, Any]
    state: str
    asked: float
    started: float | None
    ended: float | None
    token: str
    """The driver's; empty until one is about to be begun."""
    restarts: int
    stop_asked: float | None
    stops: int
    """How often the driver was asked to stop."""
    outcome: StudyState | None
    detail: str

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> JobRow:
        """Make a job of the ledger's columns."""
        outcome = StudyState(row["outcome"]) if row["outcome"] else None
        return cls(**{**row, "arguments": json.loads(row["arguments"]), "outcome": outcome})

    @property
    def searches(self) -> bool:
        """Say whether the job is the study itself, and not a follow-up of it."""
        return self.kind in ("search", "resume")

    @property
    def is_open(self) -> bool:
        """Say whether the job waits or is at work."""
        return self.state != ENDED


@dataclass(frozen=True)
class StudyRow:
    """A study that was submitted, or a run that was made without the service and for which something was asked."""

    id: int
    name: str
    owner: str
    space: str
    description: str
    dataset: str
    text: str
    """The study's YAML; empty for a run that was made without the service."""
    trials: int | None
    cpus: float
    gpus: float
    submitted: float | None
    outcome: StudyState | None
    """How its search ended; None while it hasn't ended."""
    detail: str
    """Why its search ended so."""
    trashed: float | None
    trashed_by: str
    purged: float | None
    """When it was removed for good."""
    job: JobRow | None = None
    """Its last job."""

    @classmethod
    def of(cls, row: Mapping[str, Any], job: JobRow | None) -> StudyRow:
        """Make a study of the ledger's columns."""
        return cls(**{**row, "outcome": StudyState(row["outcome"]) if row["outcome"] else None}, job=job)


JOBS = ", ".join(f"jobs.{name} AS job_{name}" for name in JobRow.__dataclass_fields__)
STUDIES = ", ".join(f"studies.{name}" for name in StudyRow.__dataclass_fields__ if name not in ("job", "text"))
JOINED = "LEFT JOIN jobs ON jobs.id = (SELECT max(id) FROM jobs WHERE jobs.study = studies.id)"


def studies(transaction: Transaction, where: str, *values: Any, text: bool = False) -> list[StudyRow]:
    """Return the studies that a condition finds, each with its last job. Their texts are long, and are left out unless asked for."""
    shown = "studies.text" if text else "'' AS text"
    sql = f"SELECT {STUDIES}, {shown}, {JOBS} FROM studies {JOINED} WHERE {where}"
    return [_study(row) for row in transaction.all(sql, *values)]


def study_named(transaction: Transaction, name: str, text: bool = False) -> StudyRow | None:
    """Return the study of this name that isn't in the trash."""
    return next(iter(studies(transaction, "studies.name = ? AND trashed IS NULL", name, text=text)), None)


def open_studies(transaction: Transaction, state: str, text: bool = False) -> list[StudyRow]:
    """Return the studies whose last job is in a state, in the order in which the jobs were asked for."""
    return studies(transaction, "jobs.state = ? AND trashed IS NULL ORDER BY jobs.id", state, text=text)


def _study(row: sqlite3.Row) -> StudyRow:
    values = dict(row)
    job = {name: values.pop(f"job_{name}") for name in JobRow.__dataclass_fields__}
    return StudyRow.of(values, None if job["id"] is None else JobRow.of(job))
