"""A warm start: what is taken over from an earlier run, and what is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.results.journals import started, trial, write
from tests.studies import study
from tune_mlp.errors import StudyError
from tune_mlp.results.results import Results
from tune_mlp.study.study import Study
from tune_mlp.study.warm_start import WarmStart, read_warm_start, spread_out, warmed

SPACE: dict[str, Any] = {
    "lr": {"log": [1e-3, 1e-1]},
    "optimizer": {"choice": {"sgd": {"momentum": {"uniform": [0.0, 0.9]}}, "adam": {}}},
    "width": {"choice": [8, 16]},
}


def an_earlier_run(folder: Path) -> Path:
    """Write a run of six trials: whole ones, one out of range, one with a parameter that is unknown now, one that diverged."""
    folder.mkdir()
    sgd = {"optimizer": "sgd", "optimizer.sgd.momentum": 0.5}
    events = [
        started(),
        *trial(0, 0.6, params={"lr": 0.01, **sgd, "width": 8}),
        *trial(1, 0.9, params={"lr": 0.02, "optimizer": "adam", "width": 16}),
        *trial(2, 0.8, params={"lr": 0.5, "optimizer": "adam", "width": 8}),
        *trial(3, 0.7, params={"lr": 0.03, "optimizer": "adam", "width": 8, "dropout": 0.2}),
        *trial(4, 0.95, float("nan"), state="diverged", params={"lr": 0.09, "optimizer": "adam", "width": 8}),
        *trial(5, 0.5, state="stopped", params={"lr": 0.002, "optimizer": "adam"}),
    ]
    write(folder / "journal.jsonl", events)
    return folder


def warm(source: Path, **settings: Any) -> WarmStart:
    given = {"space": SPACE, "search": "tpe", "trials": 20, "warm_start": str(source), **settings}
    return read_warm_start(study(**given).bound("classification"))


def test_the_best_draws_come_first_and_the_search_is_told_of_the_others_that_fit(tmp_path: Path) -> None:
    found = warm(an_earlier_run(tmp_path / "run"))
    assert found.first == (
        {"lr": 0.02, "optimizer": "adam", "width": 16},
        {"optimizer": "adam", "width": 8},  # its rate is out of range, and is drawn
    )
    assert [(told.value, told.params["lr"]) for told in found.told] == [(0.7, 0.03), (0.6, 0.01)]
    assert (found.trials, found.left_out) == (5, 2)
    assert found.line == (
        f"warm start from {tmp_path / 'run'}: 2 of its best draws come first, and the search is told of 2 of its 5 trials; "
        "2 values are left out, which this space doesn't have or can't draw"
    )
    assert len(found.fingerprint) == 64


def test_a_tenth_of_the_draws_are_an_earlier_runs_and_five_at_most(tmp_path: Path) -> None:
    run = an_earlier_run(tmp_path / "run")
    assert [len(warm(run, trials=trials).first) for trials in (1, 20, 49, 1000)] == [1, 2, 4, 5]


def test_the_draws_are_named_as_the_first_ones_and_not_twice(tmp_path: Path) -> None:
    run = an_earlier_run(tmp_path / "run")
    bound = study(space=SPACE, trials=20, first=[{"lr": 0.004}], warm_start=str(run)).bound("classification")
    found = read_warm_start(bound)
    assert found.told == (), "a random search learns nothing"
    once = warmed(bound, found)
    assert once.first == ({"lr": 0.004}, *found.first)
    assert warmed(Study.from_text(once.dump()).bound("classification"), found).first == once.first


def test_another_metric_or_mode_is_refused(tmp_path: Path) -> None:
    run = an_earlier_run(tmp_path / "run")
    with pytest.raises(StudyError, match=r"ranks by val_accuracy \(max\), and this study by val_loss \(min\)"):
        warm(run, metric="val_loss")
    with pytest.raises(StudyError, match=r"and this study by val_accuracy \(min\)"):
        warm(run, mode="min")


def test_a_table_of_trials_is_taken_like_its_run(tmp_path: Path) -> None:
    run = an_earlier_run(tmp_path / "run")
    table = tmp_path / "trials.csv"
    Results.load(run).trials.to_csv(table, index=False)
    one, other = warm(run), warm(table)
    assert (one.first, one.told, one.trials) == (other.first, other.told, other.trials)


def test_any_table_with_the_parameters_names_will_do(tmp_path: Path) -> None:
    table = tmp_path / "mine.csv"
    rows = {"lr": [0.01, 0.02, 9.0], "width": [8, 16, 8], "val_accuracy": [0.5, 0.75, 0.6]}
    pd.DataFrame(rows).to_csv(table, index=False)
    found = warm(table, space={"lr": {"log": [1e-3, 1e-1]}, "width": {"choice": [8, 16]}}, trials=10)
    assert found.first == ({"lr": 0.02, "width": 16},)
    assert [told.value for told in found.told] == [0.5]
    with pytest.raises(StudyError, match=r"mine\.csv has no column val_loss, this study's metric"):
        warm(table, metric="val_loss")


def test_places_are_spread_evenly_from_the_first_to_the_last() -> None:
    assert list(spread_out(3, 5)) == [0, 1, 2]
    assert list(spread_out(9, 3)) == [0, 4, 8]
    assert [list(spread_out(9, most)) for most in (1, 0)] == [[0], []]
