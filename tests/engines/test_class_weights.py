"""Class weights are scikit-learn's, act on training alone, and both engines train with them alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional as F

from tests.builders import config, dataset, pictures, problem
from tests.engines.test_compiled_engine import TOLERANCE, apart, both, train
from tune_mlp.config import LOSS_NAMES
from tune_mlp.data.dataset import Problem
from tune_mlp.engines.choose import engine
from tune_mlp.engines.class_weights import class_weights
from tune_mlp.errors import UsageError


def uneven(of: Problem, keep: float = 0.15) -> Problem:
    """Keep a share of the first class's training rows alone."""
    fold, y = of.folds[0], of.dataset.y
    rare = np.flatnonzero(y[fold.train] == 0)
    left = np.delete(fold.train, rare[int(len(rare) * keep) :])
    return replace(of, folds=(replace(fold, train=left),))


@pytest.fixture(scope="module")
def rows() -> Problem:
    return uneven(problem(data=dataset(n=400)))


@pytest.mark.parametrize("seed", range(5))
def test_weights_are_scikit_learns(seed: int) -> None:
    on = uneven(problem(data=dataset(n=500, outputs=5, seed=seed)), keep=0.3)
    y = on.dataset.y[on.folds[0].train]
    weights = class_weights(config(class_weight="balanced"), on.dataset, on.folds[0])
    assert weights == pytest.approx(compute_class_weight("balanced", classes=np.unique(y), y=y), rel=1e-6)
    assert weights[y].mean() == pytest.approx(1, rel=1e-6)
    assert len(class_weights(config(), on.dataset, on.folds[0])) == 0


def test_weights_come_from_the_training_rows_alone(rows: Problem) -> None:
    fold, y = rows.folds[0], rows.dataset.y.copy()
    y[fold.validation] = 0
    other = replace(rows.dataset, y=y)
    balanced = config(class_weight="balanced")
    assert (class_weights(balanced, other, fold) == class_weights(balanced, rows.dataset, fold)).all()


def test_a_class_without_training_rows_is_finite(rows: Problem) -> None:
    on = uneven(rows, keep=0.0)
    weights = class_weights(config(class_weight="balanced"), on.dataset, on.folds[0])
    assert weights[0] == 0
    assert np.isfinite(weights).all()


@pytest.mark.parametrize("batch_size", [1, 7, 32])
@pytest.mark.parametrize("loss", LOSS_NAMES)
@pytest.mark.parametrize("optimizer", [{"name": "sgd"}, {"name": "sgd", "momentum": 0.9}])
def test_both_engines_train_alike(loss: str, batch_size: int, optimizer: dict[str, object], rows: Problem) -> None:
    lr = 0.002 if batch_size == 1 else 0.05
    trial = config(class_weight="balanced", loss=loss, batch_size=batch_size, optimizer=optimizer, lr=lr)
    eager, compiled = both(trial, rows, 5)
    scores = [train(run, rows, batch_size, 40) for run in (eager, compiled)]
    assert apart(eager, compiled) <= TOLERANCE
    assert scores[1]["loss"] == pytest.approx(scores[0]["loss"], rel=1e-4)
    plain = both(config(loss=loss, batch_size=batch_size, optimizer=optimizer, lr=lr), rows, 5)
    train(plain[1], rows, batch_size, 40)
    assert apart(plain[1], compiled) > 10 * TOLERANCE, "the weights must do something, in a batch of one, too"


@pytest.mark.parametrize("batch_size", [1, 16])
def test_both_engines_train_pictures_alike(batch_size: int) -> None:
    on = uneven(problem(data=pictures()))
    eager, compiled = both(config(class_weight="balanced", batch_size=batch_size, lr=0.01), on, 5)
    for run in (eager, compiled):
        train(run, on, batch_size, 40)
    assert apart(eager, compiled) <= TOLERANCE


@pytest.mark.parametrize("name", ["eager", "compiled"])
def test_the_loss_of_a_batch_is_the_mean_of_weighted_losses(name: str, rows: Problem) -> None:
    fold = rows.folds[0]
    one = replace(rows, folds=(replace(fold, train=fold.train),))
    trial = config(class_weight="balanced", batch_size=len(fold.train), lr=1e-12)
    run = engine(name).start(trial, one, 0, 3)
    with torch.no_grad():
        outputs = run.module()(torch.from_numpy(fold.inputs.apply(rows.dataset.x[fold.train])))
    y = torch.from_numpy(rows.dataset.y[fold.train])
    weights = torch.from_numpy(class_weights(trial, rows.dataset, fold))
    each = F.cross_entropy(outputs, y, reduction="none") * weights[y]
    assert run.train_epoch(1).scores["loss"] == pytest.approx(float(each.mean()), rel=1e-5)


@pytest.mark.parametrize("name", ["eager", "compiled"])
def test_validation_isnt_weighted(name: str, rows: Problem) -> None:
    plain, weighted = (engine(name).start(config(class_weight=how), rows, 0, 3) for how in ("none", "balanced"))
    data, fold = rows.dataset, rows.folds[0]
    assert plain.evaluate(data.x, data.y, fold.validation) == weighted.evaluate(data.x, data.y, fold.validation)


@pytest.mark.parametrize("name", ["eager", "compiled"])
def test_a_rare_class_is_found_more_often(name: str) -> None:
    on = uneven(problem(data=dataset(n=3000, features=2, seed=3)), keep=0.03)
    data, fold = on.dataset, on.folds[0]
    found = []
    for how in ("none", "balanced"):
        run = engine(name).start(config(class_weight=how, depth=0, lr=0.05), on, 0, 3)
        for epoch in range(1, 6):
            run.train_epoch(epoch)
        found.append(run.evaluate(data.x, data.y, fold.validation, ["balanced_accuracy"])["balanced_accuracy"])
    assert found[1] > found[0]


@pytest.mark.parametrize("name", ["eager", "compiled"])
def test_numbers_have_no_classes(name: str) -> None:
    with pytest.raises(UsageError, match="class_weight: regression has no classes"):
        engine(name).start(config(class_weight="balanced", loss="mse"), problem("regression"), 0, 0)
