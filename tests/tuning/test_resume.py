"""A run that lost its driver goes on as if nothing had happened: the journal is the truth, and a resume is rebuilt from it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest

from tests.snapshots import REPORTING, check_outcomes, comparable, go_on, snapshots, some
from tests.studies import SPACE, Memory, study
from tune_mlp import cli
from tune_mlp.errors import RunFolderError, UsageError
from tune_mlp.results.journal import Decided
from tune_mlp.results.journal_reader import read
from tune_mlp.results.results import Results
from tune_mlp.runs.history import history_of
from tune_mlp.space.choosers import asked_values, optuna_chooser, random_chooser
from tune_mlp.space.parsing import parse_space
from tune_mlp.space.space import resolve
from tune_mlp.tuning.run import More, Request, run_study
from tune_mlp.tuning.trial_files import state_file

pytestmark = pytest.mark.usefixtures("local_ray")

LONG: dict[str, Any] = {
    "trials": 4,
    "space": {**SPACE, "batch_size": 1},
    "engine": "eager",
    "concurrent": 2,
}
"""Trials of some seconds, so that each reports more than once though nobody wants to decide on it."""


Reporting = tuple[Results, list[Path]]


@pytest.fixture(scope="module")
def _reporting(_ray: None, tmp_path_factory: pytest.TempPathFactory) -> Reporting:
    return snapshots(tmp_path_factory.mktemp("reporting"), **REPORTING)


@pytest.fixture
def reporting(_reporting: Reporting, tmp_path: Path) -> Reporting:
    """Run a study to its end, and return it with copies of its folder at some of its events."""
    whole, folders = _reporting
    return whole, [Path(shutil.copytree(folder, tmp_path / folder.name)) for folder in folders]


@pytest.mark.parametrize(
    ("epochs", "count"), [(6, 1), pytest.param(12, 3, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])]
)
def test_under_fifo_a_resumed_study_is_the_undisturbed_one_to_the_bit(tmp_path: Path, epochs: int, count: int) -> None:
    whole, folders = snapshots(tmp_path, every=4, epochs=epochs, **LONG)
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


def test_a_resume_writes_no_decision_twice(tmp_path: Path) -> None:
    asha = {"asha": {"grace_period": 2, "reduction_factor": 2}}
    _, folders = snapshots(tmp_path, every=4, trials=6, epochs=5, concurrent=1, scheduler=asha)
    whole, resumed = (
        [event for event in read(folder / "journal.jsonl") if isinstance(event, Decided)]
        for folder in (tmp_path / "whole", go_on(folders[len(folders) // 2]).path)
    )
    assert [(event.trial, event.epoch) for event in whole] == sorted({(event.trial, event.epoch) for event in whole})
    assert resumed == whole
    first = [event for event in whole if event.epoch == 2]
    assert [event.competed for event in first] == [1, 2, 3, 4, 5, 6]
    assert first[0].cutoff is None
    for event in first[1:]:
        assert (event.decision == "stop") == (event.value < event.cutoff)


@pytest.mark.parametrize(
    ("scheduler", "count"),
    [
        ({"asha": {"grace_period": 2, "reduction_factor": 2}}, 1),
        pytest.param({"median": {"grace_period": 2, "min_samples": 2}}, 1, marks=pytest.mark.slow),
        pytest.param({"asha": {"grace_period": 2, "reduction_factor": 2}}, 4, marks=pytest.mark.slow),
        pytest.param({"median": {"grace_period": 2, "min_samples": 2}}, 4, marks=pytest.mark.slow),
    ],
)
def test_with_one_slot_a_resumed_scheduler_decides_as_the_undisturbed_one(
    tmp_path: Path, scheduler: Any, count: int
) -> None:
    whole, folders = snapshots(tmp_path, every=4, trials=10, epochs=9, concurrent=1, scheduler=scheduler)
    assert set(whole.trials["state"]) == {"finished", "stopped"}
    for folder in some(folders, count):
        for ours, theirs in zip(comparable(go_on(folder)), comparable(whole), strict=True):
            pd.testing.assert_frame_equal(ours, theirs, check_exact=True)


def test_what_the_scheduler_had_decided_and_nobody_written_down_is_done(tmp_path: Path) -> None:
    """The driver is lost between a stopped trial's last result and the line that says it is stopped."""
    scheduler = {"asha": {"grace_period": 2, "reduction_factor": 2}}
    whole, folders = snapshots(tmp_path, every=1, trials=8, epochs=9, concurrent=1, scheduler=scheduler)
    states = whole.trials.set_index("trial")["state"]
    cut = [
        folder
        for folder in folders
        for trial in history_of(read(folder / "journal.jsonl")).open
        if states[trial] == "stopped"
    ]
    assert cut
    display = Memory()
    resumed = go_on(cut[0], display=display)
    check_outcomes(resumed)
    pd.testing.assert_frame_equal(comparable(resumed)[0], comparable(whole)[0], check_exact=True)


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({"search": "tpe", "scheduler": "hyperband"}, 1),
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


