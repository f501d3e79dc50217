"""A run on an object store is the run in a folder: it arrives there whole, goes on from there, and outlives the store's loss."""

from __future__ import annotations

import io
import json
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.conftest import Training
from tests.s3 import KEY, SECRET, Bucket
from tests.snapshots import check_outcomes
from tests.studies import Memory, study
from tests.test_search import SEARCH, environment
from tune_mlp import cli, search
from tune_mlp.errors import LostRun, RunError, RunFolderError, UsageError
from tune_mlp.results.results import Results
from tune_mlp.results.run_cache import spool
from tune_mlp.runs import run_location, store_lease, store_sync
from tune_mlp.runs.store_lease import StoreLease
from tune_mlp.runs.store_sync import StoreSync
from tune_mlp.tuning.run import More, Request, resume_study, run_study

VARYING = ["seconds", "train_seconds", "node"]
SETTINGS: dict[str, Any] = {
    "engine": "eager",
    "epochs": 6,
    "scheduler": {"median": {"grace_period": 99}},
    "step_losses": "all",
}
"""Trials that report after each epoch, and leave files of every kind."""


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the test a machine of its own, without the wait for a store to settle."""
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setattr(store_sync, "SECONDS", 0.1)
    monkeypatch.setattr(store_lease, "SETTLE_SECONDS", 0.0)


class Watch(Memory):
    """A display that calls a function once, when so many epochs' results have arrived."""

    def __init__(self, results: int, act: Callable[[], object]) -> None:
        super().__init__()
        self._left, self._act = results, act

    def trial_trained(self, *args: Any) -> None:
        super().trial_trained(*args)
        self._left -= 1
        if self._left == 0:
            self._act()


def comparable(results: Results) -> list[pd.DataFrame]:
    return [results.trials.drop(columns=VARYING), results.epochs.drop(columns="seconds"), results.steps]


def assert_same(ours: Results, theirs: Results) -> None:
    for mine, other in zip(comparable(ours), comparable(theirs), strict=True):
        pd.testing.assert_frame_equal(mine, other, check_exact=True)
    assert (ours.path / "best" / "model.pt").read_bytes() == (theirs.path / "best" / "model.pt").read_bytes()
    check_outcomes(ours)


