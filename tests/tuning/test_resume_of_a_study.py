"""A run that lost its driver or has ended goes on, whatever trains its trials: extended, with damaged states, or refused.

The tests run in one process; `make test-slow` runs them through a real Ray, too.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import Training
from tests.snapshots import REPORTING, check_outcomes, comparable, go_on, snapshots
from tests.studies import Memory, study
from tune_mlp import cli
from tune_mlp.errors import RunFolderError, UsageError
from tune_mlp.results.results import Results
from tune_mlp.tuning.run import More, Request, run_study
from tune_mlp.tuning.trial_files import state_file

pytestmark = pytest.mark.usefixtures("in_process_and_on_ray")

Reporting = tuple[Results, list[Path]]


@pytest.fixture(scope="module")
def _reporting(training: Training, tmp_path_factory: pytest.TempPathFactory) -> Reporting:
    with training():
        return snapshots(tmp_path_factory.mktemp("reporting"), **REPORTING)


@pytest.fixture
def reporting(_reporting: Reporting, tmp_path: Path) -> Reporting:
    """Run a study to its end, and return it with copies of its folder at some of its events."""
    whole, folders = _reporting
    return whole, [Path(shutil.copytree(folder, tmp_path / folder.name)) for folder in folders]


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


def test_a_state_that_cannot_be_read_costs_its_trials_epochs_and_no_more(reporting: Reporting) -> None:
    whole, folders = reporting
    folder = next(folder for folder in folders if list((folder / "checkpoints").glob("state-*.pt")))
    for path in (folder / "checkpoints").glob("state-*.pt"):
        path.write_bytes(path.read_bytes()[:1000])
    pd.testing.assert_frame_equal(comparable(go_on(folder))[0], comparable(whole)[0], check_exact=True)


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
