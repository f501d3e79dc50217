"""The driver is killed at random instants, again and again: every study completes, and nothing that was written is lost."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.test_search import SEARCH, environment
from tune_mlp.results.journal import Ended, read
from tune_mlp.results.results import Results

RESUME = [sys.executable, "-m", "tune_mlp", "resume"]
STUDY = """\
data: {name: digits}
space:
  lr: {log: [1.0e-3, 1.0e-1]}
  batch_size: {choice: [1, 4]}
  depth: {int: [0, 2]}
  width: {choice: [16, 32]}
trials: 12
epochs: 27
engine: eager
"""
ASHA = "concurrent: 1\nscheduler: {asha: {grace_period: 3, reduction_factor: 2}}\n"
LATEST = 14.0
"""Seconds after which a driver is killed at the latest: some in Ray's start, some while trials train."""


def killed(command: list[str], cwd: Path, seconds: float) -> bool:
    """Run it, and kill it after so many seconds; False where it had ended by itself before."""
    process = subprocess.Popen(
        command, cwd=cwd, env=environment(cwd), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        assert process.wait(seconds) == 0
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True
    return False


def ended(journal: Path) -> list[Any]:
    return [event for event in read(journal) if isinstance(event, Ended)] if journal.exists() else []


def over(run: Path) -> bool:
    """Killed when all was done: there is nothing to go on with."""
    manifest = run / "run.json"
    return manifest.exists() and json.loads(manifest.read_text())["state"] == "finished"


def comparable(run: Path) -> pd.DataFrame:
    return Results.load(run).trials.drop(columns=["seconds", "train_seconds", "node"])


def left_of_ray(session: str) -> list[str]:
    """Processes that a killed driver's Ray has left, by their command lines."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue  # it has just ended
            if session in command and int(folder.name) != os.getpid():
                found.append(command[:200])
    return found


@pytest.mark.parametrize(
    ("scheduler", "kills"),
    [("", 2), (ASHA, 2), pytest.param("", 30, marks=pytest.mark.slow), pytest.param(ASHA, 30, marks=pytest.mark.slow)],
)
@pytest.mark.timeout(1800)
def test_a_study_whose_driver_is_killed_at_random_ends_as_the_undisturbed_one(
    tmp_path: Path, scheduler: str, kills: int
) -> None:
    (tmp_path / "s.yaml").write_text(STUDY + scheduler)
    search = [*SEARCH, "--space", "s.yaml", "--quiet"]
    assert not killed([*search, "--name", "whole"], tmp_path, 300)
    instants = random.Random(kills)
    run, done, number = tmp_path / "runs" / "cut-0", 0, 0
    while done < kills:
        begun = (run / "journal.jsonl").exists() and (run / "run.json").exists()
        command = [*RESUME, str(run)] if begun else [*search, "--name", run.name]
        before = ended(run / "journal.jsonl")
        if not over(run) and killed(command, tmp_path, instants.uniform(1.0, LATEST)):
            done += 1
            assert ended(run / "journal.jsonl")[: len(before)] == before, "a row that was written stays"
            if not begun and run.exists() and not (run / "run.json").exists():
                number += 1  # killed before there was anything to go on with
                run = tmp_path / "runs" / f"cut-{number}"
        else:
            pd.testing.assert_frame_equal(comparable(run), comparable(tmp_path / "runs" / "whole"), check_exact=True)
            number += 1
            run = tmp_path / "runs" / f"cut-{number}"
    if (run / "run.json").exists() and not over(run):
        assert not killed([*RESUME, str(run)], tmp_path, 300)
        pd.testing.assert_frame_equal(comparable(run), comparable(tmp_path / "runs" / "whole"), check_exact=True)


def test_a_killed_driver_leaves_no_process_of_its_ray(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(STUDY)
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
        for _ in range(60):
            if not left_of_ray(session):
                return
            time.sleep(0.5)
        pytest.fail(f"still there: {left_of_ray(session)}")