@pytest.fixture(scope="module")
def local(training: Training, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Run the same study in a local folder."""
    with training():
        return run_study(study(**SETTINGS), Request(out=tmp_path_factory.mktemp("local"), name="whole"), Memory())


@pytest.mark.slow
@pytest.mark.usefixtures("in_process_and_on_ray")
def test_a_study_arrives_on_the_store_as_it_would_in_a_folder_and_goes_on_from_there(
    local: Results, s3: Bucket, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def cut() -> None:
        while (
            "journal.jsonl" not in s3.files("arrives/whole")
            or b"trained" not in s3.files("arrives/whole")["journal.jsonl"]
        ):
            pass  # it is brought every tenth of a second here
        s3.copy("arrives/whole", "arrives/cut")

    uri = s3.uri("arrives")
    command = ("search", f"--out={uri}")
    results = run_study(study(**SETTINGS), Request(out=uri, name="whole", command=command), Watch(8, cut))
    assert_same(results, local)
    assert results.manifest["state"] == "finished"
    assert results.manifest["name"] == "whole"
    on_store = s3.files("arrives/whole")
    in_folder = {str(path.relative_to(local.path)) for path in local.path.rglob("*") if path.is_file()}
    assert on_store.keys() == in_folder, "no more and no less"
    assert not [name for name, content in {**on_store, **s3.files("arrives/cut")}.items() if SECRET.encode() in content]
    assert f"{on_store['run.json'].decode().count('s3://runs/arrives')}" == "1", "the command, without its keys"
    assert not spool(s3.store("arrives/whole")).exists(), "all of it is on the store"

    # On another machine, from what a lost one had brought.
    with pytest.raises(RunFolderError, match=r"at work on it, last heard of \d+ s ago; if it is lost, try again in"):
        resume_study(s3.store("arrives/cut"), More(), Request(), Memory())
    s3.store("arrives/cut").remove(store_lease.NAME)
    said = Memory()
    resumed = resume_study(s3.store("arrives/cut"), More(), Request(), said)
    assert re.match(r"going on: \d trials have ended, [1-4] were under way", said.lines[0])
    assert_same(resumed, local)
    assert not [name for name in s3.files("arrives/cut") if name.startswith("checkpoints/")]

    run = s3.uri("arrives/whole")
    assert cli.main(["export", run, "--to", "json"]) == 0
    assert len(json.loads(s3.files("arrives/whole")["trials.json"])) == 4
    assert cli.main(["resume", run]) == 2
    printed = capsys.readouterr()
    assert "has ended with all its 4 trials" in printed.err
    assert cli.main(["resume", run, "--trials", "+1"]) == 0
    printed = capsys.readouterr()
    assert re.search(r"^table +s3://runs/arrives/whole/trials.csv", printed.out, re.MULTILINE)
    assert SECRET not in printed.out + printed.err
    assert len(Results.load(run).trials) == 5
    assert cli.main(["resume", s3.uri("arrives/none")]) == 2
    assert "no run at s3://runs/arrives/none" in capsys.readouterr().err


@pytest.mark.usefixtures("local_ray")
def test_a_scheduler_that_sets_trials_aside_keeps_them_on_the_store(s3: Bucket, tmp_path: Path) -> None:
    settings = {"engine": "eager", "scheduler": "hyperband", "trials": 5, "epochs": 4, "resources": {"cpu": 2}}
    results = run_study(study(**settings), Request(out=s3.uri("aside"), name="hyperband"), Memory())
    assert len(results.trials) == 5
    assert results.best is not None
    assert not [name for name in s3.files("aside/hyperband") if name.startswith("checkpoints/")]


@pytest.mark.usefixtures("in_process_and_on_ray")
def test_a_store_that_is_lost_in_the_middle_costs_nothing(local: Results, s3: Bucket) -> None:
    display = Watch(2, s3.stop)
    with pytest.raises(RunError) as error, s3.started_again():
        run_study(study(**SETTINGS), Request(out=s3.uri("lost"), name="run"), display)
    folder = spool(s3.store("lost/run"))
    assert f"all of the run lies in {folder}: tune-mlp resume 's3://runs/lost/run?" in str(error.value)
    assert "\n" not in str(error.value)
    assert len([line for line in display.lines if "tried again" in line]) == 1
    assert set(display.states.values()) == {"finished"}, "no trial fails for it"
    here = Results.load(folder)
    pd.testing.assert_frame_equal(here.epochs.drop(columns="seconds"), comparable(local)[1], check_exact=True)

    said = Memory()
    assert_same(resume_study(s3.store("lost/run"), More(), Request(), said), local)
    assert f"brought to {s3.store('lost/run')} what only {folder} had" in said.lines
    assert not folder.exists()
    assert not [name for name in s3.files("lost/run") if name.startswith("checkpoints/")]


def refused(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """Return the line with which the command ends with status 2, before it has done anything."""
    assert search.main(["--space", "digits_quick", *options]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert SECRET not in said.err
    return said.err


def test_a_store_that_cannot_be_had_is_refused_before_any_work(
    s3: Bucket, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.deny("guarded")
    assert "ACCESS_DENIED" in refused(capsys, "--out", s3.uri("runs", bucket="guarded"))
    assert "The specified bucket does not exist" in refused(capsys, "--out", s3.uri("runs", bucket="nothing"))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        monkeypatch.setattr(run_location, "PATIENCE_SECONDS", 0.5)
        said = refused(capsys, "--out", s3.uri("runs", port=port))
        assert f"s3://runs/runs?endpoint_override=127.0.0.1:{port}" in said
        assert "can't be reached: no answer in 0 s" in said
    monkeypatch.undo()
    assert "Could not connect to server" in refused(capsys, "--out", s3.uri("runs", port=port))
    assert "Unrecognized filesystem type" in refused(capsys, "--out", "s4://runs")
    assert cli.main(["reproduce", "cs587_digits", "--out", "s3://runs/a"]) == 2
    assert "not to an object store" in capsys.readouterr().err


def test_a_taken_name_is_refused_and_a_bad_one_is_nowhere_written(
    s3: Bucket, capsys: pytest.CaptureFixture[str]
) -> None:
    s3.store("names/taken").write("anything", b"x")
    out = ("--out", s3.uri("names"))
    assert "/names/taken?" in (said := refused(capsys, *out, "--name", "taken"))
    assert "exists already; choose another --name" in said
    assert "a run's name is 1 to 64 letters" in refused(capsys, *out, "--name", "../up")
    assert s3.files("names") == {"taken/anything": b"x"}


def test_one_driver_has_a_run_until_it_is_silent_for_long(
    s3: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = s3.store("claim")
    first, second, same_place = (StoreLease(store, tmp_path / name) for name in ("a", "b", "a"))
    first.take()
    with pytest.raises(RunFolderError, match=f"a driver on {socket.gethostname()} is at work on it"):
        second.take()
    same_place.take()  # where the journal's lock decides
    same_place.give_back()
    assert not store.names(store_lease.NAME)
    first.take()
    second.give_back()
    assert store.names(store_lease.NAME), "only its holder gives it back"
    monkeypatch.setattr(store_lease, "SECONDS", 0.0)
    second.take()
    monkeypatch.setattr(store_lease, "BEAT_SECONDS", 0.0)
    second.beat()
    with pytest.raises(LostRun, match="has taken it over"):
        first.beat()
    store.write(store_lease.NAME, b"[]")
    second.beat()


def test_of_two_that_begin_at_once_one_goes_on(s3: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = s3.store("race")
    first, second = StoreLease(store, tmp_path / "a"), StoreLease(store, tmp_path / "b")

    def meanwhile(seconds: float) -> None:
        monkeypatch.setattr(store_lease.time, "sleep", lambda seconds: None)
        monkeypatch.setattr(
            second, "_holder", lambda holder=second._holder: {} if not calls.append(1) and len(calls) == 1 else holder()
        )
        second.take()

    calls: list[int] = []
    monkeypatch.setattr(store_lease.time, "sleep", meanwhile)
    with pytest.raises(RunFolderError, match="has begun with it at the same time"):
        first.take()


def test_a_driver_that_was_taken_for_lost_leaves_the_store_to_the_other(
    s3: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_lease, "BEAT_SECONDS", 0.0)
    store, display, folder = s3.store("taken_over"), Memory(), tmp_path / "a"
    (folder / "checkpoints").mkdir(parents=True)
    mine = StoreLease(store, folder)
    mine.take()
    other = json.dumps({"host": "elsewhere", "folder": "b", "token": "another"}).encode()

    def driver() -> None:
        with StoreSync(folder, store, mine, display.say):
            store.write(store_lease.NAME, other)
            while not display.lines:
                pass
            (folder / "run.json").write_text("of the driver that was silent")

    with pytest.raises(RunError, match=f"a driver on elsewhere has taken it over; all of the run lies in {folder}"):
        driver()
    assert s3.files("taken_over") == {store_lease.NAME: other}


def test_of_two_journals_the_one_that_goes_on_from_the_other_is_the_run(
    s3: Bucket, local: Results, tmp_path: Path
) -> None:
    store, folder = s3.store("journals"), tmp_path / "a"
    journal = (local.path / "journal.jsonl").read_bytes()
    line = journal.index(b"\n") + 1

    def agreed(here: bytes | None, there: bytes) -> bytes:
        shutil.rmtree(folder, ignore_errors=True)
        if here is not None:
            folder.mkdir()
            (folder / "journal.jsonl").write_bytes(here)
        store.write("journal.jsonl", there)
        run_location._agree(store, folder)
        return (folder / "journal.jsonl").read_bytes()

    assert agreed(None, journal) == journal
    assert agreed(journal[:line], journal) == journal
    assert agreed(journal, journal[:line]) == journal
    assert agreed(journal, journal[: line + 9]) == journal, "a torn line says nothing"
    with pytest.raises(UsageError, match="have gone on differently from the same run"):
        agreed(journal, journal[:line] + b"another line\n")


@pytest.mark.slow
def test_a_driver_that_is_killed_with_its_machine_is_gone_on_with_on_another(s3: Bucket, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(
        "data: {name: digits}\nspace: {lr: {log: [0.001, 0.1]}, batch_size: 1}\ntrials: 6\nepochs: 12\n"
        "engine: eager\nconcurrent: 2\nscheduler: {median: {grace_period: 99}}\n"
    )
    keys = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}  # workers have them from their machine's Ray
    home = {
        **environment(tmp_path),
        **keys,
        "XDG_STATE_HOME": str(tmp_path / "one"),
        "XDG_CACHE_HOME": str(tmp_path / "c"),
    }
    address, _, path = s3.uri("killed").partition("@")
    uri = f"s3://{path}"
    assert SECRET in address
    search = [*SEARCH, "--space", "s.yaml", "--out", uri]
    assert subprocess.run([*search, "--name", "whole"], cwd=tmp_path, env=home).returncode == 0
    with subprocess.Popen([*search, "--name", "cut"], cwd=tmp_path, env=home) as driver:
        while s3.files("killed/cut").get("journal.jsonl", b"").count(b"trained") < 4:
            time.sleep(0.2)
        driver.kill()
    run = uri.replace("killed?", "killed/cut?")
    resume = [sys.executable, "-m", "tune_mlp", "resume", run]
    other = {**home, "XDG_STATE_HOME": str(tmp_path / "two")}
    early = subprocess.run(resume, cwd=tmp_path, env=other, capture_output=True, text=True)
    assert early.returncode == 2
    assert "at work on it, last heard of" in early.stderr
    time.sleep(store_lease.SECONDS)
    assert subprocess.run(resume, cwd=tmp_path, env=other).returncode == 0
    tables = [pd.read_csv(io.BytesIO(s3.files(f"killed/{name}")["trials.csv"])) for name in ("cut", "whole")]
    pd.testing.assert_frame_equal(*(table.drop(columns=VARYING) for table in tables), check_exact=True)
    assert s3.files("killed/cut")["best/model.pt"] == s3.files("killed/whole")["best/model.pt"]
