"""The local launcher: a driver is begun once, found again by its lock, stopped, and its end is known."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.service.services import eventually
from tune_mlp.service.launcher import DriverOrder, DriverReport, DriverState
from tune_mlp.service.local_launcher import LocalLauncher

PYTHON = (sys.executable, "-c")
SLEEPS = "import time; print('here', flush=True); time.sleep(60)"
SAVES = """
import signal, sys, time
def end(number, frame):
    print("saved", number, flush=True)
    sys.exit(128 + number)
signal.signal(signal.SIGTERM, end)
signal.signal(signal.SIGINT, end)
print("here", flush=True)
time.sleep(60)
"""


def order(program: str, token: str = "one") -> DriverOrder:
    return DriverOrder(token, "study", (program,))


def ended(launcher: LocalLauncher, token: str = "one") -> DriverReport:
    over = (DriverState.ENDED, DriverState.LOST)
    eventually(lambda: launcher.report(token).state in over)
    return launcher.report(token)


def number_of(folder: Path, token: str = "one") -> int:
    return int(eventually(lambda: (folder / f"{token}.driver").read_text()).split()[1])


@pytest.mark.parametrize("status", [0, 1, 2, 130, 143])
def test_the_status_and_the_last_words_of_a_driver_are_known_also_to_another_service(
    tmp_path: Path, status: int
) -> None:
    launcher = LocalLauncher(tmp_path, PYTHON)
    launcher.launch(order(f"import sys; print('out'); print('the reason', file=sys.stderr); sys.exit({status})"))
    report = ended(launcher)
    assert report == DriverReport(DriverState.ENDED, status, "the reason")
    assert LocalLauncher(tmp_path, PYTHON).report("one") == report
    assert "the reason" in launcher.log("one")
    launcher.forget("one")
    assert launcher.report("one").state is DriverState.ABSENT
    assert not list(tmp_path.iterdir())


def test_a_driver_outlives_its_launcher_and_is_never_begun_twice(tmp_path: Path) -> None:
    first = LocalLauncher(tmp_path, PYTHON)
    first.launch(order(SLEEPS))
    pid = number_of(tmp_path)
    second = LocalLauncher(tmp_path, PYTHON)
    assert second.report("one").state is DriverState.RUNNING
    second.launch(order(SLEEPS))
    time.sleep(0.1)
    assert number_of(tmp_path) == pid
    second.stop("one", firmly=True)
    assert ended(first).status == 143
    second.launch(order(SLEEPS))
    assert second.report("one").state is DriverState.ENDED, "a token that has ended isn't begun again"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_driver_is_asked_to_save_by_sigint_and_then_by_sigterm(tmp_path: Path, number: signal.Signals) -> None:
    launcher = LocalLauncher(tmp_path, PYTHON)
    launcher.launch(order(SAVES))
    eventually(lambda: "here" in launcher.log("one"))
    firmly = number == signal.SIGTERM
    launcher.stop("one", firmly)
    assert ended(launcher).status == 128 + number
    assert f"saved {number:d}" in launcher.log("one")
    launcher.stop("one", firmly)  # it has ended: nothing happens


def test_a_driver_that_is_killed_is_lost(tmp_path: Path) -> None:
    launcher = LocalLauncher(tmp_path, PYTHON)
    launcher.launch(order(SLEEPS))
    os.kill(number_of(tmp_path), signal.SIGKILL)
    report = ended(launcher)
    assert (report.state, report.status) == (DriverState.LOST, 137)
    assert "SIGKILL" in report.detail


def test_a_driver_whose_shell_is_killed_too_is_lost(tmp_path: Path) -> None:
    launcher = LocalLauncher(tmp_path, PYTHON)
    launcher.launch(order(SLEEPS))
    pid = number_of(tmp_path)
    os.killpg(os.getpgid(pid), signal.SIGKILL)
    assert ended(launcher).state is DriverState.LOST


def test_an_intent_without_a_driver_is_absent_and_can_be_begun(tmp_path: Path) -> None:
    launcher = LocalLauncher(tmp_path, PYTHON)
    assert launcher.report("one").state is DriverState.ABSENT
    (tmp_path / "one.driver").touch()  # a service was killed before it began the driver
    assert launcher.report("one").state is DriverState.ABSENT
    launcher.launch(order("print('here')"))
    assert ended(launcher).status == 0


def test_a_driver_has_a_session_of_its_own_and_no_input(tmp_path: Path) -> None:
    launcher = LocalLauncher(tmp_path, PYTHON)
    launcher.launch(
        order("import os, sys; print(os.getsid(0) != os.getsid(os.getppid()) or os.getsid(0), sys.stdin.read() == '')")
    )
    ended(launcher)
    session, no_input = launcher.log("one").split()
    assert no_input == "True"
    assert session != str(os.getsid(0))


def test_a_child_of_a_driver_doesnt_keep_a_dead_driver_alive(tmp_path: Path) -> None:
    launcher = LocalLauncher(tmp_path, PYTHON)
    launcher.launch(order("import subprocess; print(subprocess.Popen(['sleep', '60']).pid, flush=True)"))
    assert ended(launcher).state is DriverState.ENDED
    os.kill(int(launcher.log("one").split()[0]), signal.SIGKILL)


def test_a_program_that_isnt_there_ends_with_a_reason(tmp_path: Path) -> None:
    launcher = LocalLauncher(tmp_path, ("/no/such/program",))
    launcher.launch(order("x"))
    report = ended(launcher)
    assert report.status == 127
    assert "/no/such/program" in report.detail
