"""A driver that is killed inside the winner's test, or while it writes a table, leaves a run that a resume completes."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tune_mlp import Results, cli

pytestmark = pytest.mark.usefixtures("local_ray")

KILLED = """
import os, signal, sys
from pathlib import Path
from tune_mlp import cli

def die(*args, **named):
    os.kill(os.getpid(), signal.SIGKILL)

where = sys.argv.pop(1)
if where == "the winner's test":
    from tune_mlp.tuning.winner import Examiner
    Examiner.examine = die
else:
    replace = os.replace
    os.replace = lambda old, new: die() if Path(new).name == where else replace(old, new)
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    "where",
    [
        "the winner's test",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("trials.csv", "trials.parquet", "epochs.parquet", "model.pt")
        ),
    ],
)
def test_a_driver_that_is_killed_at_the_end_leaves_a_run_that_is_completed(where: str, tmp_path: Path) -> None:
    words = ["search", "--space", "digits_quick", "--trials", "2", "--epochs", "2", "--quiet", "--name", "cut"]
    words += ["--concurrent", "1"]  # the start of a second worker takes longer than its trial
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, where, *words], cwd=tmp_path, capture_output=True, timeout=200
    )
    assert killed.returncode == -signal.SIGKILL
    run = tmp_path / "runs" / "cut"
    assert not (run / "trials.csv").exists() or where in ("trials.parquet", "epochs.parquet")
    assert len(Results.load(run).trials) == 2
    assert cli.main(["resume", str(run)]) == 0
    results = Results.load(run)
    assert results.manifest["state"] == "finished"
    assert results.best is not None
    assert pd.notna(results.best["test_accuracy"])
    pd.testing.assert_frame_equal(pd.read_parquet(run / "epochs.parquet"), results.epochs)
    assert (
        list(pd.read_csv(run / "trials.csv")["trial"])
        == list(pd.read_parquet(run / "trials.parquet")["trial"])
        == [0, 1]
    )
    assert (run / "best" / "model.pt").exists()
    assert not [path for path in run.rglob("*") if path.name.endswith(".tmp") or path.name.startswith(".")]
