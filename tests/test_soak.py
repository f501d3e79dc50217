"""Two thousand trials in one study: nothing grows with their number but the tables."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.nodes import below, left_of_ray, none_left_of, workers
from tests.test_search import environment
from tune_mlp.planning.memory import proportional
from tune_mlp.results.journal import Ended
from tune_mlp.results.journal_reader import read

TRIALS, AT_ONCE = 2000, 2
SETTLED = 200
"""Trials after which memory is to be flat."""
STUDY = f"""\
data: {{name: digits, samples: 300}}
space:
  lr: {{log: [1.0e-3, 1.0e-1]}}
  width: {{choice: [8, 16]}}
  depth: {{int: [0, 2]}}
  batch_size: 50
trials: {TRIALS}
epochs: 3
concurrent: {AT_ONCE}
scheduler: {{asha: {{grace_period: 1, reduction_factor: 3}}}}
"""
DRIVER_SLOPE = 25.0
"""MB for each 1,000 trials: Ray keeps all trials of a study, some 15 kB each."""
WORKER_SLOPE = 5.0
FILES = 200
"""Ray's own logs and sockets are most of them."""


def slope(trials: list[int], sizes: list[float]) -> float:
    """Per 1,000 trials, by least squares over what was seen after the first ones."""
    settled = [(done, size) for done, size in zip(trials, sizes, strict=True) if done >= SETTLED]
    return float(np.polyfit(*zip(*settled, strict=True), 1)[0] * 1000)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_two_thousand_trials_take_no_more_memory_and_files_than_two_hundred(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(STUDY)
    command = [sys.executable, "-m", "tune_mlp.search", "--space", "s.yaml", "--quiet", "--name", "soak"]
    run = tmp_path / "runs" / "soak"
    seen = []
    with tempfile.TemporaryDirectory(prefix="ray") as session:  # short: a socket's path has 107 bytes at most
        search = subprocess.Popen(
            command, cwd=tmp_path, env={**environment(tmp_path), "RAY_TMPDIR": session}, stdout=subprocess.DEVNULL
        )
        processes: set[int] = set()
        while search.poll() is None:
            processes.update(below(search.pid))
            sizes = [proportional(pid) / 1e6 for pid in workers(search.pid)]
            if sizes and (run / "journal.jsonl").exists():
                done = sum(isinstance(event, Ended) for event in read(run / "journal.jsonl"))
                files = sum(len(list(folder.rglob("*"))) for folder in (run, Path(session)))
                if done < TRIALS - 3 * AT_ONCE:  # then the driver imports PyTorch, for the winner's test
                    seen.append((done, proportional(search.pid) / 1e6, max(sizes), files))
            time.sleep(0.5)
        assert search.returncode == 0
        assert none_left_of(session), left_of_ray(session)
    trials, driver, worker, files = (list(column) for column in zip(*seen, strict=True))
    slopes = slope(trials, driver), slope(trials, worker)
    print(
        f"\n{len(seen)} looks; after {SETTLED} trials the driver grows by {slopes[0]:.1f} MB and the largest worker by "
        f"{slopes[1]:.1f} MB for 1,000 trials (at the end {driver[-1]:.0f} and {worker[-1]:.0f} MB); at most "
        f"{max(files)} files; {len(processes)} processes were seen"
    )
    assert len(pd.read_csv(run / "trials.csv")) == TRIALS
    assert slopes[0] < DRIVER_SLOPE
    assert slopes[1] < WORKER_SLOPE
    assert max(files) < FILES
