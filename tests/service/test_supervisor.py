"""The supervisor: what it asks of a launcher, and what it makes of the launcher's answers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.results.journals import started, trial, write
from tests.service.services import ADA, eventually, submission
from tune_mlp.errors import RunError, StorageError
from tune_mlp.service.launcher import DriverOrder, DriverReport, DriverState
from tune_mlp.service.messages import Confirmation, Extension, StudyState
from tune_mlp.service.options import ServiceOptions
from tune_mlp.service.studies import StudyService

RUNNING = DriverReport(DriverState.RUNNING)


class Told:
    """A launcher that begins nothing: a test says what it answers."""

    def __init__(self) -> None:
        self.orders: list[DriverOrder] = []
        self.stops: list[bool] = []
        self.answer: DriverReport | Exception = RUNNING
        self.answers: dict[str, DriverReport] = {}
        """What is answered of single drivers, by their tokens."""
        self.refusal: Exception | None = None
        self.refused: set[str] | None = None
        """The studies that the refusal is for; None is all."""
        self.absence = ""
        """Why a driver that was never begun can't be begun at the moment."""

    def launch(self, order: DriverOrder) -> None:
        if self.refusal and (self.refused is None or order.study in self.refused):
            raise self.refusal
        self.orders.append(order)

    def report(self, token: str) -> DriverReport:
        if token not in [order.token for order in self.orders]:
            return DriverReport(DriverState.ABSENT, detail=self.absence)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answers.get(token, self.answer)

    def stop(self, token: str, firmly: bool) -> None:
        self.stops.append(firmly)

    def log(self, token: str, most_bytes: int = 0) -> str:
        return ""

    def answer(self, token: str, most_bytes: int = 0) -> str:
        return ""

    def kept(self) -> dict[str, float]:
        return {}

    def forget(self, token: str) -> None:
        pass


@contextmanager
def told(root: Path, **options: Any) -> Iterator[tuple[StudyService, Told]]:
    launcher = Told()
    with StudyService(root, launcher, ServiceOptions(**{"poll_seconds": 0.05, "plan": False, **options})) as opened:
        yield opened, launcher


def run_of(root: Path, name: str, state: str = "finished") -> None:
    """Write what a driver would have written."""
    folder = root / name
    folder.mkdir()
    write(folder / "journal.jsonl", [started(), *trial(0, 0.5), *trial(1, 0.6)])
    (folder / "run.json").write_text(f'{{"state": "{state}"}}')
    (folder / "study.yaml").write_text("name: small\ntrials: 3\n")


def began(opened: StudyService, launcher: Told, number: int = 1) -> DriverOrder:
    eventually(lambda: len(launcher.orders) == number)
    return launcher.orders[-1]


@pytest.mark.parametrize(
    ("report", "state", "said"),
    [
        (DriverReport(DriverState.ENDED, 0, "a last line"), StudyState.FINISHED, ""),
        (DriverReport(DriverState.ENDED, 1, "no trial succeeded"), StudyState.FAILED, "no trial succeeded"),
        (DriverReport(DriverState.ENDED, 2), StudyState.FAILED, "ended with status 2"),
        (DriverReport(DriverState.ENDED, 130), StudyState.INTERRUPTED, "from outside"),
        (DriverReport(DriverState.ENDED, 143), StudyState.INTERRUPTED, "from outside"),
        (DriverReport(DriverState.ENDED, 1, "KeyboardInterrupt"), StudyState.INTERRUPTED, "from outside"),
    ],
)
def test_the_end_of_a_driver_is_the_end_of_its_study(
    report: DriverReport, state: StudyState, said: str, tmp_path: Path
) -> None:
    with told(tmp_path) as (opened, launcher):
        opened.submit(ADA, submission("one"))
        began(opened, launcher)
        eventually(lambda: opened.get("one").state is StudyState.RUNNING)
        launcher.answer = report
        eventually(lambda: opened.get("one").state is state)
        assert said in opened.get("one").detail
        assert len(launcher.orders) == 1


