"""A trial from several seeds is as many trials in lockstep; a net trained anew has seen every sample but the test part."""

from __future__ import annotations

import math
import statistics
from typing import Any

import numpy as np
import pytest

from tests.builders import config, dataset, problem
from tune_mlp.data_settings import DataSettings, Folds
from tune_mlp.engines.choose import ENGINES, engine
from tune_mlp.records import spread
from tune_mlp.seeds import repeated
from tune_mlp.training.job import TrainJob
from tune_mlp.training.retrain import retrain, without_validation
from tune_mlp.training.trainer import Trainer

KEYS = ("train_loss", "val_loss")


@pytest.fixture(params=list(ENGINES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def trainer(name: str, on: Any, **keywords: Any) -> Trainer:
    settings = {"seed": 3, "metric": "val_loss", "mode": "min", "epochs": 3} | keywords
    return Trainer(TrainJob(config(), on, engine(name), **settings))


def test_each_seeds_runs_are_those_of_a_trial_of_that_seed(name: str) -> None:
    on = problem(validation=Folds(folds=2))
    together = trainer(name, on, seeds=3).step(3)
    assert [(r.epoch, r.repeat, r.fold) for r in together] == [
        (epoch, repeat, fold) for epoch in (1, 2, 3) for repeat in range(3) for fold in range(2)
    ]
    for repeat in range(3):
        alone = trainer(name, on, seed=repeated(3, repeat)).step(3)
        ours = [record.metrics for record in together if record.repeat == repeat]
        assert ours == [record.metrics for record in alone]
    assert len({record.metrics["val_loss"] for record in together}) == len(together)


def test_the_test_of_several_seeds_is_their_mean_and_spread_over_all_folds(name: str) -> None:
    on = problem(validation=Folds(folds=2))
    it = trainer(name, on, seeds=3)
    it.step(3)
    tested = it.test()
    one_seed = []
    for repeat in range(3):
        alone = trainer(name, on, seed=repeated(3, repeat), epochs=it.best_epoch)
        alone.step(3)
        alone._best_weights = [
            run.module().state_dict() for run in alone._runs
        ]  # at the epoch that is best of all seeds
        one_seed.append(alone.test()["test_loss"])
    assert tested["test_loss"] == pytest.approx(statistics.mean(one_seed))
    assert tested["test_loss_std"] == pytest.approx(statistics.stdev(one_seed))
    assert "test_loss_std" not in trainer(name, on).test()


def test_a_spread_needs_two_finite_values() -> None:
    assert spread([1.0, 2.0, 3.0]) == 1.0
    assert math.isnan(spread([1.0]))
    assert math.isnan(spread([1.0, math.inf]))


def test_the_losses_of_all_steps_are_there_for_the_asking_once(name: str) -> None:
    on = problem(validation=Folds(folds=2))
    it = trainer(name, on, keep_steps=True)
    records = it.step(2)
    kept = it.take_step_losses()
    assert [(part.epoch, part.fold) for part in kept] == [(record.epoch, record.fold) for record in records]
    for record, part in zip(records, kept, strict=True):
        assert len(part.losses) == record.steps == 15
        assert record.metrics["train_loss"] == pytest.approx(float(part.losses.mean()), rel=1e-5)  # batches of one size
    assert it.take_step_losses() == []
    assert trainer(name, on).take_step_losses() == []


def test_a_net_trained_anew_learns_from_every_sample_and_is_scaled_by_all_of_them(name: str) -> None:
    data = dataset()
    on = problem(data=data, validation=0.5)
    every = without_validation(on, DataSettings(name="small"))
    (fold,) = every.folds
    np.testing.assert_array_equal(fold.train, np.arange(len(data.x)))
    assert len(fold.validation) == 0
    scaled = fold.inputs.apply(data.x)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-4)
    found = retrain(TrainJob(config(), every, engine(name), 5, "val_loss", "min", epochs=4, seeds=2))
    assert found is not None
    run = engine(name).start(config(), every, 0, 5)
    for epoch in range(1, 5):
        run.train_epoch(epoch)
    for key, tensor in run.module().state_dict().items():
        np.testing.assert_array_equal(found.weights[0][key].numpy(), tensor.numpy())
    assert len(found.weights) == 2
    assert found.scores["retrained_accuracy"] > 0.8


def test_a_net_that_diverges_when_trained_anew_is_none(name: str) -> None:
    every = without_validation(problem(), DataSettings(name="small"))
    job = TrainJob(config(lr=1e30, loss="mse"), every, engine(name), 0, "val_loss", "min", epochs=3)
    assert retrain(job) is None
