"""A small run that the tests of follow-ups share; it is searched once, without Ray."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.in_process import InProcess
from tests.studies import study
from tune_mlp.console.board import Display
from tune_mlp.training.threads import threads
from tune_mlp.tuning.run import Request, run_study

SPACE: dict[str, Any] = {
    "lr": {"log": [1e-3, 1e-1]},
    "depth": {"int": [0, 2]},
    "width": 8,
    "dropout": {"choice": [0.0, 0.2]},
    "loss": {"choice": ["cross_entropy", "multi_margin"]},
    "optimizer": {"choice": {"sgd": {"momentum": 0.9}, "adam": {}}},
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with threads(1):
        yield


@pytest.fixture(scope="session")
def _run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch, threads(1):
        InProcess().use(patch)
        asked = study(trials=4, epochs=3, space=SPACE, patience=2, engine="eager")
        return run_study(asked, Request(out=tmp_path_factory.mktemp("runs"), name="whole"), Display()).path


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> InProcess:
    """Stand for Ray in this test."""
    stand_in = InProcess()
    stand_in.use(monkeypatch)
    return stand_in


@pytest.fixture
def folder(_run: Path, tmp_path: Path, in_process: InProcess) -> Path:
    """Return a copy of the run's folder; what is trained again is trained in this process."""
    return Path(shutil.copytree(_run, tmp_path / "run"))
