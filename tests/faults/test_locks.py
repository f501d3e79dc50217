"""One process at a time writes a run: the second is refused in a line that names the first, and what the dead held is free."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.faults.folders import contents, left_behind, refused_by_resume
from tests.results.journals import drawn, started
from tests.test_search import SEARCH, environment
from tune_mlp.errors import LostRun, RunFolderError, StorageError
from tune_mlp.results.journal_reader import read
from tune_mlp.runs import journal_writer as journals
from tune_mlp.runs import lease as leases
from tune_mlp.runs.journal_writer import Journal
from tune_mlp.runs.lease import LEASE_SECONDS, lease_file

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # ray calls what Python deprecates

HOLDER = """\
import sys, time
from tune_mlp.runs.journal_writer import Journal
with Journal.resume(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


TAKER = """\
import sys
from pathlib import Path
from tune_mlp.errors import TuneMlpError
from tune_mlp.runs.lease import Lease
print("ready", flush=True)
sys.stdin.readline()
try:
    lease = Lease.take(Path(sys.argv[1]))
except TuneMlpError:
    print("refused", flush=True)
else:
    print("taken", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with Journal.create(tmp_path / "journal.jsonl") as journal:
        journal.append(started())
    return tmp_path / "journal.jsonl"


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the file system by one without locks, as some shared ones are."""

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(journals.fcntl, "flock", refuse)


def holder(path: Path) -> subprocess.Popen[str]:
    """Another process that holds a journal."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def changed(path: Path, **facts: Any) -> None:
    """Whose lease it is, as if by another."""
    file = lease_file(path)
    file.write_text(json.dumps(json.loads(file.read_text()) | facts))


def silent_for(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(lease_file(path), (then, then))


@pytest.mark.parametrize("locks", [True, False])
def test_a_second_process_is_refused_by_name_and_a_killed_ones_run_is_free_at_once(
    path: Path, locks: bool, request: pytest.FixtureRequest
) -> None:
    if not locks:
        request.getfixturevalue("no_locks")
    with holder(path) as process:
        before = contents(path.parent)
        who = rf"another process is writing this journal: process {process.pid} on "
        for _ in range(2):
            with pytest.raises(RunFolderError, match=who):
                Journal.resume(path)
        os.kill(process.pid, signal.SIGSTOP)  # it lives
        with pytest.raises(RunFolderError, match=who):
            Journal.resume(path)
        assert contents(path.parent) == before
        process.kill()
        process.wait()
    assert lease_file(path).exists()
    with Journal.resume(path) as journal:
        journal.append(drawn(0))
    assert sorted(contents(path.parent)) == ["journal.jsonl"]


def test_a_holder_on_another_machine_counts_while_it_was_heard_of_within_a_minute(path: Path, no_locks: None) -> None:
    """By the file system's clock: the machines' own may differ by hours."""
    theirs = Journal.resume(path)
    changed(path, machine="another", host="far", pid=1)
    for seconds in (0.0, 40.0, -40.0):
        silent_for(path, seconds)
        with pytest.raises(RunFolderError, match=r"process 1 on far; if it is gone, the run is free in \d+ s"):
            Journal.resume(path)
    silent_for(path, LEASE_SECONDS + 1)
    ours = Journal.resume(path)
    ours.append(drawn(0))
    with pytest.raises(LostRun, match=rf"no longer ours; process {os.getpid()} on .* goes on with it"):
        theirs.append(drawn(7))
    theirs.close()
    ours.append(drawn(1))
    ours.close()
    assert read(path) == [started(), drawn(0), drawn(1)]
    assert sorted(contents(path.parent)) == ["journal.jsonl"]


def test_a_lease_is_touched_while_it_is_held(path: Path, no_locks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.01)
    with Journal.resume(path):
        silent_for(path, 3600)
        for _ in range(1000):
            if lease_file(path).stat().st_mtime > time.time() - 1800:
                break
            time.sleep(0.01)
        else:
            pytest.fail("it was never touched")


@pytest.mark.parametrize("content", [b"", b"\x80\x04", b"[" * 5000, b"{}", b'{"pid": "x"}'])
def test_a_lease_that_cannot_be_read_counts_for_a_minute(path: Path, no_locks: None, content: bytes) -> None:
    lease_file(path).write_bytes(content)
    with pytest.raises(RunFolderError, match=r"another process is writing this journal; if it is gone, .* free in"):
        Journal.resume(path)
    silent_for(path, LEASE_SECONDS + 1)
    Journal.resume(path).close()


def test_a_number_that_another_process_has_by_now_holds_nothing(path: Path) -> None:
    Journal.resume(path).close()
    with Journal.resume(path):
        kept = lease_file(path).read_bytes()
    lease_file(path).write_bytes(kept)
    changed(path, pid=1)  # which lives, but began at another time
    Journal.resume(path).close()


def test_a_copied_folders_lease_is_the_originals(path: Path, tmp_path: Path) -> None:
    with Journal.resume(path):
        shutil.copytree(path.parent, tmp_path / "copy")
        Journal.resume(tmp_path / "copy" / path.name).close()


def test_a_removed_run_is_noticed(path: Path) -> None:
    journal = Journal.resume(path)
    shutil.rmtree(path.parent)
    with pytest.raises(LostRun, match="this run's folder was deleted while the run was at work"):
        journal.append(drawn(0))
    journal.close()
    assert not path.parent.exists()


def test_of_many_that_find_a_stale_lease_at_once_one_has_it(path: Path) -> None:
    lease_file(path).write_text("stale")
    silent_for(path, LEASE_SECONDS + 1)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", TAKER, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    found = sorted(process.stdout.readline().strip() for process in processes if process.stdout)
    for process in processes:
        process.communicate("end\n", timeout=60)
    assert found == ["refused", "refused", "refused", "taken"]


def test_a_lease_that_cannot_be_written_is_said_and_the_journal_is_left(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    content = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match=r"journal\.jsonl\.lease: can't be written: No space left on device"):
            Journal.resume(path)
    assert contents(path.parent) == {"journal.jsonl": content}
    Journal.resume(path).close()


def test_a_resume_of_a_run_at_work_is_refused_and_touches_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = left_behind(tmp_path)
    with holder(run / "journal.jsonl") as process:
        before = contents(run)
        assert f"another process is writing this journal: process {process.pid} on" in refused_by_resume(run, capsys)
        assert contents(run) == before
        process.kill()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_of_two_searches_of_one_name_one_runs_and_the_other_is_refused(tmp_path: Path) -> None:
    """And so of two that go on with what was left of it."""
    study = (
        "data: {name: digits}\nspace: {width: {choice: [8, 16]}, batch_size: 4}\ntrials: 6\nepochs: 12\nengine: eager\n"
    )
    (tmp_path / "s.yaml").write_text(study)
    env = environment(tmp_path)

    def two(command: list[str]) -> list[tuple[int, str]]:
        processes = [
            subprocess.Popen(
                command, cwd=tmp_path, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
            )
            for _ in range(2)
        ]
        return sorted((process.wait(300), process.communicate()[1]) for process in processes)

    (won, silent), (lost, line) = two([*SEARCH, "--space", "s.yaml", "--name", "one"])
    assert (won, silent, lost) == (0, "", 2)
    assert line == "tune-mlp: runs/one exists already; choose another --name or --out\n"
    resume = [sys.executable, "-m", "tune_mlp", "resume", "runs/one", "--trials", "+2"]
    (won, silent), (lost, line) = two(resume)
    assert (won, silent, lost) == (0, "", 2)
    assert line.startswith("tune-mlp: runs/one/journal.jsonl: another process is writing this journal: process ")
    assert line.count("\n") == 1
