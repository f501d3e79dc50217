"""Workers are killed at random instants, or run out of memory: no trial is missing, none is there twice, and none that isn't to
blame has failed."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.nodes import Killer, workers
from tests.studies import SPACE, Memory, study
from tune_mlp.records import TrialState
from tune_mlp.results.journal import Trained
from tune_mlp.results.journal_reader import read
from tune_mlp.results.results import Results
from tune_mlp.tuning import search_loop
from tune_mlp.tuning.run import Request, run_study
from tune_mlp.tuning.trial_files import state_file

pytestmark = [
    pytest.mark.usefixtures("local_ray"),
    pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds processes in /proc"),
]

VARYING = ["seconds", "train_seconds", "node"]


def kill_workers() -> None:
    for pid in workers(os.getpid()):
        os.kill(pid, signal.SIGKILL)


def assert_same(results: Results, expected: Results) -> None:
    pd.testing.assert_frame_equal(
        results.trials.drop(columns=VARYING), expected.trials.drop(columns=VARYING), check_exact=True
    )
    pd.testing.assert_frame_equal(
        results.epochs.drop(columns="seconds"), expected.epochs.drop(columns="seconds"), check_exact=True
    )


def written(results: Results) -> list[tuple[int, int]]:
    """Trial and epoch, as often as the journal has them."""
    events = read(results.path / "journal.jsonl")
    return [(event.trial, record.epoch) for event in events if isinstance(event, Trained) for record in event.epochs]


class GettingOn(Memory):
    """A display that sets an event when a trial makes progress."""

    def __init__(self, got_on: threading.Event) -> None:
        super().__init__()
        self.got_on = got_on

    def trial_trained(self, *args: Any) -> None:
        super().trial_trained(*args)
        self.got_on.set()


@pytest.mark.parametrize(
    ("kills", "seed"), [(1, 0), *(pytest.param(25, seed, marks=pytest.mark.slow) for seed in range(1, 5))]
)
@pytest.mark.timeout(900)
def test_workers_are_killed_at_random_and_the_table_is_the_undisturbed_one(
    tmp_path: Path, kills: int, seed: int
) -> None:
    space = {**SPACE, "batch_size": {"choice": [1, 2] if kills > 3 else [4]}}
    settings: dict[str, Any] = {"trials": 4, "epochs": 24 if kills > 3 else 8, "engine": "eager", "space": space}
    whole = run_study(study(**settings), Request(out=tmp_path, name="whole"), Memory())
    killed = 0
    while killed < kills:
        with Killer(os.getpid(), kills - killed, seed + killed, longest=1.0) as killer:
            display = GettingOn(killer.got_on)
            cut = run_study(study(**settings), Request(out=tmp_path, name=f"cut-{killed}"), display)
        killed += killer.killed
        assert_same(cut, whole)
        assert len(written(cut)) == len(set(written(cut))), "nothing is trained twice and written twice"
    print(f"{killed} workers killed, all recovered")


class At(Memory):
    """A display that calls a function once, when a trial starts, has trained an epoch, or ends."""

    def __init__(self, what: dict[tuple[Any, ...], Callable[[], Any]]) -> None:
        super().__init__()
        self.what = what

    def _do(self, *key: Any) -> None:
        self.what.pop(key, lambda: None)()

    def trial_started(self, trial: int, params: Mapping[str, Any]) -> None:
        super().trial_started(trial, params)
        self._do("start", trial)

    def trial_trained(self, trial: int, epoch: int, *more: Any) -> None:
        super().trial_trained(trial, epoch, *more)
        self._do("trained", trial, epoch)

    def trial_ended(self, trial: int, state: TrialState, error: str) -> Any:
        ended = super().trial_ended(trial, state, error)
        self._do("end", trial)
        return ended


@pytest.mark.slow  # a minute
def test_a_worker_lost_between_two_trials_and_a_state_that_a_late_worker_wrote_over_cost_nothing(
    tmp_path: Path,
) -> None:
    settings: dict[str, Any] = {
        "trials": 3,
        "epochs": 8,
        "concurrent": 1,
        "engine": "eager",
        "scheduler": {"asha": {"grace_period": 1, "reduction_factor": 2}},
    }
    whole = run_study(study(**settings), Request(out=tmp_path, name="whole"), Memory())
    state, older = tmp_path / "cut" / "checkpoints" / state_file(0), tmp_path / "older.pt"

    def come_back_late() -> None:
        kill_workers()
        shutil.copy(older, state)

    events: dict[tuple[Any, ...], Callable[[], Any]] = {
        ("trained", 0, 1): lambda: shutil.copy(state, older),
        ("trained", 0, 4): come_back_late,
        ("end", 1): kill_workers,
    }
    cut = run_study(study(**settings), Request(out=tmp_path, name="cut"), At(events))
    assert not events, "all of it came to pass"
    assert_same(cut, whole)


class Deadly(Memory):
    """A display that ends the worker of the second trial whenever that trial starts."""

    started = 0

    def trial_started(self, trial: int, params: Mapping[str, Any]) -> None:
        super().trial_started(trial, params)
        if trial == 1:
            self.started += 1
            kill_workers()


def test_a_trial_that_always_kills_its_worker_fails_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_loop, "RETRIES", 1)
    display = Deadly()
    results = run_study(study(trials=3, concurrent=1, engine="eager"), Request(out=tmp_path, name="a"), display)
    assert list(results.trials["state"]) == ["finished", "failed", "finished"]
    assert display.started == 2, "not for ever"
    assert "worker" in results.trials["error"][1].lower()


@pytest.mark.slow  # the quick test of it is one of test_run_of_a_study.py
@pytest.mark.parametrize("engine", ["eager", "compiled"])
def test_a_net_that_memory_cannot_hold_is_a_failed_trial_and_the_others_go_on(tmp_path: Path, engine: str) -> None:
    space = {"width": {"choice": [8, 1_000_000]}, "depth": 2, "batch_size": 64}
    results = run_study(
        study(space=space, search="grid", trials=2, engine=engine), Request(out=tmp_path, name="a"), Memory()
    )
    by_width = results.trials.set_index("width")
    assert by_width["state"].to_dict() == {8: "finished", 1_000_000: "failed"}
    assert by_width["error"][1_000_000].startswith("out of memory: ")
