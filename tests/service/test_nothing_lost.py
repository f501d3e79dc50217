"""Nothing that was accepted is lost or done twice: many at once, the service killed at any instant, drivers killed."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.service.services import (
    ADA,
    OPTIONS,
    at_rest,
    begun,
    drivers,
    end_drivers,
    eventually,
    launcher,
    serve,
    service,
    submission,
)
from tune_mlp.errors import TuneMlpError
from tune_mlp.results.journal_reader import read
from tune_mlp.results.results import Results
from tune_mlp.service.faults import NoSpaceLeft
from tune_mlp.service.messages import StudyState
from tune_mlp.service.studies import StudyFilter, StudyService

PROCESSES = multiprocessing.get_context("forkserver")
"""Services are forked from a process that has imported all they need, and no thread of the tests."""
PROCESSES.set_forkserver_preload(["tune_mlp.service.studies", "tune_mlp.service.local_launcher"])
ALL = StudyFilter(limit=1000)


def test_fifty_submissions_at_once_are_each_accepted_once(tmp_path: Path) -> None:
    with service(tmp_path, concurrent_studies=8) as opened:
        together = threading.Barrier(50)
        found: list[str] = []

        def submit(number: int) -> None:
            together.wait()
            found.append(opened.submit(ADA, submission(None, 1), f"key-{number}").name)

        run_all([threading.Thread(target=submit, args=(number,)) for number in range(50)])
        assert len(set(found)) == 50
        assert {one.name for one in opened.list(ALL).studies} == set(found)
        eventually(lambda: opened.list(ALL._replace(state=StudyState.FINISHED)).total == 50, 120)
        assert sorted(begun(tmp_path)) == sorted((name, "search") for name in found)


def test_one_key_from_twenty_clients_is_one_run(tmp_path: Path) -> None:
    with service(tmp_path) as opened:
        together = threading.Barrier(20)
        found: list[str] = []

        def submit() -> None:
            together.wait()
            found.append(opened.submit(ADA, submission(), "the key").name)

        run_all([threading.Thread(target=submit) for _ in range(20)])
        assert len(found) == 20
        assert len(set(found)) == 1
        at_rest(opened, found[0])
        assert begun(tmp_path) == [(found[0], "search")]
        assert opened.submit(ADA, submission(), "the key").state is StudyState.FINISHED, "for ever"


def run_all(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def killed_service(root: Path, names: list[str], after: int, seconds: float) -> list[str]:
    """Run a service that submits studies, kill it so many seconds after it has said so many acceptances, and return all that it said."""
    heard, said = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=serve, args=(root, names, said))
    process.start()
    said.close()
    accepted = [heard.recv() for _ in range(1 + after)][1:]
    time.sleep(seconds)
    process.kill()
    process.join()
    with contextlib.suppress(EOFError):
        while True:
            accepted.append(heard.recv())
    return accepted


@pytest.mark.parametrize("kills", [20, pytest.param(100, marks=pytest.mark.slow)])
@pytest.mark.timeout(1200)
def test_a_service_that_is_killed_at_random_instants_loses_nothing_and_begins_nothing_twice(
    tmp_path: Path, kills: int
) -> None:
    instants = random.Random(kills)
    try:
        long = "long"
        with StudyService(tmp_path, launcher(tmp_path), OPTIONS) as opened:
            opened.submit(ADA, submission(long, 100_000))
            eventually(lambda: opened.get(long).ended_trials > 0)
        (pid,) = drivers(tmp_path)
        names, accepted = [], []
        for number in range(kills):
            new = [f"study-{number}-{which}" for which in range(2)]
            names += new
            accepted += killed_service(tmp_path, new, number % 3, instants.uniform(0.0, 0.3))
        with StudyService(tmp_path, launcher(tmp_path), OPTIONS) as opened:
            listed = {one.name for one in opened.list(ALL).studies}
            assert {long, *accepted} <= listed <= {long, *names}
            for name in names:  # a client that got no answer asks again with the same key
                assert opened.submit(ADA, submission(name, 2), f"key of {name}").name == name
            assert opened.list(ALL).total == len(names) + 1
            finished = ALL._replace(state=StudyState.FINISHED)
            eventually(lambda: opened.list(finished).total == len(names), 600)
            assert sorted(begun(tmp_path)) == sorted((name, "search") for name in [long, *names])
            assert all(one.ended_trials == 2 for one in opened.list(finished).studies)
            assert (opened.get(long).state, drivers(tmp_path)) == (StudyState.RUNNING, [pid]), "the same process"
            opened.stop(ADA, long)
            assert at_rest(opened, long).state is StudyState.STOPPED
            assert len(Results.load(tmp_path / long).trials) >= opened.get(long).ended_trials
    finally:
        end_drivers(tmp_path)


def test_a_study_goes_on_while_the_service_is_away_and_its_end_is_found(tmp_path: Path) -> None:
    try:
        with StudyService(tmp_path, launcher(tmp_path), OPTIONS) as opened:
            opened.submit(ADA, submission("ends", 30))
            opened.submit(ADA, submission("runs", 100_000))
            eventually(lambda: all(opened.get(name).ended_trials for name in ("ends", "runs")))
        eventually(lambda: len(drivers(tmp_path)) == 1)
        with StudyService(tmp_path, launcher(tmp_path), OPTIONS) as opened:
            assert at_rest(opened, "ends").state is StudyState.FINISHED
            opened.stop(ADA, "runs")
            assert at_rest(opened, "runs").state is StudyState.STOPPED
    finally:
        end_drivers(tmp_path)


def test_a_stop_that_was_asked_for_before_a_kill_is_carried_out_after_it(tmp_path: Path) -> None:
    try:
        with StudyService(tmp_path, launcher(tmp_path), OPTIONS) as opened:
            opened.submit(ADA, submission("one", 100_000))
            eventually(lambda: opened.get("one").ended_trials)
            opened._supervisor.end()  # the service ends between the answer and the signal
            opened.stop(ADA, "one")
        assert drivers(tmp_path)
        with StudyService(tmp_path, launcher(tmp_path), OPTIONS) as opened:
            assert at_rest(opened, "one").state is StudyState.STOPPED
    finally:
        end_drivers(tmp_path)


def test_a_driver_that_is_killed_is_resumed_three_times_at_most(tmp_path: Path) -> None:
    with service(tmp_path) as opened:
        opened.submit(ADA, submission("one", 100_000))
        for restarts in range(4):
            eventually(lambda restarts=restarts: len(begun(tmp_path)) == restarts + 1)
            (pid,) = drivers(tmp_path)
            known = opened.get("one").ended_trials
            eventually(lambda known=known: opened.get("one").ended_trials > known)
            assert opened.get("one").restarts == restarts
            os.kill(pid, signal.SIGKILL)
            eventually(lambda pid=pid: pid not in drivers(tmp_path))
        done = at_rest(opened, "one")
        assert done.state is StudyState.INTERRUPTED
        assert "was lost 4 times" in done.detail
        assert "SIGKILL" in done.detail
        assert begun(tmp_path) == [("one", "search"), *[("one", "resume")] * 3]
        assert len([line for line in opened.audit() if line.action == "restart"]) == 3
        read(tmp_path / "one" / "journal.jsonl")  # every line is whole
        opened.resume(ADA, "one")
        eventually(lambda: opened.get("one").state is StudyState.RUNNING)


def test_a_driver_that_is_killed_before_it_has_written_anything_begins_anew(tmp_path: Path) -> None:
    with service(tmp_path, concurrent_studies=1) as opened:
        opened.submit(ADA, submission("one", 5))
        done = None
        for _ in range(2):
            while not (found := drivers(tmp_path)):
                time.sleep(0.001)
            os.kill(found[0], signal.SIGKILL)
            eventually(lambda pid=found[0]: pid not in drivers(tmp_path))
        done = at_rest(opened, "one")
        assert (done.state, done.ended_trials) == (StudyState.FINISHED, 5)


def test_a_signal_from_outside_is_no_loss(tmp_path: Path) -> None:
    with service(tmp_path) as opened:
        opened.submit(ADA, submission("one", 100_000))
        eventually(lambda: opened.get("one").ended_trials)
        os.kill(drivers(tmp_path)[0], signal.SIGTERM)
        done = at_rest(opened, "one")
        assert (done.state, done.restarts) == (StudyState.INTERRUPTED, 0)
        assert "from outside" in done.detail


def test_a_full_disk_while_accepting_refuses_the_study_and_leaves_nothing_of_it(tmp_path: Path) -> None:
    with service(tmp_path) as opened:
        opened.submit(ADA, submission("before"), "k0")
        at_rest(opened, "before")
        writer = opened._ledger._writer
        pages = writer.execute("PRAGMA page_count").fetchone()[0]
        writer.execute(f"PRAGMA max_page_count = {pages}")
        wide = submission("late", more="description: " + "x" * 20_000 + "\n")
        with pytest.raises(NoSpaceLeft):
            opened.submit(ADA, wide, "k1")
        assert [one.name for one in opened.list().studies] == ["before"]
        assert not (tmp_path / "late").exists()
        assert [line.study for line in opened.audit()] == ["before"]
        writer.execute(f"PRAGMA max_page_count = {pages + 1000}")
        opened.submit(ADA, wide, "k1")
        assert at_rest(opened, "late").state is StudyState.FINISHED
        assert begun(tmp_path) == [("before", "search"), ("late", "search")]


def test_a_deletion_that_cant_be_written_leaves_the_study_where_it_was(tmp_path: Path) -> None:
    with service(tmp_path) as opened:
        opened.submit(ADA, submission("one"))
        before = at_rest(opened, "one")
        writer = opened._ledger._writer
        writer.execute("CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(FAIL, 'no'); END")
        with pytest.raises(TuneMlpError):
            opened.delete(ADA, "one")
        assert opened.get("one") == before
        assert len(Results.load(tmp_path / "one").trials) == 3
        assert opened.trashed() == []
