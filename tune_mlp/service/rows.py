"""The rows of the ledger as typed and frozen values: a study, and a job of a study."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

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
    def of(cls, row: sqlite3.Row) -> JobRow:
        values = dict(row)
        values["arguments"] = json.loads(values["arguments"])
        values["kind"] = cast("Job", values["kind"])
        values["outcome"] = StudyState(values["outcome"]) if values["outcome"] else None
        return cls(**values)

    @property
    def searches(self) -> bool:
        """Say whether the job is the study itself, and not a follow-up of it."""
        return self.kind in ("search", "resume")

    @property
    def is_open(self) -> bool:
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
    job: JobRow | None = None
    """Its last job."""

    @classmethod
    def of(cls, row: sqlite3.Row, job: JobRow | None) -> StudyRow:
        values = dict(row)
        values["outcome"] = StudyState(values["outcome"]) if values["outcome"] else None
        return cls(**values, job=job)