def test_a_finished_run_is_extended_by_the_draws_that_would_have_come(tmp_path: Path) -> None:
    short = run_study(study(trials=3), Request(out=tmp_path, name="short"), Memory())
    long = run_study(study(trials=6), Request(out=tmp_path, name="long"), Memory())
    extended = go_on(tmp_path / "short", More(trials="+3"))
    tests = ["test_loss", "test_accuracy"]
    pd.testing.assert_frame_equal(
        comparable(extended)[0].drop(columns=tests), comparable(long)[0].drop(columns=tests), check_exact=True
    )
    assert extended.best is not None
    assert long.best is not None
    assert short.best is not None
    assert extended.best["test_accuracy"] == long.best["test_accuracy"]
    assert (extended.path / "best" / "model.pt").exists()
    assert extended.study["trials"] == 6
    check_outcomes(extended)


@pytest.mark.slow
def test_a_time_budget_that_ran_out_can_be_given_again(reporting: Reporting) -> None:
    _, (folder, *_) = reporting
    results = go_on(folder, More(trials="12", time_budget="0.1s"))
    assert set(results.trials["state"]) <= {"finished", "stopped"}
    assert len(results.trials) < 12
    check_outcomes(results)
    assert len(go_on(folder, More(trials="7", time_budget="10m")).trials) == 7


def test_a_state_that_cannot_be_read_costs_its_trials_epochs_and_no_more(reporting: Reporting) -> None:
    whole, folders = reporting
    folder = next(folder for folder in folders if list((folder / "checkpoints").glob("state-*.pt")))
    for path in (folder / "checkpoints").glob("state-*.pt"):
        path.write_bytes(path.read_bytes()[:1000])
    pd.testing.assert_frame_equal(comparable(go_on(folder))[0], comparable(whole)[0], check_exact=True)


def test_a_resume_may_lower_the_number_of_trials_to_those_that_have_ended() -> None:
    ruined = More(trials="1000000").applied(study(), ended=3)
    assert ruined.number_of_trials == 1_000_000
    assert More(trials="3").applied(ruined, ended=3).number_of_trials == 3
    with pytest.raises(UsageError, match="--trials 2: 3 trials of the run have ended already"):
        More(trials="2").applied(ruined, ended=3)


def test_a_state_of_other_settings_is_left_alone(reporting: Reporting) -> None:
    whole, folders = reporting
    folder = next(folder for folder in folders if list((folder / "checkpoints").glob("state-*.pt")))
    (path, *_) = (folder / "checkpoints").glob("state-*.pt")
    number = int(path.stem.removeprefix("state-"))
    other = number + 1 if number == 0 else number - 1
    shutil.copy(path, folder / "checkpoints" / state_file(other))
    pd.testing.assert_frame_equal(comparable(go_on(folder))[0], comparable(whole)[0], check_exact=True)


def test_what_cannot_go_on_is_refused_in_one_line_and_left_as_it_is(tmp_path: Path) -> None:
    _, (folder, *_) = snapshots(tmp_path, trials=3, every=2)
    journal = folder / "journal.jsonl"
    content = journal.read_bytes()
    for more, rule in (
        (More(trials="+0"), "give a number, or"),
        (More(time_budget="soon"), "--time-budget soon"),
    ):
        with pytest.raises(UsageError, match=rule):
            go_on(folder, more)
    with pytest.raises(UsageError, match=r"has ended with all its 3 trials; --trials \+N adds to them"):
        go_on(tmp_path / "whole")
    manifest = json.loads((folder / "run.json").read_text())
    manifest["dataset"]["fingerprint"] = "another"
    (folder / "run.json").write_text(json.dumps(manifest))
    with pytest.raises(RunFolderError, match="began with other data than digits is now"):
        go_on(folder)
    (folder / "run.json").write_text("{}")
    with pytest.raises(RunFolderError, match="isn't a run's manifest"):
        go_on(folder)
    assert journal.read_bytes() == content
    journal.write_bytes(
        content.replace(b"finished", b"finishes", 1) if b"finished" in content else content[:-9] + b"damaged}\n"
    )
    with pytest.raises(RunFolderError, match=r"journal.jsonl:\d+: "):
        go_on(folder)


def test_the_word_resume_goes_on_and_shows_the_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, (folder, *_) = snapshots(tmp_path, trials=3, every=2)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["resume", str(folder), "--trials", "+1", "--csv", "table.csv"]) == 0
    printed = capsys.readouterr().out
    assert "going on: " in printed
    assert "Best 4 of 4 trials" in printed
    told = r"(all 3|\d of the 3) other trials can('t)? be told from the winner at 95 %: "
    assert re.search(f"{told}{re.escape(f'tune-mlp compare {folder}')}\n", printed)
    assert len(pd.read_csv("table.csv")) == 4
    assert cli.main(["resume", "nowhere"]) == 2
    assert capsys.readouterr().err == "tune-mlp: no run's folder nowhere, and no run of that name in runs/\n"


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
