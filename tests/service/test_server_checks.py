"""tune-mlp doctor --server: each finding both ways from made views, and a real service."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.service.servers import FREELY, serving
from tests.service.services import service
from tune_mlp import cli
from tune_mlp.doctor.facts import Clock
from tune_mlp.service.access import Access, digest_of
from tune_mlp.service.app import make_app
from tune_mlp.service.messages import Health, Me, ServiceFacts
from tune_mlp.service.server_checks import ServiceView, diagnose_server
from tune_mlp.service.users import User
from tune_mlp.version import __version__

FACTS = ServiceFacts(
    now=0.0, root="/shared/runs", free_bytes=10**11, queued=3, running=2, concurrent=2, queue_seconds=0.2
)
WELL = ServiceView(
    "http://host:8642",
    health=Health(status="ok", version=__version__, facts=FACTS),
    me=Me(name="ada", admin=False),
    clock=Clock(0.01, 0.02),
)


def facts(**changes: Any) -> ServiceView:
    """Well, but for what the service says of itself."""
    return replace(WELL, health=Health(status="ok", version=__version__, facts=FACTS.model_copy(update=changes)))


def test_a_service_that_is_well_has_no_problem_and_every_subject_is_named() -> None:
    findings = diagnose_server(WELL)
    assert {finding.level for finding in findings} == {"ok"}
    assert [finding.subject for finding in findings] == [
        "service",
        "token",
        "clock",
        "root",
        "disk",
        "queue",
        "drivers",
    ]


@pytest.mark.parametrize(
    ("view", "subject", "level", "said"),
    [
        (ServiceView("http://host:8642", fault="no service answers"), "service", "problem", "no service answers"),
        (replace(WELL, health=Health(status="ok", version="0.0.1")), "service", "note", "0.0.1"),
        (replace(WELL, me=None, unknown="the token is wrong"), "token", "problem", "the token is wrong"),
        (replace(WELL, clock=Clock(-5.0, 0.1)), "clock", "note", "5.0 s behind"),
        (replace(WELL, clock=Clock(50.0, 0.1)), "clock", "problem", "50.0 s ahead of"),
        (facts(unwritable="No space left on device"), "root", "problem", "No space left on device"),
        (facts(free_bytes=1_000_000_000), "disk", "note", "1.0 GB free"),
        (facts(free_bytes=100_000_000), "disk", "problem", "100 MB free"),
        (facts(queue_seconds=90.0), "queue", "problem", "nothing looked at it for 90 s"),
        (facts(queue_seconds=None), "queue", "problem", "nothing looked at it"),
        (facts(fault="the disk is full"), "queue", "problem", "the disk is full"),
        (
            facts(unknown={"first": "the cluster can't be reached"}),
            "drivers",
            "problem",
            "the cluster can't be reached",
        ),
    ],
)
def test_what_is_wrong_is_found_and_nothing_else(view: ServiceView, subject: str, level: str, said: str) -> None:
    (found,) = [finding for finding in diagnose_server(view) if finding.level != "ok"]
    assert (found.subject, found.level) == (subject, level)
    assert said in found.what
    assert found.remedy


def test_doctor_checks_a_real_service(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TUNE_MLP_TOKEN", raising=False)
    access = Access({digest_of("t" * 30): User("ada")})
    (tmp_path / "token").write_text("t" * 30)
    with service(tmp_path / "root") as opened, serving(make_app(opened, access, FREELY)) as url:
        status = cli.main(["doctor", "--server", url, "--token-file", str(tmp_path / "token")])
        said = capsys.readouterr()
        lines = [line.split() for line in said.out.splitlines()]
        assert [line[1] for line in lines[:7]] == ["service", "token", "clock", "root", "disk", "queue", "drivers"]
        disk_is_full = lines[4][0] == "problem"
        assert status == (1 if disk_is_full else 0)
        assert {line[0] for number, line in enumerate(lines[:7]) if number != 4} == {"ok"}
        assert "you are ada" in said.out
        assert cli.main(["doctor", "--server", url]) == 1
        said = capsys.readouterr()
        assert "problem  token     a token is needed" in said.out
        assert str(tmp_path) not in said.out, "a stranger learns nothing of the service"
    assert cli.main(["doctor", "--server", url]) == 1
    assert "problem  service   no service answers at" in capsys.readouterr().out
