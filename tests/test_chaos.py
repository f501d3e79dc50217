"""The driver is killed at random instants, again and again: every study completes, and nothing that was written is lost."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ray import get_runtime_context

from tests.nodes import left_of_ray, none_left_of
from tests.test_search import SEARCH, environment
from tune_mlp.results.journal import Ended, Trained
from tune_mlp.results.journal_reader import read
from tune_mlp.results.results import Results
from tune_mlp.runs.history import history_of
from tune_mlp.training import checkpoint
from tune_mlp.tuning.trial_files import state_file

RESUME = [sys.executable, "-m", "tune_mlp", "resume"]
STUDY = """\
data: {name: digits}
space:
  lr: {log: [1.0e-3, 1.0e-1]}
  batch_size: {choice: [1, 4]}
  depth: {int: [0, 2]}
  width: {choice: [16, 32]}
epochs: 27
engine: eager
"""
TWELVE = "trials: 12\n"
ASHA = "concurrent: 1\nscheduler: {asha: {grace_period: 3, reduction_factor: 2}}\n"
LATEST = {"own": 14.0, "joined": 8.0}
"""Seconds after which a driver is killed at the latest: some in Ray's start, some while trials train."""


def killed(command: list[str], cwd: Path, env: dict[str, str], seconds: float) -> bool:
    """Run it, and kill it after so many seconds; False where it had ended by itself before."""
    with (cwd / "said.txt").open("w+") as said:
        process = subprocess.Popen(command, cwd=cwd, env=env, stdout=said, stderr=said)
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return True
        said.seek(0)
        assert status == 0, said.read()
    return False


def ended(journal: Path) -> list[Any]:
    return [event for event in read(journal) if isinstance(event, Ended)] if journal.exists() else []


def over(run: Path) -> bool:
    """Killed when all was done: there is nothing to go on with."""
    manifest = run / "run.json"
    return manifest.exists() and json.loads(manifest.read_text())["state"] == "finished"


def acknowledged_beyond_states(run: Path) -> list[int]:
    """Return the open trials for which the journal has more epochs than their last saved state."""
    past, found = history_of(read(run / "journal.jsonl")), []
    for trial in past.open:
        reports = [
            event for event in read(run / "journal.jsonl") if isinstance(event, Trained) and event.trial == trial
        ]
        path = run / "checkpoints" / state_file(trial)
        kept = max(record["epoch"] for record in checkpoint.load(path)["records"]) if path.exists() else 0
        if any(record.epoch > kept for report in reports[:-1] for record in report.epochs):
            found.append(trial)
    return found


def joining(folder: Path) -> tuple[list[str], dict[str, str]]:
    """Return the options and the environment of a search that joins the Ray of these tests."""
    env = {**environment(folder), "HOME": os.environ["HOME"]}  # where that Ray's token is
    return ["--address", get_runtime_context().gcs_address], env


def reports(run: Path) -> int:
    """Return how many reports of trained epochs the run's journal has."""
    journal = run / "journal.jsonl"
    return journal.read_bytes().count(b'"event":"trained"') if journal.exists() else 0


def killed_at(count: int, command: list[str], folder: Path, env: dict[str, str]) -> None:
    """Run a command until its run's journal has so many reports of epochs, and kill it."""
    with (folder / "said.txt").open("w+") as said:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=said, stderr=said)
        while reports(folder / "runs" / "cut") < count:
            assert process.poll() is None, (folder / "said.txt").read_text()
            time.sleep(0.05)
        process.kill()
        assert process.wait() == -signal.SIGKILL


def comparable(run: Path) -> pd.DataFrame:
    return Results.load(run).trials.drop(columns=["seconds", "train_seconds", "node"])


@pytest.mark.usefixtures("local_ray")
def test_a_study_whose_driver_is_killed_while_it_trains_ends_as_the_undisturbed_one(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(STUDY.replace("27", "9").replace("[1, 4]", "[4, 8]") + f"trials: 4\n{ASHA}")
    where, env = joining(tmp_path)
    search, run = [*SEARCH, "--space", "s.yaml", "--quiet", *where], tmp_path / "runs" / "cut"
    assert not killed([*search, "--name", "whole"], tmp_path, env, 250)
    killed_at(4, [*search, "--name", "cut"], tmp_path, env)
    before = ended(run / "journal.jsonl")
    assert not over(run)
    assert not killed([*RESUME, str(run), *where], tmp_path, env, 250)
    assert ended(run / "journal.jsonl")[: len(before)] == before, "a row that was written stays"
    pd.testing.assert_frame_equal(comparable(run), comparable(tmp_path / "runs" / "whole"), check_exact=True)


@pytest.mark.parametrize(
    ("scheduler", "ray", "kills"),
    [
        (TWELVE, "joined", 70),
        (TWELVE + ASHA, "joined", 70),
        (TWELVE, "own", 30),
        (TWELVE + ASHA, "own", 30),
    ],
)
@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_study_whose_driver_is_killed_at_random_ends_as_the_undisturbed_one(
    tmp_path: Path, scheduler: str, ray: str, kills: int, request: pytest.FixtureRequest
) -> None:
    (tmp_path / "s.yaml").write_text(STUDY + scheduler)
    if ray == "joined":  # one that is there already: a driver is at work sooner
        request.getfixturevalue("local_ray")  # it says in the environment that tokens are in use
    where, env = joining(tmp_path) if ray == "joined" else ([], environment(tmp_path))
    search = [*SEARCH, "--space", "s.yaml", "--quiet", *where]
    assert not killed([*search, "--name", "whole"], tmp_path, env, 900)
    instants = random.Random(kills)
    run, done, number = tmp_path / "runs" / "cut-0", 0, 0
    while done < kills:
        begun = (run / "journal.jsonl").exists() and (run / "run.json").exists()
        command = [*RESUME, str(run), *where] if begun else [*search, "--name", run.name]
        before = ended(run / "journal.jsonl")
        if not over(run) and killed(command, tmp_path, env, instants.uniform(1.0, LATEST[ray])):
            done += 1
            assert ended(run / "journal.jsonl")[: len(before)] == before, "a row that was written stays"
            if begun:
                assert not acknowledged_beyond_states(run), "at most what was under way is trained again"
            if not begun and run.exists() and not (run / "run.json").exists():
                number += 1  # killed before there was anything to go on with
                run = tmp_path / "runs" / f"cut-{number}"
        else:
            pd.testing.assert_frame_equal(comparable(run), comparable(tmp_path / "runs" / "whole"), check_exact=True)
            number += 1
            run = tmp_path / "runs" / f"cut-{number}"
    if (run / "run.json").exists() and not over(run):
        assert not killed([*RESUME, str(run), *where], tmp_path, env, 300)
        pd.testing.assert_frame_equal(comparable(run), comparable(tmp_path / "runs" / "whole"), check_exact=True)


@pytest.mark.slow  # two of Ray's agents end a minute later
def test_a_killed_driver_leaves_no_process_of_its_ray(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(STUDY + TWELVE)
    with (
        tempfile.TemporaryDirectory(prefix="ray") as session,  # short: a socket's path has 107 bytes at most
        subprocess.Popen(
            [*SEARCH, "--space", "s.yaml", "--name", "cut"],
            cwd=tmp_path,
            env={**environment(tmp_path), "RAY_TMPDIR": session},
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        assert process.stdout
        for line in process.stdout:
            if line.startswith("[1/"):
                break
        assert left_of_ray(session)
        process.kill()
        process.communicate(timeout=30)
        assert none_left_of(session), left_of_ray(session)
