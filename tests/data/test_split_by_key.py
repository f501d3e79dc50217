"""Splits by a column don't lie: no group is in two parts, and nothing of the future is in the past."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tune_mlp.data.dataset import Problem
from tune_mlp.data.sources import load_dataset
from tune_mlp.data.split import make_problem
from tune_mlp.data.split_by_key import cut_by_time, folds_by_time
from tune_mlp.data_settings import DataSettings
from tune_mlp.errors import DataError, StudyError
from tune_mlp.study.study import Study

N = 240
generator = np.random.default_rng(5)
FRAME = pd.DataFrame(
    {
        "a": generator.normal(size=N),
        "patient": [f"p{i}" for i in generator.integers(0, 30, N)],
        "day": generator.permutation(pd.date_range("2024-01-01", periods=N // 2).repeat(2)).astype("datetime64[s]"),
        "row": np.arange(N) * 1.0,
        "y": generator.choice(["no", "yes"], N, p=[0.7, 0.3]),
    }
)


def split(folder: Path, kind: str = "csv", **settings: Any) -> tuple[Problem, pd.DataFrame, pd.DataFrame]:
    """Return the problem, and the table's rows to learn from and to test on."""
    path = folder / f"t.{kind}"
    if kind == "csv":
        FRAME.to_csv(path, index=False)
    else:
        FRAME.to_parquet(path)
    given = DataSettings(name=f"{kind}:{path}", target="y", **settings)
    problem = make_problem(load_dataset(given), given, seed=3)
    place = problem.dataset.features.index("row")
    learnt, tested = (
        FRAME.iloc[x[:, place].astype(int)].reset_index(drop=True) for x in (problem.dataset.x, problem.dataset.x_test)
    )
    return problem, learnt, tested


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize(
    "settings", [{}, {"stratify": True}, {"validation": {"folds": 4}}, {"validation": 0.5, "test": 0.6}]
)
def test_no_group_is_in_two_parts_and_the_group_is_no_input(tmp_path: Path, kind: str, settings: Any) -> None:
    given = DataSettings.model_validate({"name": "x", **settings}).model_dump(include=set(settings))
    problem, learnt, tested = split(tmp_path, kind, group="patient", **given)
    assert "patient" not in problem.dataset.features
    assert not set(learnt["patient"]) & set(tested["patient"])
    wanted = settings.get("test", 0.2)
    assert abs(len(tested) / N - wanted) < 0.15
    for fold in problem.folds:
        train, validation = learnt["patient"][fold.train], learnt["patient"][fold.validation]
        assert not set(train) & set(validation)
        assert sorted([*fold.train, *fold.validation]) == list(range(len(learnt)))
    if len(problem.folds) > 1:
        assert sorted(np.concatenate([fold.validation for fold in problem.folds])) == list(range(len(learnt)))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize(
    "settings", [{}, {"validation": {"folds": 4}}, {"validation": {"head": 100}, "test": {"head": 200}}]
)
def test_nothing_of_the_future_is_in_the_past(tmp_path: Path, kind: str, settings: Any) -> None:
    given = DataSettings.model_validate({"name": "x", **settings})
    problem, learnt, tested = split(tmp_path, kind, order="day", validation=given.validation, test=given.test)
    assert learnt["day"].max() < tested["day"].min()
    for fold in problem.folds:
        assert len(fold.train) > 0
        assert learnt["day"][fold.train].max() < learnt["day"][fold.validation].min()
    assert max(learnt["day"][fold.validation].max() for fold in problem.folds) == learnt["day"].max()


def test_equal_times_stay_together() -> None:
    times = np.array([0, 1, 1, 1, 2, 3, 3, 4, 5, 5])
    keep, held = cut_by_time(times[::-1].copy(), 3, "w")
    assert sorted(times[::-1][keep]) == [0]
    assert len(held) == 9
    for train, validation in folds_by_time(times, 2, "w"):
        assert times[train].max() < times[validation].min()
    with pytest.raises(DataError, match="too many rows have the same time"):
        cut_by_time(np.zeros(9, np.int64), 5, "w")
    with pytest.raises(DataError, match="too few different times for folds=3: 2 in 8 rows"):
        folds_by_time(np.repeat([0, 1], 4), 3, "w")


def test_the_split_depends_on_the_seed_alone(tmp_path: Path) -> None:
    first, second = (split(tmp_path, group="patient")[0] for _ in range(2))
    np.testing.assert_array_equal(first.folds[0].train, second.folds[0].train)
    assert first.dataset.fingerprint() == second.dataset.fingerprint()


def test_fewer_samples_keep_their_groups_and_times(tmp_path: Path) -> None:
    problem, learnt, _ = split(tmp_path, group="patient", samples=100)
    assert len(problem.dataset.x) == 100
    train, validation = (learnt["patient"][index] for index in (problem.folds[0].train, problem.folds[0].validation))
    assert not set(train) & set(validation)
    problem, learnt, _ = split(tmp_path, order="day", samples=100)
    assert learnt["day"][problem.folds[0].train].max() < learnt["day"][problem.folds[0].validation].min()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"group": "patent"}, "data.group: no column 'patent' (did you mean 'patient'?)"),
        ({"order": "when"}, "data.order: no column 'when'"),
        ({"order": "patient"}, "data.order: column 'patient' must hold numbers or dates, got text such as 'p"),
        ({"group": "y"}, "the target 'y' can't also be what rows are split by"),
    ],
)
def test_an_impossible_column_is_refused_in_one_line(tmp_path: Path, settings: Any, said: str) -> None:
    with pytest.raises(DataError) as caught:
        split(tmp_path, **settings)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"group": "a", "order": "b"}, "rows are split by group or by order, not by both"),
        ({"order": "b", "stratify": True}, "rows that are split by order can't be stratified"),
        ({"group": "b", "validation": {"head": 5}}, "a split by groups can't be one at a row"),
    ],
)
def test_settings_that_exclude_each_other_are_refused(data: dict[str, Any], said: str) -> None:
    with pytest.raises(StudyError, match=said):
        Study.from_dict({"data": {"name": "csv:t.csv", "target": "y", **data}, "space": {}})


def test_rows_that_are_in_two_parts_are_said(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [*range(50), *range(50)], "b": [1.5, 2] * 50, "y": ["no", "yes"] * 50})
    frame.to_csv(tmp_path / "t.csv", index=False)
    given = DataSettings(name=f"csv:{tmp_path / 't.csv'}", target="y")
    *_, note = make_problem(load_dataset(given), given, seed=0).dataset.notes
    assert "rows of the validation part and " in note
    assert note.endswith("equal those of a row that trains")
    FRAME.to_csv(tmp_path / "t.csv", index=False)
    assert not any("equal those" in note for note in make_problem(load_dataset(given), given, seed=0).dataset.notes)