def test_a_driver_is_asked_to_stop_once_and_firmly_after_a_while(tmp_path: Path) -> None:
    with told(tmp_path, grace_seconds=1.5) as (opened, launcher):
        opened.submit(ADA, submission("one"))
        began(opened, launcher)
        opened.stop(ADA, "one")
        eventually(lambda: launcher.stops)
        for _ in range(4):
            opened._supervisor.wake()
            time.sleep(0.1)
        assert launcher.stops == [False], "a second signal would end it before it has saved"
        eventually(lambda: launcher.stops == [False, True])
        launcher.answer = DriverReport(DriverState.ENDED, 130)
        eventually(lambda: opened.get("one").state is StudyState.STOPPED)


def test_a_study_whose_driver_is_stopped_while_it_starts_is_stopped(tmp_path: Path) -> None:
    """Python ends with a traceback and status 1 then."""
    with told(tmp_path) as (opened, launcher):
        opened.submit(ADA, submission("one"))
        began(opened, launcher)
        opened.stop(ADA, "one")
        launcher.answer = DriverReport(DriverState.ENDED, 1, "KeyboardInterrupt")
        eventually(lambda: opened.get("one").state is StudyState.STOPPED)
        assert opened.get("one").detail == ""


def test_a_launcher_that_cant_be_asked_loses_no_study(tmp_path: Path) -> None:
    with told(tmp_path) as (opened, launcher):
        opened.submit(ADA, submission("one"))
        began(opened, launcher)
        for answer in (RunError("the cluster is away"), DriverReport(DriverState.UNKNOWN, detail="it is too slow")):
            launcher.answer = answer
            said = str(answer) if isinstance(answer, RunError) else answer.detail
            eventually(lambda said=said: opened.get("one").detail == said)
            assert opened.get("one").state is StudyState.RUNNING
            assert opened.facts().unknown == {"one": said}
        launcher.answer = RUNNING
        eventually(lambda: not opened.get("one").detail)
        launcher.answer = DriverReport(DriverState.ENDED, 0)
        eventually(lambda: opened.get("one").state is StudyState.FINISHED)


def test_a_study_that_cant_be_begun_holds_up_no_other_and_can_be_stopped(tmp_path: Path) -> None:
    with told(tmp_path) as (opened, launcher):
        launcher.refusal = RunError("the cluster is away")
        opened.submit(ADA, submission("one"))
        eventually(lambda: opened.get("one").detail == "the cluster is away")
        assert opened.get("one").state is StudyState.QUEUED
        launcher.refused = {"one"}
        opened.submit(ADA, submission("two"))
        assert began(opened, launcher).study == "two"
        assert not opened.fault
        opened.stop(ADA, "one")
        eventually(lambda: opened.get("one").state is StudyState.STOPPED)
        assert opened.get("one").detail == "was stopped before its process was begun"


def test_studies_wait_for_a_cluster_that_is_away_from_the_start_and_can_be_stopped_meanwhile(tmp_path: Path) -> None:
    with told(tmp_path) as (opened, launcher):
        launcher.absence = "the cluster is away"
        for name in ("one", "two"):
            opened.submit(ADA, submission(name))
            eventually(lambda name=name: opened.get(name).detail == "the cluster is away")
            assert (opened.get(name).state, opened.get(name).position) == (StudyState.QUEUED, None)
        opened.stop(ADA, "one")
        eventually(lambda: opened.get("one").state is StudyState.STOPPED)
        assert opened.get("one").detail == "was stopped before its process was begun"
        launcher.absence = ""
        assert began(opened, launcher).study == "two"
        eventually(lambda: not opened.get("two").detail)
        assert opened.get("two").state is StudyState.RUNNING


