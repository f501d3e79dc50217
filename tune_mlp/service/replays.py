"""Replays: what was found when a trial was trained again. A replay leaves nothing in the run's folder; its process says it as JSON."""

from __future__ import annotations

import json
import re
from typing import Any

from tune_mlp.service.launcher import Launcher
from tune_mlp.service.ledger import Ledger
from tune_mlp.service.messages import StudyState
from tune_mlp.service.result_messages import AnswerMessage, TrialReplay
from tune_mlp.service.rows import QUEUED, JobRow

LAST = """
SELECT jobs.* FROM jobs JOIN studies ON studies.id = jobs.study WHERE studies.name = ? AND studies.trashed IS NULL AND jobs.kind = 'replay'
AND EXISTS (SELECT 1 FROM json_each(jobs.arguments, '$.trials') WHERE value = ?) ORDER BY jobs.id DESC LIMIT 1
"""


def last_replay(ledger: Ledger, launcher: Launcher, study: str, trial: int) -> TrialReplay | None:
    """Return the replay of a trial that was asked for last; None if none was."""
    with ledger.reading() as transaction:
        row = transaction.one(LAST, study, trial)
    if row is None:
        return None
    job = JobRow.of(dict(row))
    answer = None if job.is_open else answer_in(launcher.answer(job.token))
    own = next((row for row in answer.rows if row.get("trial") == trial), None) if answer else None
    return TrialReplay(
        state=_state(job),
        asked=job.asked,
        ended=job.ended,
        detail=job.detail,
        verdict=str(own["verdict"]) if own and own.get("verdict") else None,
        answer=answer,
    )


def answer_in(said: str) -> AnswerMessage | None:
    """Return the answer in what a process said, which may have said something else around it; None if there is none."""
    for place in re.finditer(r"^\{", said, re.MULTILINE):
        try:
            found, _ = json.JSONDecoder().raw_decode(said, place.start())
            return _message(found)
        except (ValueError, KeyError, RecursionError):  # a ValidationError is a ValueError
            continue
    return None


def _message(found: dict[str, Any]) -> AnswerMessage:
    known = {name: found.pop(name) for name in ("sentence", "rows", "notes", "method")}
    return AnswerMessage(**known, facts=found)


def _state(job: JobRow) -> StudyState:
    if not job.is_open:
        return job.outcome or StudyState.INTERRUPTED
    if job.state == QUEUED:
        return StudyState.QUEUED
    return StudyState.RUNNING if job.stop_asked is None else StudyState.STOPPING
