"""The machine's clock is set back two hours, in the middle of a run and before its resume: nothing goes by it but names and
dates."""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.nodes import left_of_ray, none_left_of
from tests.studies import Memory, study
from tests.test_search import SEARCH, environment
from tune_mlp.results.results import Results
from tune_mlp.tuning.run import Request, run_study

VARYING = ["seconds", "train_seconds", "node"]
HOURS = 7200
FOUND = importlib.util.find_spec("libfaketime")
FAKED = next(Path(FOUND.origin).parent.rglob("libfaketime.so.1"), None) if FOUND and FOUND.origin else None
RESUME = [sys.executable, "-m", "tune_mlp", "resume"]
STUDY = """\
data: {name: digits}
space:
  lr: {log: [1.0e-3, 1.0e-1]}
  batch_size: {choice: [1, 2]}
  depth: {int: [1, 2]}
  width: {choice: [16, 32]}
trials: 4
epochs: 10
engine: eager
scheduler: fifo
time_budget: 10m
"""


class SetBack(Memory):
    """A display that sets this process's clock back when the first epochs arrive."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.patch, self.done = patch, False

    def trial_trained(self, *args: Any) -> None:
        super().trial_trained(*args)
        if not self.done:
            right, self.done = time.time, True
            self.patch.setattr(time, "time", lambda: right() - HOURS)


def assert_same(results: Results, expected: Results) -> None:
    pd.testing.assert_frame_equal(
        results.trials.drop(columns=VARYING), expected.trials.drop(columns=VARYING), check_exact=True
    )


def assert_durations_hold(results: Results, longest: float) -> None:
    for table in (results.trials, results.epochs):
        for column in table.columns[table.columns.str.endswith("seconds")]:
            assert table[column].between(0, longest).all(), (column, list(table[column]))
    assert 0 < results.manifest["seconds"] < longest
    assert all(0 <= seconds < longest for seconds in results.manifest["phases"].values())


@pytest.mark.usefixtures("local_ray")
def test_a_clock_that_is_set_back_in_a_run_changes_no_duration_and_no_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {"engine": "eager", "scheduler": {"asha": {"grace_period": 1, "reduction_factor": 2}}}
    settings |= {"concurrent": 1, "time_budget": 600}
    whole = run_study(study(**settings), Request(out=tmp_path, name="whole"), Memory())
    display, began = SetBack(monkeypatch), time.monotonic()
    back = run_study(study(**settings), Request(out=tmp_path, name="back"), display)
    assert display.done
    assert_same(back, whole)
    assert_durations_hold(back, time.monotonic() - began + 1)


@pytest.mark.usefixtures("in_process_and_on_ray")
def test_a_run_whose_stamp_is_taken_gets_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "strftime", lambda *args: "20300101-000000")
    names = [run_study(study(trials=1, epochs=1), Request(out=tmp_path), Memory()).path.name for _ in range(2)]
    assert names == ["small-20300101-000000", "small-20300101-000000-2"]


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Return a folder with a short path for Ray, since a socket's path has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="f", dir="/tmp") as folder:
        yield Path(folder)


def write_offset(file: Path, seconds: int) -> None:
    aside = file.with_suffix(".new")
    aside.write_text(f"{seconds:+d}\n")
    aside.replace(file)


@pytest.mark.slow
@pytest.mark.skipif(FAKED is None, reason="needs pip install libfaketime; with Debian's 0.9.10 sleeps fail")
@pytest.mark.timeout(400)
def test_the_whole_machines_clock_is_set_back_in_a_run_and_before_its_resume(
    tmp_path: Path, short_folder: Path
) -> None:
    """The clock is set back for the driver, Ray's daemons and the workers alike."""
    (tmp_path / "s.yaml").write_text(STUDY)
    offset, session = tmp_path / "offset", short_folder
    env = {
        **environment(tmp_path),
        "RAY_TMPDIR": str(session),
        "LD_PRELOAD": str(FAKED),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # as the kernel has it: only the wall clock can be set
    }
    run = tmp_path / "runs" / "back"
    search = [*SEARCH, "--space", "s.yaml", "--name"]
    plain = environment(tmp_path)
    subprocess.run([*search, "whole", "--quiet"], cwd=tmp_path, env=plain, check=True, timeout=120)

    def behind() -> float:
        """Return how far the clock that those processes read is behind."""
        said = subprocess.check_output([sys.executable, "-c", "import time; print(time.time())"], env=env, text=True)
        return time.time() - float(said)

    began = time.monotonic()
    write_offset(offset, 0)
    assert abs(behind()) < 60
    with subprocess.Popen([*search, "back"], cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            if line.startswith("[1/"):
                write_offset(offset, -HOURS)  # two hours back while trials are under way
            if line.startswith("[2/"):
                process.send_signal(signal.SIGINT)
        assert process.wait(120) == 130
    assert abs(behind() - HOURS) < 60
    write_offset(offset, -2 * HOURS)  # and again before it goes on
    done = subprocess.run(
        [*RESUME, str(run)], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    took = time.monotonic() - began
    results = Results.load(run)
    assert_same(results, Results.load(tmp_path / "runs" / "whole"))
    assert_durations_hold(results, took)
    stamps = [results.manifest["started"], results.manifest["resumed"][0]["at"]]
    assert stamps[1] < stamps[0], "dates are the clock's"
    assert np.isfinite(results.trials["best_val_accuracy"]).all()
    assert none_left_of(str(session)), left_of_ray(str(session))
    print(f"started {stamps[0]}, resumed {stamps[1]}, {took:.0f} s in truth")
