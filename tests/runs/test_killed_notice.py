"""A driver that is killed leaves a line that says how to go on, and one that ends in order leaves none."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tune_mlp.runs import killed_notice

DRIVER = """
import os, sys
from tune_mlp.runs.killed_notice import notice_if_killed
with notice_if_killed("it was killed") as take_back:
    {inside}
"""


def stderr_of(inside: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", DRIVER.format(inside=inside)], capture_output=True, text=True, timeout=30, check=False
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("inside", ["os.kill(os.getpid(), 9)", "os._exit(-9 % 256)"])
def test_a_process_that_is_killed_or_ended_from_c_leaves_the_line(inside: str) -> None:
    status, said = stderr_of(inside)
    assert status in (-signal.SIGKILL, 247)
    assert said == "it was killed\n"


@pytest.mark.parametrize("inside", ["pass", "sys.exit(0)", "take_back(); os._exit(0)", "take_back(); take_back()"])
def test_a_process_that_ends_in_order_leaves_none(inside: str) -> None:
    assert stderr_of(inside) == (0, "")


def test_an_error_inside_is_its_own_and_leaves_none() -> None:
    status, said = stderr_of("raise ValueError('mine')")
    assert status == 1
    assert "it was killed" not in said
    assert said.endswith("ValueError: mine\n")


def test_a_machine_without_room_for_the_process_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_: object, **__: object) -> None:
        raise BlockingIOError

    monkeypatch.setattr(killed_notice.subprocess, "Popen", no_room)
    with killed_notice.notice_if_killed("it was killed") as take_back:
        take_back()
