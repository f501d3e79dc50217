"""A disk that is full or read-only ends a run in one line that says how to go on: no trial is blamed, and nothing is lost."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from tests.faults.folders import contents, events, left_behind, refused_by_resume
from tests.snapshots import REPORTING, comparable, go_on
from tests.studies import Memory, study
from tests.test_search import SEARCH, environment
from tune_mlp import search
from tune_mlp.console.board import Board
from tune_mlp.errors import StorageError
from tune_mlp.records import TrialState
from tune_mlp.results.export import export
from tune_mlp.results.journal import Ended, Event
from tune_mlp.results.journal_reader import read
from tune_mlp.results.storage import FolderStorage
from tune_mlp.runs.journal_writer import Journal
from tune_mlp.runs.run_folder import write_text
from tune_mlp.training import checkpoint
from tune_mlp.tuning import recorder
from tune_mlp.tuning.report import Report
from tune_mlp.tuning.run import Request, run_study

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # ray calls what Python deprecates

FULL = OSError(errno.ENOSPC, "No space left on device")
READ_ONLY = OSError(errno.EROFS, "Read-only file system")


class FullFromThe:
    """A file system that has no room from the n-th write on; the first write that fails writes a part."""

    def __init__(self, nth: int) -> None:
        self.left = nth
        self.write = os.write

    def __call__(self, descriptor: int, data: bytes) -> int:
        self.left -= 1
        if self.left < 0:
            raise FULL
        return self.write(descriptor, data[: len(data) // 2] if self.left == 0 else data)


def test_whichever_write_finds_the_disk_full_the_journal_holds_whole_lines_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = list(events(3))
    for nth in range(2, len(whole)):
        path = tmp_path / f"journal-{nth}.jsonl"
        with Journal.create(path) as journal:
            with monkeypatch.context() as patch:
                patch.setattr(os, "write", FullFromThe(nth))
                with pytest.raises(StorageError, match=r"jsonl: can't write the journal: No space left on device$"):
                    _append(journal, whole)
            assert read(path) == whole[: nth - 1]
        with Journal.resume(path) as journal:
            _append(journal, whole[nth - 1 :])
        assert read(path) == whole


def _append(journal: Journal, all_of: list[Event]) -> None:
    for event in all_of:
        journal.append(event)


def test_a_line_that_could_not_be_put_on_disk_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    whole = list(events(2))
    with Journal.create(tmp_path / "journal.jsonl") as journal:
        _append(journal, whole[:3])
        assert isinstance(whole[3], Ended)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", failing)
            with pytest.raises(StorageError, match="Input/output error"):
                journal.append(whole[3])
        assert read(journal.path) == whole[:3]


TABLE = pd.DataFrame({"trial": [0, 1]})
WRITERS: dict[str, Callable[[Path], None]] = {
    "state.pt": lambda path: checkpoint.save(path, {"epoch": 1}),
    "run.json": lambda path: write_text(path, "{}\n"),
    "trials.csv": lambda path: export(TABLE, path, "csv"),
    "trials.parquet": lambda path: export(TABLE, path, "parquet"),
    "trials.xlsx": lambda path: export(TABLE, path, "xlsx"),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_that_cannot_be_written_stays_as_it_was_with_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A table is written to another file and renamed, so a rename fails after everything was written."""

    def full(source: Any, target: Any) -> None:
        assert Path(source).parent == Path(target).parent
        assert Path(source).stat().st_size > 0
        raise FULL

    (tmp_path / name).write_bytes(b"as it was")
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(StorageError, match=rf"{name}.*: No space left on device") as error:
            WRITERS[name](tmp_path / name)
    assert "\n" not in str(error.value)
    assert contents(tmp_path) == {name: b"as it was"}
    WRITERS[name](tmp_path / name)
    assert contents(tmp_path)[name] != b"as it was"


