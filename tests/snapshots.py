"""Builders of runs that lost their driver: what a run's folder holds at instants of a study, to be gone on with."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.studies import Memory, study
from tune_mlp.records import TrialState
from tune_mlp.results.results import Results
from tune_mlp.tuning.run import More, Request, resume_study, run_study

VARYING = ["seconds", "train_seconds", "node"]
NOTHING_MORE = More()
REPORTING: dict[str, Any] = {"epochs": 6, "trials": 4, "scheduler": {"median": {"grace_period": 99}}}
"""Trials that report after each epoch."""


def _copy(source: str, target: str) -> None:
    with contextlib.suppress(FileNotFoundError):  # workers write, rename and remove meanwhile
        shutil.copy2(source, target)


class Snapshots(Memory):
    """A display that copies the run's folder after events; a driver that is killed at that instant leaves such a folder."""

    def __init__(self, run: Path, every: int) -> None:
        super().__init__()
        self.run, self.every = run, every
        self.events = 0
        self.folders: list[Path] = []

    def trial_trained(self, *args: Any) -> None:
        super().trial_trained(*args)
        self._event()

    def trial_ended(self, trial: int, state: TrialState, error: str) -> Any:
        ended = super().trial_ended(trial, state, error)
        self._event()
        return ended

    def _event(self) -> None:
        self.events += 1
        if self.events % self.every == 0:
            folder = self.run.with_name(f"{self.run.name}-{self.events}")
            shutil.copytree(self.run, folder, ignore=shutil.ignore_patterns("ray", ".*.tmp"), copy_function=_copy)
            self.folders.append(folder)


def snapshots(out: Path, every: int = 3, **settings: Any) -> tuple[Results, list[Path]]:
    """Run a study to its end, and return copies of its folder at some of its events."""
    display = Snapshots(out / "whole", every)
    results = run_study(study(**settings), Request(out=out, name="whole"), display)
    assert display.folders
    return results, display.folders


def some(folders: list[Path], count: int = 3) -> list[Path]:
    """From beginning to end, or one from the middle; each is a whole run to go on with."""
    assert len(folders) >= count
    if count == 1:
        return [folders[len(folders) // 2]]
    return folders[:: max(1, len(folders) // count)][:count]


def go_on(run: Path, more: More = NOTHING_MORE, display: Memory | None = None, **request: Any) -> Results:
    return resume_study(run, more, Request(**request), display or Memory())


def check_outcomes(results: Results) -> None:
    """Check that each trial that may be best has left outcomes, and that they are those of its best epoch."""
    ranked = results.ranked.set_index("trial")
    outcomes, notes = results.outcomes
    assert notes == ()
    assert set(outcomes) == set(ranked.index)
    for trial, of_trial in outcomes.items():
        assert of_trial.values.mean() == pytest.approx(ranked["best_val_accuracy"][trial], abs=1e-9)


def comparable(results: Results) -> tuple[pd.DataFrame, pd.DataFrame]:
    return results.trials.drop(columns=VARYING), results.epochs.drop(columns="seconds")
