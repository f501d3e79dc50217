"""Housekeeping: what was deleted long ago is removed for good, with the logs that nothing shows; all else stays, whatever happens."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.service.services import ADA, ADMIN, at_rest, drivers, eventually, service, submission
from tune_mlp.runs.journal_writer import Journal
from tune_mlp.service.faults import UnknownStudy
from tune_mlp.service.housekeeping import DAY, Housekeeper
from tune_mlp.service.ledger import Ledger
from tune_mlp.service.messages import Confirmation, StudyState
from tune_mlp.service.studies import StudyService


class Calendar:
    """A clock that a test moves on by days; what the service has done was done today."""

    def __init__(self) -> None:
        self.days = 0.0

    def __call__(self) -> float:
        return time.time() + self.days * DAY


@contextmanager
def kept(root: Path, days: float = 30) -> Iterator[tuple[StudyService, Housekeeper, Calendar]]:
    """Open a service with a housekeeper of its own, which looks when the test asks it to."""
    with service(root, keep_days=0) as opened:
        calendar = Calendar()
        yield opened, Housekeeper(opened._ledger, opened._root, opened.launcher, days, calendar), calendar


def ended(opened: StudyService, name: str) -> None:
    opened.submit(ADA, submission(name, 1))
    assert at_rest(opened, name).state is StudyState.FINISHED


def told(opened: StudyService) -> list[tuple[str, str, str]]:
    """Return what the service removed by itself, as the audit tells it."""
    lines = [line for line in opened.audit(limit=1000) if line.action.startswith("remove")]
    return sorted((line.user, line.action, line.study) for line in lines)


def logs(root: Path) -> set[str]:
    """Return the studies of which a driver's files are there."""
    return {path.name.rpartition("-")[0] for path in (root / ".service" / "drivers").iterdir()}


def test_a_study_is_removed_for_good_once_it_was_in_the_trash_for_so_long(tmp_path: Path) -> None:
    with kept(tmp_path) as (opened, keeper, calendar):
        for name in ("gone", "back", "stays"):
            ended(opened, name)
        before = opened.submit(ADA, submission("keyed", 1), "key")
        at_rest(opened, "keyed")
        for name in ("gone", "back", "keyed"):
            opened.delete(ADA, name)
        opened.restore(ADA, "back")
        calendar.days = 29.9
        keeper.look()
        assert {study.name for study in opened.trashed()} == {"gone", "keyed"}
        assert len(list((tmp_path / ".trash").iterdir())) == 2
        assert told(opened) == []

        calendar.days = 30.1
        keeper.look()
        assert list(opened.trashed()) == []
        assert list((tmp_path / ".trash").iterdir()) == []
        assert told(opened) == [
            ("", "remove", "gone"),
            ("", "remove", "keyed"),
            ("", "remove log", "gone"),
            ("", "remove log", "keyed"),
        ]
        assert {study.name for study in opened.list().studies} == {"back", "stays"}
        assert (tmp_path / "back" / "journal.jsonl").exists()
        assert logs(tmp_path) == {"back", "stays"}
        assert opened.log("stays") == opened.log("back") == ""
        with pytest.raises(UnknownStudy):
            opened.restore(ADA, "gone")
        again = opened.submit(ADA, submission("keyed", 1), "key")  # the same key is the same study for ever
        assert again.name == before.name
        assert "removed for good" in again.detail
        ended(opened, "gone")  # its name is free
        keeper.look()
        assert len(told(opened)) == 4


def test_logs_that_nothing_shows_are_removed_and_those_of_what_runs_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with kept(tmp_path) as (opened, keeper, calendar):
        ended(opened, "old")
        first = {path.stem for path in (tmp_path / ".service" / "drivers").glob("old-*")}
        opened.replay(ADA, "old", [0])
        eventually(lambda: opened.get("old").job == "replay" and at_rest(opened, "old"))
        replayed = {path.stem for path in (tmp_path / ".service" / "drivers").glob("old-*")} - first
        opened.confirm(ADMIN, "old", Confirmation(top=1, seeds=1))
        eventually(lambda: opened.get("old").job == "confirm" and at_rest(opened, "old"))
        monkeypatch.setenv("QUICK_SECONDS", "60")
        opened.submit(ADA, submission("runs", 100))
        eventually(lambda: drivers(tmp_path))
        for path in (tmp_path / ".service" / "drivers").iterdir():
            os.utime(path, (0, 0))  # a study that runs may have said nothing for long
        calendar.days = 31
        keeper.look()
        left = {path.stem for path in (tmp_path / ".service" / "drivers").iterdir()}
        assert not left & first
        assert replayed <= left
        assert len(left) == 3
        assert logs(tmp_path) == {"old", "runs"}
        assert told(opened) == [("", "remove log", "old")]
        assert opened.get("runs").state is StudyState.RUNNING
        assert len(drivers(tmp_path)) == 1
        assert opened.get("old").state is StudyState.FINISHED


def test_a_driver_whose_lock_is_held_keeps_its_files_whatever_the_ledger_says(tmp_path: Path) -> None:
    with kept(tmp_path) as (_, keeper, _):
        unknown = tmp_path / ".service" / "drivers" / "unknown-1.driver"
        unknown.write_text("pid 1\n")
        os.utime(unknown, (0, 0))
        with unknown.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            keeper.look()
            assert unknown.exists()
        keeper.look()
        assert not unknown.exists()


def test_a_run_in_the_trash_that_somebody_goes_on_with_stays(tmp_path: Path) -> None:
    with kept(tmp_path) as (opened, keeper, calendar):
        ended(opened, "one")
        opened.delete(ADA, "one")
        (folder,) = (tmp_path / ".trash").iterdir()
        calendar.days = 31
        with Journal.resume(folder / "journal.jsonl"):
            keeper.look()
            assert [study.name for study in opened.trashed()] == ["one"]
        keeper.look()
        assert list((tmp_path / ".trash").iterdir()) == []


def test_what_was_written_down_is_removed_after_a_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with kept(tmp_path) as (opened, keeper, calendar):
        ended(opened, "one")
        opened.delete(ADA, "one")
        (tmp_path / ".trash" / "99").mkdir()  # nobody knows it
        (tmp_path / ".trash" / "mine").mkdir()
        calendar.days = 31
        keeper._give_up_studies(calendar() - 30 * DAY)
    with kept(tmp_path) as (opened, keeper, calendar):
        keeper.look()
        assert {path.name for path in (tmp_path / ".trash").iterdir()} == {"99", "mine"}
        assert told(opened) == [("", "remove", "one")]


def test_a_service_looks_by_itself_and_with_zero_days_it_never_does(tmp_path: Path) -> None:
    with service(tmp_path, keep_days=0) as opened:
        ended(opened, "one")
        opened.delete(ADA, "one")
        with opened._ledger.writing() as transaction:
            transaction.execute("UPDATE studies SET trashed = 0")
        assert opened._housekeeper._thread.ident is None
    with service(tmp_path, keep_days=1) as opened:
        eventually(lambda: not opened.trashed())
        eventually(lambda: not list((tmp_path / ".trash").iterdir()))


def test_a_ledger_of_the_version_before_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    Ledger(path).close()
    with sqlite3.connect(path) as old:
        old.execute("ALTER TABLE studies DROP COLUMN purged")
        old.execute("PRAGMA user_version = 1")
    old.close()
    ledger = Ledger(path)
    with ledger.reading() as transaction:
        assert transaction.all("SELECT purged FROM studies") == []
    ledger.close()
