"""What is trained again from a trial's own seed is that trial: its epochs, its best epoch, and what the test part says of it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.in_process import InProcess
from tests.studies import study
from tune_mlp.console.board import Display
from tune_mlp.errors import UsageError
from tune_mlp.results.results import Results
from tune_mlp.tuning.again import Again, followed, only_read
from tune_mlp.tuning.run import Request, run_study

REQUEST = Request(command=("tune-mlp", "confirm"))
SETTINGS = {
    "folds, seeds, retraining and class weights": {
        "data": {"validation": {"folds": 2}},
        "seeds": 2,
        "retrain": True,
        "space": {"lr": {"log": [1e-3, 1e-1]}, "class_weight": "balanced", "dropout": 0.2},
    },
    "patience and kept step losses": {
        "patience": 1,
        "step_losses": "all",
        "epochs": 6,
        "space": {"lr": {"log": [1e-2, 10]}, "rotation": 10},
    },
    "numbers": {"data": {"name": "noisy_curve", "normalize": "standard"}, "space": {"lr": {"log": [1e-4, 1e-2]}}},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_trial_that_is_trained_again_from_its_seed_is_the_same_trial(
    tmp_path: Path, in_process: InProcess, name: str
) -> None:
    asked = study(trials=2, engine="eager", **{"epochs": 3, **SETTINGS[name]})
    results = run_study(asked, Request(out=tmp_path, name="run"), Display())
    assert results.best is not None
    best = int(results.best["trial"])
    with followed(results.path, REQUEST, Display()) as run:
        seeds = results.trials["seed"]
        again = run.train("confirm", [Again(trial, int(seeds[trial])) for trial in (0, 1)], keep_weights=True)
        run.look("confirm", best, [int(seeds[best])])
    same = [
        column
        for column in again.trials.columns
        if column not in ("seconds", "train_seconds", "again") and not column.startswith(("test_", "retrained_"))
    ]
    pd.testing.assert_frame_equal(again.trials[same], results.trials[same], check_exact=True)
    pd.testing.assert_frame_equal(
        again.epochs.drop(columns="seconds"), results.epochs.drop(columns="seconds"), check_exact=True
    )
    (look,) = Results.load(results.path).looked
    tested = {name: results.best[name] for name in look.metrics}
    assert look.metrics == pytest.approx(tested, rel=1e-12)
    assert any(name.startswith("retrained_") for name in look.metrics) == asked.retrain


def test_a_run_that_is_only_read_has_no_follow_ups(folder: Path) -> None:
    with pytest.raises(AssertionError):
        only_read(folder, REQUEST, Display()).train("confirm", [])


def test_weights_that_nobody_needs_are_not_kept(folder: Path) -> None:
    with followed(folder, REQUEST, Display()) as run:
        assert len(run.train("regret", [Again(0, 1), Again(1, 1)]).trials) == 2
        assert run.weights("regret").names("*") == []


def test_a_follow_up_that_was_killed_before_its_first_line_begins_anew(folder: Path) -> None:
    journal = folder / "followups" / "regret" / "journal.jsonl"
    journal.parent.mkdir(parents=True)
    journal.write_bytes(b'{"event":"sta')
    with followed(folder, REQUEST, Display()) as run:
        assert len(run.train("regret", [Again(0, 1)]).trials) == 1


def test_a_trial_that_the_run_lacks_is_refused(folder: Path) -> None:
    with (
        followed(folder, REQUEST, Display()) as run,
        pytest.raises(UsageError, match="trial 9: the run has no such trial"),
    ):
        run.train("regret", [Again(9, 1)])
