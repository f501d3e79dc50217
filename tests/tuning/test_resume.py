"""A run that lost its driver goes on as if nothing had happened: the journal is the truth, and a resume is rebuilt from it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest

from tests.snapshots import REPORTING, check_outcomes, comparable, go_on, snapshots, some
from tests.studies import SPACE, Memory, study
from tune_mlp.errors import UsageError
from tune_mlp.results.journal import Decided
from tune_mlp.results.journal_reader import read
from tune_mlp.results.results import Results
from tune_mlp.runs.history import history_of
from tune_mlp.space.choosers import asked_values, optuna_chooser, random_chooser
from tune_mlp.space.parsing import parse_space
from tune_mlp.space.space import resolve
from tune_mlp.tuning.run import More

pytestmark = pytest.mark.usefixtures("local_ray")

LONG: dict[str, Any] = {
    "space": {**SPACE, "batch_size": 1},
    "engine": "eager",
    "concurrent": 2,
}
"""Trials of some seconds, so that each reports more than once though nobody wants to decide on it."""


@pytest.mark.parametrize(
    ("trials", "epochs", "every", "count"),
    [(3, 4, 2, 1), pytest.param(4, 12, 4, 3, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])],
)
def test_under_fifo_a_resumed_study_is_the_undisturbed_one_to_the_bit(
    tmp_path: Path, trials: int, epochs: int, every: int, count: int
) -> None:
    whole, folders = snapshots(tmp_path, every=every, trials=trials, epochs=epochs, **LONG)
    for folder in some(folders, count):
        before = history_of(read(folder / "journal.jsonl"))
        resumed = go_on(folder)
        for ours, theirs in zip(comparable(resumed), comparable(whole), strict=True):
            pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
        check_outcomes(resumed)
        kept = resumed.trials.set_index("trial").loc[list(before.ended)]
        assert list(kept["seconds"]) == [before.ended[trial].seconds for trial in before.ended]
        assert not list((folder / "checkpoints").iterdir())
        assert resumed.manifest["state"] == "finished"
        assert len(resumed.manifest["resumed"]) == 1


ASHA = {"asha": {"grace_period": 2, "reduction_factor": 2}}
HALVED: dict[str, Any] = {"trials": 8, "epochs": 9, "concurrent": 1, "scheduler": ASHA}


@dataclass(frozen=True)
class Halved:
    """A study under ASHA that ran to its end, one trial at a time."""

    whole: Results
    folders: list[Path]
    """Copies of its folder at each of its events."""
    resumed: Results
    """What came of the copy in the middle."""


@pytest.fixture(scope="module")
def halved(_ray: None, tmp_path_factory: pytest.TempPathFactory) -> Halved:
    out = tmp_path_factory.mktemp("halved")
    whole, folders = snapshots(out, every=1, **HALVED)
    middle = shutil.copytree(folders[len(folders) // 2], out / "resumed")
    return Halved(whole, folders, go_on(middle))


def test_a_resume_writes_no_decision_twice(halved: Halved) -> None:
    whole, resumed = (
        [event for event in read(results.path / "journal.jsonl") if isinstance(event, Decided)]
        for results in (halved.whole, halved.resumed)
    )
    assert [(event.trial, event.epoch) for event in whole] == sorted({(event.trial, event.epoch) for event in whole})
    assert resumed == whole
    first = [event for event in whole if event.epoch == 2]
    assert [event.competed for event in first] == list(range(1, HALVED["trials"] + 1))
    assert first[0].cutoff is None
    for event in first[1:]:
        assert (event.decision == "stop") == (event.value < event.cutoff)


def test_with_one_slot_a_resumed_asha_decides_as_the_undisturbed_one(halved: Halved) -> None:
    assert set(halved.whole.trials["state"]) == {"finished", "stopped"}
    for ours, theirs in zip(comparable(halved.resumed), comparable(halved.whole), strict=True):
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "scheduler",
    [
        ASHA,
        {"median": {"grace_period": 2, "min_samples": 2}},
        {"promotion_asha": {"reduction_factor": 2}},
        {"pasha": {"reduction_factor": 2}},
        {"top_k": {"after": 2, "keep": 3}},
        {"hyperband": {"reduction_factor": 2}},
        {"pbt": {"interval": 2}},
    ],
    ids=lambda scheduler: next(iter(scheduler)),
)
def test_with_one_slot_a_resumed_scheduler_decides_as_the_undisturbed_one(tmp_path: Path, scheduler: Any) -> None:
    whole, folders = snapshots(tmp_path, every=4, trials=10, epochs=9, concurrent=1, scheduler=scheduler)
    assert set(whole.trials["state"]) == ({"finished"} if "pbt" in scheduler else {"finished", "stopped"})
    for folder in (*some(folders, 1), *some(folders, 4)):
        copy = Path(shutil.copytree(folder, folder.with_name(f"{folder.name}-copy"), dirs_exist_ok=True))
        for ours, theirs in zip(comparable(go_on(copy)), comparable(whole), strict=True):
            pd.testing.assert_frame_equal(ours, theirs, check_exact=True)


def test_what_the_scheduler_had_decided_and_nobody_written_down_is_done(tmp_path: Path, halved: Halved) -> None:
    """The driver is lost between a stopped trial's last result and the line that says it is stopped."""
    whole, folders = halved.whole, halved.folders
    states = whole.trials.set_index("trial")["state"]
    cut = [
        folder
        for folder in folders
        for trial in history_of(read(folder / "journal.jsonl")).open
        if states[trial] == "stopped"
    ]
    assert cut
    display = Memory()
    resumed = go_on(Path(shutil.copytree(cut[0], tmp_path / "cut")), display=display)
    check_outcomes(resumed)
    pd.testing.assert_frame_equal(comparable(resumed)[0], comparable(whole)[0], check_exact=True)


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({"search": "tpe", "scheduler": "hyperband", "trials": 5}, 1),
        pytest.param({"search": "grid", "trials": None}, 2, marks=pytest.mark.slow),
        pytest.param({"search": "tpe"}, 3, marks=pytest.mark.slow),
        pytest.param({"scheduler": "hyperband"}, 3, marks=pytest.mark.slow),
    ],
)
def test_any_search_and_scheduler_goes_on_to_its_exact_trials(
    tmp_path: Path, settings: dict[str, Any], count: int
) -> None:
    space = {"lr": {"choice": [0.01, 0.1]}, "depth": {"grid": [0, 1]}, "width": {"choice": [8, 16]}}
    whole, folders = snapshots(tmp_path, every=5, space=space, **({"trials": 8, "epochs": 4} | settings))
    for folder in some(folders, count):
        before = Results.load(folder)
        resumed = go_on(folder)
        assert list(resumed.trials["trial"]) == list(whole.trials["trial"])
        assert {trial: resumed.params[trial] for trial in before.params} == before.params
        assert resumed.best is not None
        check_outcomes(resumed)