def test_a_read_only_place_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Root may write anywhere, so the system's answer is simulated here; the slow test mounts a real read-only disk."""
    run = left_behind(tmp_path)
    before = contents(run)
    opened = os.open

    def read_only(path: Any, flags: int, *rest: Any, **more: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and str(path).startswith(str(tmp_path)):
            raise READ_ONLY
        return opened(path, flags, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", read_only)
        assert refused_by_resume(run, capsys) == (f"{run}/journal.jsonl: can't open the journal: Read-only file system")
    assert contents(run) == before

    def no_folder(self: Path, *rest: Any, **more: Any) -> None:
        raise READ_ONLY

    with monkeypatch.context() as patch:
        patch.setattr("tune_mlp.tuning.run.cluster_for", NoCluster)
        patch.setattr(Path, "mkdir", no_folder)
        assert search.main(["--space", "digits_quick", "--out", str(tmp_path / "out"), "--name", "x"]) == 2
    line = capsys.readouterr().err
    assert line == f"tune-mlp: can't make the run's folder {tmp_path}/out/x: Read-only file system\n"


class NoCluster:
    """A stand-in for a Ray cluster, which isn't asked."""

    def __init__(self, *args: Any) -> None:
        pass

    def __enter__(self) -> Any:
        return SimpleNamespace(slots=lambda resources, concurrent: 1, nodes=())

    def __exit__(self, *args: Any) -> None:
        pass


def test_what_a_worker_could_not_write_is_no_trials_failure(tmp_path: Path) -> None:
    class Wrapped(Exception):
        """An error as Ray passes it on from another process."""

        cause = StorageError("state.pt can't be written: No space left on device")

    display = Memory()
    display.begin(Board("", "val_accuracy", "max", trials=9, epochs=9))
    with Journal.create(tmp_path / "journal.jsonl") as journal:
        journal.append(next(events(1)))
        its = recorder.Recorder(
            journal,
            display,
            FolderStorage(tmp_path),
            recorder.KeptFiles(),
            on_start=lambda: None,
            on_last_starts=lambda: None,
            slots=1,
            trials=9,
        )
        trial = SimpleNamespace(
            config={"trial": 0, "seed": 0, "params": {}},
            get_pickled_error=Wrapped,
            run_metadata=SimpleNamespace(num_failures=0),
        )
        its.on_trial_start(0, [], trial)
        before = read(journal.path)
        full = Report(1, TrialState.STOPPED, "here", 1.0, error="x.pt can't be written: No space")
        with pytest.raises(StorageError, match="No space"):
            its.on_trial_result(0, [], trial, full.to_ray("val_accuracy", "max"))
        with pytest.raises(StorageError, match="No space"):
            its.on_trial_error(0, [], trial)
        assert read(journal.path) == before


class Blocking(Memory):
    """A display that puts a folder where a trial's state is to be written; writing then fails for root, too."""

    def __init__(self, run: Path) -> None:
        super().__init__()
        self.place = run / "checkpoints" / "state-00002.pt"

    def trial_started(self, trial: int, params: Any) -> None:
        super().trial_started(trial, params)
        if trial == 0:
            (self.place / "in the way").mkdir(parents=True)


@pytest.mark.usefixtures("in_process_and_on_ray")
def test_a_run_whose_workers_cannot_write_ends_and_goes_on_once_they_can(tmp_path: Path) -> None:
    whole = run_study(study(**REPORTING), Request(out=tmp_path, name="whole"), Memory())
    run = tmp_path / "cut"
    display = Blocking(run)
    with pytest.raises(StorageError) as error:
        run_study(study(**REPORTING), Request(out=tmp_path, name="cut"), display)
    assert str(error.value) == (
        f"{display.place} can't be written: Is a directory; once it can be written: tune-mlp resume {run}"
    )
    assert not [event for event in read(run / "journal.jsonl") if isinstance(event, Ended) and event.trial == 2]
    assert len(pd.read_csv(run / "trials.csv")) >= 3
    shutil.rmtree(display.place)
    resumed = go_on(run)
    for ours, theirs in zip(comparable(resumed), comparable(whole), strict=True):
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True)


class Counting(Memory):
    """A display that counts the files in checkpoints/ at each event."""

    def __init__(self, run: Path) -> None:
        super().__init__()
        self.folder = run / "checkpoints"
        self.sizes: dict[str, int] = {}
        self.most: dict[str, int] = {}

    def trial_trained(self, *args: Any) -> None:
        super().trial_trained(*args)
        seen: dict[str, set[str]] = {}
        for path in self.folder.glob("[!r]*"):
            with contextlib.suppress(FileNotFoundError):  # workers replace and remove
                self.sizes[path.name] = path.stat().st_size
                seen.setdefault(path.name.split("-")[0], set()).add(path.name)
        for kind, names in seen.items():
            self.most[kind] = max(self.most.get(kind, 0), len(names))


@pytest.mark.usefixtures("local_ray")
def test_checkpoints_are_bounded_in_number_and_bytes(tmp_path: Path) -> None:
    """A trial that isn't finished keeps its state and its best weights.

    Of the finished trials, only the best one keeps its weights.
    """
    display = Counting(tmp_path / "run")
    concurrent = 2
    settings: dict[str, Any] = {"trials": 6, "epochs": 4, "concurrent": concurrent, "scheduler": REPORTING["scheduler"]}
    results = run_study(study(**settings), Request(out=tmp_path, name="run"), display)
    assert display.most["state"] <= concurrent
    assert display.most["best"] <= 2 * concurrent + 1, "while a better one replaces it there are two"
    assert set(display.most) <= {"state", "best", ".state", ".best"}
    weights = 4 * int(results.trials["weights"].max())
    most = max(size for name, size in display.sizes.items() if name.startswith("state"))
    assert most < 4 * weights + 30_000, "weights, the best ones, two moments, and a zip's own"
    assert list((tmp_path / "run" / "checkpoints").iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of three megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"only root may mount a small disk here; run this test as root: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


STUDY = """\
data: {name: digits}
space: {lr: {log: [1.0e-3, 1.0e-1]}, width: {choice: [64, 128]}, depth: {int: [1, 2]}, batch_size: 4}
scheduler: {median: {grace_period: 99}}
trials: 8
epochs: 6
engine: eager
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_real_disk_that_fills_up_and_one_that_is_read_only(tmp_path: Path, small_disk: Path) -> None:
    (tmp_path / "s.yaml").write_text(STUDY)
    env = environment(tmp_path)

    def run(*command: str) -> tuple[int, str, str]:
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300, check=False)
        return done.returncode, done.stdout, done.stderr

    assert run(*SEARCH, "--space", "s.yaml", "--name", "whole", "--quiet")[0] == 0
    begin = [*SEARCH, "--space", "s.yaml", "--out", str(small_disk), "--name", "cut"]
    with subprocess.Popen(
        begin, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        for line in process.stdout:
            if line.startswith("[2/"):
                break
        _fill(small_disk / "ballast")
        _, said = process.communicate(timeout=300)
    cut = small_disk / "cut"
    assert process.returncode == 1, said
    assert said.count("\n") == 1
    assert "No space left on device" in said
    assert said.endswith(f"; once it can be written: tune-mlp resume {cut}\n")
    before = read(cut / "journal.jsonl")
    assert not [event for event in before if isinstance(event, Ended) and event.state == "failed"]

    resume = (sys.executable, "-m", "tune_mlp", "resume", str(cut))
    status, _, said = run(*resume)  # still full
    assert (status, said.count("\n")) == (1, 1), said
    assert "No space left on device" in said
    assert read(cut / "journal.jsonl")[: len(before)] == before

    (small_disk / "ballast").unlink()
    remount = ["mount", "-o", "remount,ro", str(small_disk)]
    subprocess.run(remount, check=True)
    assert run(*resume) == (2, "", f"tune-mlp: {cut}/journal.jsonl: can't open the journal: Read-only file system\n")
    status, _, said = run(*SEARCH, "--space", "s.yaml", "--out", str(small_disk), "--name", "new")
    assert (status, said) == (2, f"tune-mlp: can't make the run's folder {small_disk}/new: Read-only file system\n")
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)

    status, _, said = run(*resume)
    assert (status, said) == (0, "")
    varying = ["seconds", "train_seconds", "node"]
    ours, theirs = (pd.read_csv(path / "trials.csv").drop(columns=varying) for path in (cut, tmp_path / "runs/whole"))
    pd.testing.assert_frame_equal(ours, theirs, check_exact=True)


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 512)
        except OSError:
            return
