"""Nothing of a validation or test row reaches training. Each check is itself checked: it fails on code that leaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tune_mlp.data import split
from tune_mlp.data.dataset import Dataset, Problem
from tune_mlp.data.encoder import TableEncoder
from tune_mlp.data.encoder_fit import fit_table
from tune_mlp.data.sources import load_dataset
from tune_mlp.data.split import make_problem
from tune_mlp.data_settings import DataSettings
from tune_mlp.training.baselines import measure_baselines

N = 200
Check = Callable[[Dataset, DataSettings], None]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    generator = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("data") / "t.csv"
    table = {
        "size": np.where(generator.random(N) < 0.1, None, generator.normal(10, 3, N).round(3)),
        "colour": generator.choice([f"c{i}" for i in range(30)], N),
        "patient": generator.choice([f"p{i}" for i in range(25)], N),
        "day": generator.permutation(pd.date_range("2024-01-01", periods=N // 2).repeat(2)),
        "price": generator.normal(50, 9, N).round(2),
    }
    pd.DataFrame(table).to_csv(path, index=False)
    return path


def settings(file: Path, **changes: Any) -> DataSettings:
    given = {"name": f"csv:{file}", "target": "price", "missing": "fill", "max_categories": 10, **changes}
    return DataSettings.model_validate(given)


def parts(problem: Problem) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(fold.train, fold.validation) for fold in problem.folds]


def check_the_encoding(data: Dataset, given: DataSettings) -> None:
    """Change every row that doesn't train, and fit again: nothing that was fitted may change."""
    problem = make_problem(data, given, 0)
    for fold in problem.folds:
        x, y = problem.dataset.x.copy(), problem.dataset.y.copy()
        others = np.setdiff1d(np.arange(len(x)), fold.train)
        x[others], y[others] = x[fold.train[:1]], 1e6
        again = split.fit_fold(replace(problem.dataset, x=x, y=y), fold.train, fold.validation, given, missing=True)
        assert isinstance(fold.inputs, TableEncoder)
        assert isinstance(again.inputs, TableEncoder)
        assert fold.inputs.describe() == again.inputs.describe()
        assert fold.targets.mean == again.targets.mean


def check_the_groups(data: Dataset, given: DataSettings) -> None:
    problem = make_problem(data, given, 0)
    groups = problem.dataset.groups
    assert groups is not None
    for train, validation in parts(problem):
        assert not set(groups[train]) & set(groups[validation])


def check_the_order(data: Dataset, given: DataSettings) -> None:
    problem = make_problem(data, given, 0)
    times = problem.dataset.times
    assert times is not None
    for train, validation in parts(problem):
        assert times[train].max() < times[validation].min()


def fit_to_all(x: Any, rows: Any, *others: Any) -> Any:
    return fit_table(x, np.arange(len(x)), *others)


def at_random(keys: Any, *others: Any) -> Any:
    """Split by rows, whatever their groups or times are."""
    mixed = np.random.default_rng(0).permutation(len(keys))
    return np.sort(mixed[len(keys) // 5 :]), np.sort(mixed[: len(keys) // 5])


def folds_at_random(keys: Any, folds: int, *others: Any, **options: Any) -> Any:
    return [at_random(keys)] * folds


LEAKS = [
    (check_the_encoding, {}, "fit_table", fit_to_all),
    (check_the_encoding, {"scale": "quantile", "validation": {"folds": 3}}, "fit_table", fit_to_all),
    (check_the_groups, {"group": "patient"}, "cut_by_group", at_random),
    (check_the_groups, {"group": "patient", "validation": {"folds": 4}}, "folds_by_group", folds_at_random),
    (check_the_order, {"order": "day"}, "cut_by_time", at_random),
    (check_the_order, {"order": "day", "validation": {"folds": 4}}, "folds_by_time", folds_at_random),
]


@pytest.mark.parametrize(("check", "changes", "name", "leaking"), LEAKS)
def test_nothing_leaks_and_the_check_would_see_it(
    check: Check, changes: dict[str, Any], name: str, leaking: Any, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = settings(file, **changes)
    data = load_dataset(given)
    check(data, given)
    monkeypatch.setattr(split, name, leaking)
    with pytest.raises(AssertionError):
        check(data, given)


@pytest.mark.parametrize("key", ["group", "order"])
def test_the_test_part_is_split_off_by_the_same_key(key: str, file: Path) -> None:
    column = {"group": "patient", "order": "day"}[key]
    given = settings(file, **{key: column})
    data = load_dataset(given)
    held_out = make_problem(data, given, 0).dataset
    keys = data.groups if key == "group" else data.times
    kept = held_out.groups if key == "group" else held_out.times
    assert keys is not None
    assert kept is not None
    left = np.ones(len(keys), bool)
    for row in range(len(held_out.x)):  # the rows that stayed, by their values
        left &= ~(np.nan_to_num(data.x, nan=-1) == np.nan_to_num(held_out.x[row], nan=-1)).all(axis=1)
    tested = keys[left]
    assert len(tested) == len(held_out.x_test)
    assert kept.max() < tested.min() if key == "order" else not set(kept) & set(tested)


def test_baselines_see_training_rows_alone(file: Path) -> None:
    given = settings(file)
    problem = make_problem(load_dataset(given), given, 0)
    fold = problem.folds[0]
    other = replace(problem, folds=(replace(fold, validation=fold.validation[:5]),))
    before, after = (rows[1]["test_rmse"] for rows in (measure_baselines(problem), measure_baselines(other)))
    assert before == after
