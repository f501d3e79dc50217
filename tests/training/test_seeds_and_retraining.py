"""A trial from several seeds is as many trials in lockstep; a net trained anew has seen every sample but the test part."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.builders import config, dataset, problem
from tune_mlp.data_settings import DataSettings, Folds
from tune_mlp.engines.choose import ENGINES, engine
from tune_mlp.engines.further_scores import probabilities
from tune_mlp.models.average import Average
from tune_mlp.records import Task, spread
from tune_mlp.seeds import net_seed, repeated
from tune_mlp.training.job import TrainJob
from tune_mlp.training.retrain import Diverged, retrain, score_retrained, without_validation
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
    job = TrainJob(config(), every, engine(name), 5, "val_loss", "min", epochs=4, seeds=2)
    models = retrain(job)
    assert isinstance(models, list)
    assert len(models) == 2
    for model, seed in zip(models, (5, repeated(5, 1)), strict=True):
        assert_equal_weights(model, trained(job, seed))
    assert score_retrained(job, models)["retrained_accuracy"] > 0.8


def trained(job: TrainJob, seed: int) -> nn.Module:
    """Train a job's config from a seed, and nothing else."""
    run = job.engine.start(job.config, job.problem, 0, seed)
    for epoch in range(1, job.epochs + 1):
        run.train_epoch(epoch)
    return run.module().eval()


def assert_equal_weights(one: nn.Module, other: nn.Module) -> None:
    state = other.state_dict()
    assert one.state_dict().keys() == state.keys()
    for key, tensor in one.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), state[key].numpy())


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_several_nets_are_trained_from_as_many_seeds_and_scored_as_one_that_averages(name: str, task: Task) -> None:
    every = without_validation(problem(task), DataSettings(name="small"))
    loss = "cross_entropy" if task == "classification" else "mse"
    job = TrainJob(config(loss=loss), every, engine(name), 5, "val_loss", "min", epochs=3, further=further(task))
    models = retrain(job, nets=3)
    assert isinstance(models, list)
    (average,) = models
    assert isinstance(average, Average)
    alone = [trained(job, seed) for seed in (5, net_seed(5, 1), net_seed(5, 2))]
    for ours, other in zip(average.nets, alone, strict=True):
        assert_equal_weights(ours, other)
    fold, data = every.folds[0], every.dataset
    with torch.no_grad():
        outputs = [net(torch.from_numpy(fold.inputs.apply(data.x_test))).double().numpy() for net in alone]
    if task == "classification":
        outputs = [probabilities(output, loss) for output in outputs]
    mean = np.mean(outputs, axis=0)
    scores = score_retrained(job, models)
    if task == "classification":
        assert scores["test_accuracy"] == (mean.argmax(axis=1) == data.y_test).mean()
        assert scores["test_loss"] == pytest.approx(-np.log(mean[np.arange(len(mean)), data.y_test]).mean(), rel=1e-5)
        assert scores["test_log_loss"] == pytest.approx(scores["test_loss"], rel=1e-5)
    else:
        assert scores["test_rmse"] == pytest.approx(
            np.sqrt(np.square(fold.targets.invert(mean.astype(np.float32)) - data.y_test).mean())
        )
    one_by_one = [score_retrained(job, [net]) for net in alone]
    assert scores["test_loss"] < statistics.mean(score["test_loss"] for score in one_by_one)
    assert scores["retrained_loss"] < statistics.mean(score["retrained_loss"] for score in one_by_one)
    assert "test_loss_std" not in scores


def further(task: Task) -> tuple[str, ...]:
    return ("log_loss",) if task == "classification" else ("mae",)


def test_with_several_seeds_each_has_an_average_of_its_own(name: str) -> None:
    every = without_validation(problem(), DataSettings(name="small"))
    job = TrainJob(config(), every, engine(name), 5, "val_loss", "min", epochs=2, seeds=2)
    models = retrain(job, nets=2)
    assert isinstance(models, list)
    apart = [retrain(replace(job, seed=seed, seeds=1), nets=2) for seed in (5, repeated(5, 1))]
    one_by_one = []
    for model, alone in zip(models, apart, strict=True):
        assert isinstance(alone, list)
        assert_equal_weights(model, alone[0])
        one_by_one.append(score_retrained(job, alone)["test_loss"])
    scores = score_retrained(job, models)
    assert scores["test_loss"] == pytest.approx(statistics.mean(one_by_one))
    assert scores["test_loss_std"] == pytest.approx(statistics.stdev(one_by_one))
    seeds = [net_seed(repeated(5, repeat), net) for repeat in range(3) for net in range(3)]
    assert len(set(seeds)) == len(seeds)


def test_a_single_net_is_no_average(name: str) -> None:
    every = without_validation(problem(), DataSettings(name="small"))
    models = retrain(TrainJob(config(), every, engine(name), 5, "val_loss", "min", epochs=1), nets=1)
    assert isinstance(models, list)
    assert isinstance(models[0], nn.Sequential)


def test_a_net_that_diverges_when_trained_anew_is_no_model(name: str) -> None:
    every = without_validation(problem(), DataSettings(name="small"))
    job = TrainJob(config(lr=1e30, loss="mse"), every, engine(name), 0, "val_loss", "min", epochs=3)
    assert isinstance(retrain(job), Diverged)
    assert isinstance(retrain(job, nets=2), Diverged)
