"""Builders for tests of the service: a service with quick drivers below a folder, studies to submit, and waiting for what must come."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

from tests.service.quick_driver import BEGUN
from tune_mlp.service.local_launcher import LocalLauncher
from tune_mlp.service.messages import StudyState, StudySummary, Submission
from tune_mlp.service.options import ServiceOptions
from tune_mlp.service.studies import StudyService
from tune_mlp.service.users import User

T = TypeVar("T")
ADA, BOB, ADMIN = User("ada", address="127.0.0.1"), User("bob"), User("root", admin=True)
REPOSITORY = Path(__file__).resolve().parents[2]
QUICK = (
    sys.executable,
    "-c",
    f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}); from tests.service.quick_driver import main; sys.exit(main())",
)
TEXT = """\
name: small
data: {{name: digits}}
space:
  lr: {{log: [1.0e-3, 1.0e-1]}}
  width: {{choice: [8, 16]}}
trials: {trials}
epochs: 3
{more}"""
AT_REST = (StudyState.FINISHED, StudyState.STOPPED, StudyState.INTERRUPTED, StudyState.FAILED)


def text(trials: int = 3, more: str = "") -> str:
    """Return a study's YAML."""
    return TEXT.format(trials=trials, more=more)


def submission(name: str | None = None, trials: int = 3, more: str = "") -> Submission:
    return Submission(study=text(trials, more), name=name)


def launcher(root: Path) -> LocalLauncher:
    """Return a launcher of quick drivers."""
    return LocalLauncher(root / ".service" / "drivers", QUICK)


@contextlib.contextmanager
def service(root: Path, **options: Any) -> Iterator[StudyService]:
    """Open a service with quick drivers. Drivers that it leaves at work are ended with it."""
    settings = {"concurrent_studies": 3, "poll_seconds": 0.05, "grace_seconds": 5.0, "plan": False, **options}
    try:
        with StudyService(root, launcher(root), ServiceOptions(**settings)) as opened:
            yield opened
    finally:
        end_drivers(root)


def drivers(root: Path) -> list[int]:
    """Return the processes of a root's drivers that live."""
    found = []
    for path in (root / ".service" / "drivers").glob("*.driver"):
        words = path.read_text().split()
        if words[:1] == ["pid"] and "status" not in words and os.path.exists(f"/proc/{words[1]}"):
            found.append(int(words[1]))
    return found


def end_drivers(root: Path) -> None:
    for pid in drivers(root):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def begun(root: Path) -> list[tuple[str, str]]:
    """Return the studies and words for which drivers were begun, in order."""
    path = root / BEGUN
    return [(line.split()[0], line.split()[1]) for line in path.read_text().splitlines()] if path.exists() else []


def eventually(look: Callable[[], T], seconds: float = 60.0) -> T:
    """Wait until something is true, and return it."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, "it didn't come"
        time.sleep(0.02)
    return found


def at_rest(opened: StudyService, name: str) -> StudySummary:
    """Wait until a study has ended, and return how."""
    eventually(lambda: opened.get(name).state in AT_REST)
    return opened.get(name)


OPTIONS = ServiceOptions(concurrent_studies=3, poll_seconds=0.05, grace_seconds=5.0, plan=False)


def serve(root: Path, names: list[str], said: Connection) -> None:
    """Open a service, submit studies, say each that was accepted, and wait to be killed; for a process of its own."""
    said.send("begun")
    with StudyService(root, launcher(root), OPTIONS) as opened:
        for name in names:
            opened.submit(ADA, submission(name, 2), f"key of {name}")
            said.send(name)
        time.sleep(60)