def test_what_a_cluster_that_was_away_has_caused_is_not_said_for_ever(tmp_path: Path) -> None:
    with told(tmp_path) as (opened, launcher):
        opened.submit(ADA, submission("one"))
        first = began(opened, launcher).token
        launcher.answers[first] = DriverReport(DriverState.LOST, detail="its process was killed")
        began(opened, launcher, 2)
        launcher.answer = DriverReport(DriverState.UNKNOWN, detail="the cluster is away")
        eventually(lambda: opened.get("one").detail == "the cluster is away")
    launcher.answer = RUNNING  # while no service looks
    with StudyService(tmp_path, launcher, ServiceOptions(poll_seconds=0.05, plan=False)) as opened:
        eventually(lambda: opened.get("one").detail == "its process was killed; the service resumed it (1 of 3)")
        eventually(lambda: opened._supervisor.looked)
        assert opened.get("one").detail == "its process was killed; the service resumed it (1 of 3)"
        assert len(launcher.orders) == 2


def test_a_process_that_cant_be_begun_is_a_failure_that_says_why(tmp_path: Path) -> None:
    with told(tmp_path) as (opened, launcher):
        launcher.refusal = StorageError("no more processes")
        opened.submit(ADA, submission("one"))
        eventually(lambda: opened.get("one").state is StudyState.FAILED)
        assert opened.get("one").detail == "no more processes"
        launcher.refusal = None
        opened.resume(ADA, "one")
        assert began(opened, launcher).words[0] == "search", "there is nothing to resume"


def test_each_job_has_its_command_line(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    root = tmp_path / "runs"
    place = ("--address", "head:1", "--data-dir", str(data))
    run = str(root / "one")
    with told(root, data_dir=data, address="head:1") as (opened, launcher):
        opened.submit(ADA, submission("one"))
        order = began(opened, launcher)
        study = root / ".service" / "studies" / "one.yaml"
        assert order.words == ("search", "--space", str(study), "--out", str(root), "--name", "one", *place)
        assert "trials: 3" in study.read_text()
        run_of(root, "one", "interrupted")
        launcher.answer = DriverReport(DriverState.LOST)
        second = began(opened, launcher, 2)
        launcher.answer = RUNNING
        assert second.words == ("resume", run, *place)
        assert second.token != order.token
        launcher.answer = DriverReport(DriverState.ENDED, 0)
        asked = (
            (
                lambda: opened.extend(ADA, "one", Extension(trials=4, time_budget="10m")),
                ("resume", run, "--trials", "7"),
            ),
            (
                lambda: opened.confirm(ADA, "one", Confirmation(top=2, seeds=3)),
                ("confirm", run, "--top", "2", "--seeds", "3", "--to"),
            ),
            (lambda: opened.replay(ADA, "one", [1, 0, 1]), ("replay", run, "0", "1", "--to", "json")),
        )
        for number, (ask, words) in enumerate(asked, 3):
            eventually(lambda: opened.get("one").state is StudyState.FINISHED)
            ask()
            found = began(opened, launcher, number).words
            assert found[: len(words)] == words
            assert found[-4:] == place
        assert "--time-budget" in launcher.orders[2].words


def test_a_study_whose_driver_was_lost_after_its_last_step_is_finished(tmp_path: Path) -> None:
    with told(tmp_path) as (opened, launcher):
        opened.submit(ADA, submission("one"))
        began(opened, launcher)
        run_of(tmp_path, "one")
        (tmp_path / "one" / "trials.csv").touch()
        launcher.answer = DriverReport(DriverState.LOST)
        eventually(lambda: opened.get("one").state is StudyState.FINISHED)
        assert len(launcher.orders) == 1
        opened.extend(ADA, "one", Extension(trials=1))
        began(opened, launcher, 2)  # the manifest says finished, and yet the added trial is missing
        began(opened, launcher, 3)


def test_what_a_stranger_has_under_a_studys_name_is_never_removed(tmp_path: Path) -> None:
    with told(tmp_path) as (opened, launcher):
        opened.submit(ADA, submission("one"))
        began(opened, launcher)
        (tmp_path / "one").mkdir()
        (tmp_path / "one" / "thesis.txt").write_text("years of work")
        launcher.answer = DriverReport(DriverState.LOST)
        began(opened, launcher, 2)
        (kept,) = tmp_path.rglob("thesis.txt")
        assert kept.read_text() == "years of work"