@pytest.mark.slow
def test_a_time_budget_that_ran_out_can_be_given_again(tmp_path: Path) -> None:
    _, (folder, *_) = snapshots(tmp_path, **REPORTING)
    results = go_on(folder, More(trials="12", time_budget="0.1s"))
    assert set(results.trials["state"]) <= {"finished", "stopped"}
    assert len(results.trials) < 12
    check_outcomes(results)
    assert len(go_on(folder, More(trials="7", time_budget="10m")).trials) == 7


def test_a_resume_may_lower_the_number_of_trials_to_those_that_have_ended() -> None:
    ruined = More(trials="1000000").applied(study(), ended=3)
    assert ruined.number_of_trials == 1_000_000
    assert More(trials="3").applied(ruined, ended=3).number_of_trials == 3
    with pytest.raises(UsageError, match="--trials 2: 3 trials of the run have ended already"):
        More(trials="2").applied(ruined, ended=3)


RICH: dict[str, Any] = {
    "lr": {"log": [1e-4, 1.0]},
    "dropout": {"uniform": [0.0, 0.5], "step": 0.1},
    "weight_decay": {"normal": [0.1, 0.1], "low": 0.0},
    "batch_norm": {"choice": [True, False]},
    "batch_size": {"log_int": [1, 64]},
    "widths": {"list": {"normal": [30, 20], "low": 1, "round": True}, "length": {"int": [0, 3]}},
    "optimizer": {"choice": {"sgd": {"momentum": {"grid": [0.0, 0.5]}}, "adam": {"beta1": {"uniform": [0.8, 0.95]}}}},
}


@pytest.mark.parametrize("space", [RICH, {"experiment": {"choice": {"a": RICH, "b": {"depth": {"int": [0, 4]}}}}}])
def test_optuna_is_told_of_a_draw_what_it_would_have_been_asked(space: dict[str, Any]) -> None:
    parsed = parse_space(space)
    for trial in range(50):
        params = resolve(parsed, random_chooser(0, trial))
        again = resolve(parsed, optuna_chooser(optuna.trial.FixedTrial(asked_values(parsed, params))))
        assert again.keys() == params.keys()
        for name, value in params.items():
            assert again[name] == (pytest.approx(value) if isinstance(value, float) else value)
