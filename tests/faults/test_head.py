"""Ray's raylet is lost: one line, what was learnt, and the command that goes on."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path

import pandas as pd

from tests.test_search import search_until


def head_process(driver: subprocess.Popen[str], name: str) -> int:
    """The process of that name which this very driver started."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            head, _, rest = stat.read_text().rpartition(")")
            if head.partition("(")[2] == name and int(rest.split()[1]) == driver.pid:
                return int(stat.parent.name)
    raise AssertionError(f"the driver has no {name}")


def test_a_lost_raylet_is_said_in_one_line_and_the_run_goes_on(tmp_path: Path) -> None:
    process = search_until("[5/", tmp_path, "--space", "digits_quick", "--trials", "3000", "--name", "cut")
    os.kill(head_process(process, "raylet"), signal.SIGKILL)
    _, complaint = process.communicate(timeout=60)
    assert (process.returncode, complaint.count("\n")) == (1, 1), complaint
    assert "Ray was lost" in complaint
    assert complaint.endswith("tune-mlp resume runs/cut\n")
    run = tmp_path / "runs" / "cut"
    assert json.loads((run / "run.json").read_text())["state"] == "failed"
    assert len(pd.read_csv(run / "trials.csv")) >= 5
