"""A search by several goals that is really trained, without Ray: what its sampler is told, and how its front is confirmed."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from tests.in_process import InProcess
from tests.studies import study
from tune_mlp import cli
from tune_mlp.console.board import Display
from tune_mlp.console.summary import show_summary
from tune_mlp.followup.confirm import confirm
from tune_mlp.insight.confirmation import confirmed
from tune_mlp.results.answer import trials_named
from tune_mlp.results.results import Results
from tune_mlp.training.threads import threads
from tune_mlp.tuning.audit import audit
from tune_mlp.tuning.optuna_source import OptunaSource
from tune_mlp.tuning.run import Request, run_study

GOALS = ["val_accuracy", "weights", "train_seconds"]
SPACE: dict[str, Any] = {"lr": {"log": [1e-3, 1e-1]}, "width": {"log_int": [2, 32]}, "depth": 1}
REQUEST = Request(command=("tune-mlp", "confirm", "runs/mine", "--front"))
Told = dict[int, tuple[float, ...]]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Told]:
    """Return a search's folder, and what its sampler was told of each trial."""
    told: Told = {}
    close = OptunaSource.close

    def noted(self: OptunaSource, trial: int, *ended: Any) -> None:
        told[trial] = ended[-1]
        close(self, trial, *ended)

    with pytest.MonkeyPatch.context() as patch, threads(1):
        InProcess().use(patch)
        patch.setattr(OptunaSource, "close", noted)
        asked = study(
            trials=6, epochs=2, space=SPACE, metrics=GOALS, search={"nsga2": {"population": 3}}, engine="eager"
        )
        folder = run_study(asked, Request(out=tmp_path_factory.mktemp("runs"), name="goals"), Display()).path
    return folder, told


@pytest.fixture
def by_goals(searched: tuple[Path, Told], tmp_path: Path, in_process: InProcess) -> Path:
    return Path(shutil.copytree(searched[0], tmp_path / "run"))


def test_the_sampler_is_told_what_the_table_says(searched: tuple[Path, Told]) -> None:
    trials = Results.load(searched[0]).trials
    for row in trials.itertuples():
        assert searched[1][row.trial] == (row.best_val_accuracy, float(row.weights), row.train_seconds)


def test_the_run_says_its_goals_and_its_front_everywhere(searched: tuple[Path, Told]) -> None:
    results = Results.load(searched[0])
    front = results.front["trial"].tolist()
    assert results.trials.loc[results.trials["on_front"], "trial"].tolist() == sorted(front)
    written = pd.read_csv(searched[0] / "trials.csv")
    assert written["on_front"].tolist() == results.trials["on_front"].tolist()
    assert "on_front" not in Results.from_table(written, params=None).parameters, "it is no parameter of our own table"
    assert audit(results).facts["differ"] == 0
    console = Console(file=io.StringIO(), width=160)
    show_summary(console, results, None)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert f"The front: {len(front)} trial" in said
    assert "that no other one beats in val_accuracy, weights and train_seconds together" in said
    best = results.front.iloc[0]
    assert (
        f"  trial {front[0]}  val_accuracy {best['best_val_accuracy']:.4f}  weights {best['weights']:,}  train_sec"
        in said
    )


def test_the_front_is_trained_again_where_it_is_asked_for(by_goals: Path) -> None:
    results = Results.load(by_goals)
    answer = confirm(by_goals, 1, 2, REQUEST, Display(), front=True)
    # A child of NSGA-II may equal its parent, and its seconds may differ: settings are trained again once.
    front = set(results.front.drop_duplicates(list(SPACE))["trial"])
    assert set(answer.table["trial"]) == front
    nets = Results.load(by_goals / "followups" / "confirm").trials
    assert "on_front" not in nets.columns
    means = nets.groupby("again")[["best_val_accuracy", "weights", "train_seconds"]].mean()
    beaten = {
        one
        for one in front
        for other in front - {one}
        if means["best_val_accuracy"][other] >= means["best_val_accuracy"][one]
        and means["weights"][other] <= means["weights"][one]
        and means["train_seconds"][other] <= means["train_seconds"][one]
    }
    assert set(answer.facts["front"]) == front - beaten
    note = f"By the means of their nets, on the front of val_accuracy, weights and train_seconds: {trials_named(answer.facts['front'])}."
    assert note in answer.notes
    assert confirmed(Results.load(by_goals)).facts["front"] == answer.facts["front"]


def test_a_study_with_one_goal_has_no_front_to_confirm(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["confirm", str(folder), "--front"]) == 2
    assert "is of a study with one goal, whose front is its best trial alone" in capsys.readouterr().err


def test_compare_shows_the_goals_beside_each_trial(searched: tuple[Path, Told]) -> None:
    results = Results.load(searched[0])
    table = results.compare()
    assert list(table.columns[-3:]) == ["weights", "train_seconds", "on_front"]
    assert set(table.loc[table["on_front"], "trial"]) == set(results.front["trial"])
    assert any(
        note.startswith("On the front of val_accuracy, weights and train_seconds: trial")
        for note in table.attrs["notes"]
    )
