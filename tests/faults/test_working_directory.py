"""The working directory may be a stranger's folder: no module in it replaces a package, in the driver or in a worker."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.in_process import in_one_process
from tests.studies import Memory
from tests.test_search import SEARCH, environment
from tune_mlp.study.study import Study
from tune_mlp.tuning.run import Request, run_study

TUNE_MLP = str(Path(sys.executable).with_name("tune-mlp"))
SMALL = ["--space", "digits_quick", "--trials", "3", "--epochs", "1", "--concurrent", "1"]
REPLACED = ("pydantic", "pyarrow", "numba", "torch", "numpy", "argparse")


def run(command: list[str], folder: Path, home: Path) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in environment(home).items() if name != "PYTHONPATH"}  # it is installed
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False)


def drop_canaries(folder: Path, *names: str) -> Path:
    """Write modules that leave a file when they are imported; returns the file."""
    sang = folder.parent / "sang"
    for name in names:
        (folder / f"{name}.py").write_text(
            f"open({str(sang)!r}, 'a').write({name!r} + chr(10))\nraise RuntimeError('a module of the working directory')\n"
        )
    return sang


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run that can be given more trials."""
    with in_one_process():
        asked = Study.load("digits_quick", trials=3, epochs=1, concurrent=1)
        return run_study(asked, Request(out=tmp_path_factory.mktemp("cut") / "runs", name="cut"), Memory()).path


def test_a_resume_inside_a_strangers_run_imports_nothing_from_it(cut: Path) -> None:
    sang = drop_canaries(cut, *REPLACED, "tune_mlp")
    done = run([TUNE_MLP, "resume", ".", "--trials", "+3"], cut, cut.parents[1])
    assert (done.returncode, done.stderr) == (0, "")
    assert len(pd.read_csv(cut / "trials.csv")) == 6
    assert not sang.exists(), sang.read_text()


@pytest.mark.slow
def test_a_plan_inside_a_strangers_folder_imports_nothing_from_it(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    sang = drop_canaries(tmp_path / "here", *REPLACED, "tune_mlp")
    done = run([TUNE_MLP, "plan", *SMALL], tmp_path / "here", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert not sang.exists(), sang.read_text()


@pytest.mark.slow  # a plan takes the same way
def test_a_search_inside_a_strangers_folder_imports_nothing_from_it(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    sang = drop_canaries(tmp_path / "here", *REPLACED)
    done = run([*SEARCH, *SMALL, "--name", "first"], tmp_path / "here", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert not sang.exists(), sang.read_text()


OWN = """\
from dataclasses import dataclass
import numpy as np
from tune_mlp.data.dataset import Dataset

@dataclass(frozen=True, eq=False)
class Mine(Dataset):
    extra: int = 1

def make():
    rng = np.random.default_rng(0)
    x, y = rng.random((120, 5), np.float32), np.arange(120) % 3
    return Mine("mine", "classification", x, y, x[:0], y[:0], ("a", "b", "c"))
"""


def test_a_function_that_the_user_names_is_found_in_the_working_directory(tmp_path: Path) -> None:
    """Its dataset is of a class that no worker could import."""
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "my_data.py").write_text(OWN)
    sang = drop_canaries(tmp_path / "here", *REPLACED)
    done = run([*SEARCH, *SMALL, "--dataset", "my_data:make", "--name", "own"], tmp_path / "here", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    left = json.loads((tmp_path / "here" / "runs" / "own" / "run.json").read_text())
    assert left["state"] == "finished"
    assert not sang.exists(), sang.read_text()
