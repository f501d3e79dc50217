"""Faults as answers: every error is one line with its status, and one that nobody expected tells nothing of the service's inside."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from tests.service.apps import opened
from tune_mlp.errors import RunError, StudyError, TuneMlpError, UsageError
from tune_mlp.service.fault_answers import fault_of
from tune_mlp.service.faults import Conflict, NoSpaceLeft, NotAllowed, Refused, TooMany, UnknownStudy

STATUSES = {
    UnknownStudy: 404,
    NotAllowed: 403,
    Conflict: 409,
    Refused: 422,
    TooMany: 429,
    NoSpaceLeft: 507,
    UsageError: 422,
    RunError: 500,
}


@pytest.mark.parametrize("kind", STATUSES)
def test_an_error_is_answered_with_its_status_in_one_line(
    tmp_path: Path, kind: type[TuneMlpError], caplog: pytest.LogCaptureFixture
) -> None:
    answer = asked(tmp_path, kind("it went\nwrong"))
    assert answer.status_code == STATUSES[kind]
    assert answer.json() == {"error": "it went\\nwrong", "line": None, "path": None}
    assert ("Retry-After" in answer.headers) == (kind is TooMany)
    assert ("it went" in caplog.text) == (STATUSES[kind] >= 500)


def test_an_unexpected_fault_tells_nothing_of_the_inside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    answer = asked(tmp_path, ZeroDivisionError("secret"))
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "secret" in caplog.text


def asked(root: Path, error: Exception) -> httpx.Response:
    """Return the answer of a service whose list of studies fails."""

    def fail(*_: object) -> None:
        raise error

    with opened(root) as (app, studies), pytest.MonkeyPatch.context() as patch:
        patch.setattr(studies, "list", fail)

        async def go() -> httpx.Response:
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                return await client.get("/api/studies")

        return asyncio.run(go())


def test_a_study_s_fault_has_its_line_and_its_setting() -> None:
    fault = fault_of(StudyError("must be at least 1", ("space", "lr", 0), "study.yaml:12"))
    assert (fault.error, fault.line, fault.path) == ("must be at least 1", 12, "space.lr.0")
    assert fault_of(StudyError("x", (), "--set lr=0")).line is None
