"""A process of Ray's head, the raylet or the GCS, is lost: one line, what was learnt, and the command that goes on."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from tests.test_chaos import RESUME
from tests.test_search import environment, search_until


def head_process(driver: subprocess.Popen[str], name: str) -> int:
    """Return the process of that name which this driver started."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            head, _, rest = stat.read_text().rpartition(")")
            if head.partition("(")[2] == name and int(rest.split()[1]) == driver.pid:
                return int(stat.parent.name)
    raise AssertionError(f"the driver has no {name}")


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("raylet", signal.SIGKILL),
        pytest.param("gcs_server", signal.SIGKILL, marks=pytest.mark.slow),
        pytest.param("gcs_server", signal.SIGTERM, marks=pytest.mark.slow),
    ],
)
def test_a_lost_head_is_said_in_one_line_and_the_run_goes_on(name: str, number: signal.Signals, tmp_path: Path) -> None:
    process = search_until("[5/", tmp_path, "--space", "digits_quick", "--trials", "3000", "--name", "cut")
    os.kill(head_process(process, name), number)
    _, complaint = process.communicate(timeout=60)
    assert (process.returncode, complaint.count("\n")) == (1, 1), complaint
    assert "Ray was lost" in complaint
    assert complaint.endswith("tune-mlp resume runs/cut\n")
    run = tmp_path / "runs" / "cut"
    assert json.loads((run / "run.json").read_text())["state"] == "failed"
    assert len(pd.read_csv(run / "trials.csv")) >= 5
    assert not list(Path("/tmp/ray").glob(f"session_*_{process.pid}"))


@pytest.mark.slow
def test_a_raylet_that_ends_in_order_ends_the_search_and_loses_nothing(tmp_path: Path) -> None:
    """Ray's own code ends the driver then, before any of ours is called."""
    words = ("--space", "digits_quick", "--trials", "30", "--epochs", "40", "--set", "batch_size=4", "--name", "cut")
    process = search_until("[5/", tmp_path, *words)
    os.kill(head_process(process, "raylet"), signal.SIGTERM)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 1
    said = complaint.splitlines()[-1]  # Ray may have said something before
    assert said == "tune-mlp: the search was killed; what was learnt is saved: tune-mlp resume runs/cut"
    resumed = subprocess.run([*RESUME, "runs/cut"], cwd=tmp_path, env=environment(tmp_path), timeout=200)
    assert resumed.returncode == 0
    assert len(pd.read_csv(tmp_path / "runs" / "cut" / "trials.csv")) == 30
