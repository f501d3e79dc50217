"""Estimators keep scikit-learn's rules, train what a search trains, and take data frames with text and dates."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

from tune_mlp.errors import DataError, RunError, UsageError
from tune_mlp.prediction.estimator import TunedClassifier, TunedRegressor
from tune_mlp.seeds import net_seed

PARAMS = {"lr": 0.01, "batch_size": 16, "optimizer": "adam", "width": 32}
N = 120


CHECKS = [
    found
    for estimator in (TunedClassifier(PARAMS, epochs=40), TunedRegressor(PARAMS, epochs=60))
    for found in estimator_checks_generator(
        estimator,
        expected_failed_checks={
            "check_methods_subset_invariance": "a net calculates in float32, and batches of other sizes round otherwise",
        },
        mark="xfail",
    )
]


@pytest.mark.parametrize(
    ("estimator", "check"),
    CHECKS,
    ids=lambda value: getattr(getattr(value, "func", value), "__name__", type(value).__name__),
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def people(seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    generator = np.random.default_rng(seed)
    colour, size = generator.choice(["red", "blue", None], N), generator.normal(10, 3, N)
    day = pd.date_range("2024-01-01", periods=N).strftime("%Y-%m-%d")
    large = size + 4 * (colour == "red") > 11
    return pd.DataFrame({"colour": colour, "size": size, "day": day}), np.where(large, "large", "small")


def test_a_frame_with_text_dates_and_missing_values_is_learnt():
    x, y = people()
    with pytest.raises(DataError, match=r"column 'colour' has .* missing value"):
        TunedClassifier(PARAMS).fit(x, y)
    model = TunedClassifier(PARAMS, epochs=60, data={"missing": "fill"}).fit(x, y)
    assert model.score(x, y) > 0.9
    assert model.classes_.tolist() == ["large", "small"]
    assert model.feature_names_in_.tolist() == ["colour", "size", "day"]
    assert model.predict(x[["day", "size", "colour"]]).tolist() == model.predict(x).tolist()
    assert isinstance(model.module, torch.nn.Module)
    with pytest.raises(DataError, match="columns are missing that the model was trained with: size"):
        model.predict(x.drop(columns="size"))
    with pytest.raises(DataError, match="X must be a data frame with the columns colour, size, day"):
        model.predict(np.zeros((3, 3)))


def test_the_same_seed_gives_the_same_model_and_another_one_another():
    x, y = load_iris(return_X_y=True)
    first, again, other = (
        TunedClassifier(PARAMS, epochs=3, seed=seed).fit(x, y).predict_proba(x) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.01


@pytest.mark.parametrize("engine", ["eager", "compiled"])
def test_both_engines_fit(engine):
    x, y = load_diabetes(return_X_y=True)
    model = TunedRegressor({**PARAMS, "loss": "smooth_l1"}, epochs=10, engine=engine).fit(x, y)
    assert model.score(x, y) > 0.4
    assert model.predict(x).shape == y.shape
    both = TunedRegressor(PARAMS, epochs=10, engine=engine).fit(x, np.column_stack([y, -y]))
    assert both.predict(x).shape == (len(x), 2)


def test_it_works_inside_of_scikit_learns_tools():
    x, y = load_iris(return_X_y=True)
    model = make_pipeline(StandardScaler(), TunedClassifier(PARAMS, epochs=15))
    assert cross_val_score(model, x, y, cv=3).mean() > 0.9
    grid = GridSearchCV(TunedClassifier(PARAMS), {"epochs": [1, 15]}, cv=2).fit(x, y)
    assert grid.best_params_ == {"epochs": 15}
    assert clone(grid.best_estimator_).get_params()["params"] == PARAMS


def test_labels_keep_their_kind():
    x, y = load_iris(return_X_y=True)
    for labels in (y * 10, y > 0, np.array(["a", "b", "c"])[y], y.astype(float)):
        model = TunedClassifier(PARAMS, epochs=5).fit(x, labels)
        assert model.predict(x).dtype == labels.dtype
        assert set(model.predict(x)) <= set(labels)


def test_several_nets_answer_with_the_mean_of_their_answers():
    x, y = load_diabetes(return_X_y=True)
    model = TunedRegressor(PARAMS, epochs=5, nets=3).fit(x, y)
    seeds = [0, net_seed(0, 1), net_seed(0, 2)]
    alone = [TunedRegressor(PARAMS, epochs=5, seed=seed).fit(x, y).predict(x) for seed in seeds]
    np.testing.assert_allclose(model.predict(x), np.mean(alone, axis=0), rtol=1e-5)
    assert clone(model).get_params()["nets"] == 3
    x, y = load_iris(return_X_y=True)
    model, *alone = (
        TunedClassifier(PARAMS, epochs=5, seed=seed, nets=nets).fit(x, y).predict_proba(x)
        for seed, nets in ((0, 2), (0, 1), (net_seed(0, 1), 1))
    )
    np.testing.assert_allclose(model, np.mean(alone, axis=0), atol=1e-6)


@pytest.mark.parametrize("nets", [0, 21, 2.0, True, "5"])
def test_a_number_of_nets_that_cannot_be_is_refused_in_one_line(nets):
    x, y = load_iris(return_X_y=True)
    with pytest.raises(UsageError, match="nets must be a whole number from 1 to 20, got"):
        TunedClassifier(PARAMS, nets=nets).fit(x, y)


def test_a_training_that_diverges_is_said():
    x, y = load_diabetes(return_X_y=True)
    with pytest.raises(RunError, match="the training diverged in epoch"):
        TunedRegressor({"lr": 1e30}).fit(x, y)


def test_missing_numbers_of_an_array_are_filled_where_that_is_asked_for():
    x, y = load_iris(return_X_y=True)
    x[::7, 0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        TunedClassifier(PARAMS).fit(x, y)
    assert TunedClassifier(PARAMS, epochs=20, data={"missing": "indicate"}).fit(x, y).score(x, y) > 0.9
