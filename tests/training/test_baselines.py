"""Baselines are what scikit-learn's own models reach on the same split, and see none of the rows that they are measured on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, r2_score, root_mean_squared_error

from tune_mlp.data.dataset import Problem
from tune_mlp.data.sources import load_dataset
from tune_mlp.data.split import make_problem
from tune_mlp.data_settings import DataSettings
from tune_mlp.training.baselines import measure_baselines

N = 150


def problem(folder: Path, target: str, **settings: Any) -> Problem:
    generator = np.random.default_rng(0)
    size, colour = generator.normal(5, 2, N), generator.choice(["red", "blue"], N)
    noisy = size + 2 * (colour == "red") + generator.normal(0, 1, N)
    pd.DataFrame({"size": size, "colour": colour, "kind": np.where(noisy > 6, "x", "y"), "price": 10 * noisy}).to_csv(
        folder / "t.csv", index=False
    )
    ignored = {"kind": "price", "price": "kind"}[target]
    given = DataSettings(name=f"csv:{folder / 't.csv'}", target=target, ignore=(ignored,), **settings)
    return make_problem(load_dataset(given), given, seed=1)


def parts(of: Problem) -> tuple[Any, ...]:
    fold, data = of.folds[0], of.dataset
    x, x_test = fold.inputs.apply(data.x).astype(float), fold.inputs.apply(data.x_test).astype(float)
    return x[fold.train], data.y[fold.train], x[fold.validation], data.y[fold.validation], x_test, data.y_test


@pytest.mark.parametrize("normalize", ["standard", "unit"])
def test_classifiers_score_as_scikit_learns(tmp_path: Path, normalize: Any) -> None:
    made = problem(tmp_path, "kind", normalize=normalize)
    x, y, x_val, y_val, x_test, y_test = parts(made)
    rows = measure_baselines(made)
    assert [row["name"] for row in rows] == ["the commonest class", "a linear model"]
    for row, theirs in zip(rows, (DummyClassifier(), LogisticRegression(max_iter=300)), strict=True):
        theirs.fit(x, y)
        assert row["val_accuracy"] == pytest.approx(accuracy_score(y_val, theirs.predict(x_val)))
        assert row["test_accuracy"] == pytest.approx(accuracy_score(y_test, theirs.predict(x_test)))


def test_further_scores_are_scikit_learns(tmp_path: Path) -> None:
    made = problem(tmp_path, "kind")
    x, y, x_val, y_val, _, _ = parts(made)
    names = ["balanced_accuracy", "macro_f1", "roc_auc", "log_loss"]
    for row, theirs in zip(
        measure_baselines(made, names), (DummyClassifier(), LogisticRegression(max_iter=300)), strict=True
    ):
        theirs.fit(x, y)
        found, given = theirs.predict(x_val), theirs.predict_proba(x_val)
        assert [row[f"val_{name}"] for name in names] == pytest.approx(
            [
                metrics.balanced_accuracy_score(y_val, found),
                metrics.f1_score(y_val, found, average="macro"),
                metrics.roc_auc_score(y_val, given[:, 1]),
                metrics.log_loss(y_val, given),
            ],
            abs=1e-6,
        )
    mean, linear = measure_baselines(problem(tmp_path, "price"), ["mae"])
    assert mean["val_mae"] > linear["val_mae"] > 0


def test_regressors_score_as_scikit_learns(tmp_path: Path) -> None:
    made = problem(tmp_path, "price", scale_target=False)
    x, y, x_val, y_val, x_test, y_test = parts(made)
    rows = measure_baselines(made)
    assert [row["name"] for row in rows] == ["the mean", "a linear model"]
    for row, theirs in zip(rows, (DummyRegressor(), Ridge()), strict=True):
        theirs.fit(x, y)
        for part, inputs, wanted in (("val", x_val, y_val), ("test", x_test, y_test)):
            answers = theirs.predict(inputs).reshape(-1, 1)
            assert row[f"{part}_rmse"] == pytest.approx(root_mean_squared_error(wanted, answers), rel=1e-5)
            assert row[f"{part}_r2"] == pytest.approx(r2_score(wanted, answers), abs=1e-6)


def test_a_scaled_target_gives_scores_in_its_own_unit(tmp_path: Path) -> None:
    scaled, plain = (measure_baselines(problem(tmp_path, "price", scale_target=on)) for on in (True, False))
    assert scaled[0]["val_rmse"] == pytest.approx(plain[0]["val_rmse"], rel=1e-5)
    assert scaled[1]["val_rmse"] == pytest.approx(plain[1]["val_rmse"], rel=0.05)


def test_several_folds_give_their_mean_and_no_test_part_no_test_score(tmp_path: Path) -> None:
    given = DataSettings.model_validate({"name": "x", "validation": {"folds": 3}, "test": 0.0})
    made = problem(tmp_path, "kind", validation=given.validation, test=given.test)
    rows = measure_baselines(made)
    each = [measure_baselines(replace(made, folds=(fold,))) for fold in made.folds]
    for place, row in enumerate(rows):
        assert row == {
            "name": row["name"],
            "val_accuracy": pytest.approx(np.mean([one[place]["val_accuracy"] for one in each])),
        }


def test_pictures_have_the_commonest_class_alone() -> None:
    given = DataSettings(name="digits")
    rows = measure_baselines(make_problem(load_dataset(given), given, seed=0))
    assert [row["name"] for row in rows] == ["the commonest class"]
    assert 0.05 < rows[0]["val_accuracy"] < 0.15


def test_training_rows_alone_are_fitted_to(tmp_path: Path) -> None:
    made = problem(tmp_path, "kind")
    y = made.dataset.y.copy()
    y[made.folds[0].validation] = 1 - y[made.folds[0].validation]
    turned = replace(made, dataset=replace(made.dataset, y=y))
    for before, after in zip(measure_baselines(made), measure_baselines(turned), strict=True):
        assert after["val_accuracy"] == pytest.approx(1 - before["val_accuracy"])
        assert after["test_accuracy"] == before["test_accuracy"]
