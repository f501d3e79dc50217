"""Tests of what a trainer keeps of its best epoch's samples: right ones and errors, over folds and seeds, through a saved state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.builders import config, pictures, problem
from tune_mlp.data.dataset import Problem
from tune_mlp.data_settings import Folds
from tune_mlp.engines.choose import ENGINES, engine
from tune_mlp.records import EpochRecord
from tune_mlp.training import checkpoint
from tune_mlp.training.job import TrainJob
from tune_mlp.training.trainer import Trainer


@pytest.fixture(params=list(ENGINES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def trainer(name: str, on: Problem, **settings: Any) -> Trainer:
    job = {"seed": 3, "metric": "val_accuracy", "mode": "max", "epochs": 6} | settings
    return Trainer(TrainJob(job.pop("trial", config(lr=0.3)), on, engine(name), **job))


def of_epoch(records: list[EpochRecord], epoch: int | None) -> list[EpochRecord]:
    return [record for record in records if record.epoch == epoch]


@pytest.mark.parametrize(("folds", "seeds"), [(None, 1), (3, 1), (None, 2), (3, 2)])
def test_each_seed_has_each_validation_sample_once_in_the_order_of_the_dataset(
    name: str, folds: int | None, seeds: int
) -> None:
    on = problem(data=pictures(), validation=0.25 if folds is None else Folds(folds=folds))
    it = trainer(name, on, seeds=seeds)
    records = it.step(6)
    validated = np.sort(np.concatenate([fold.validation for fold in on.folds]))
    assert it.best_outcomes is not None
    assert it.best_outcomes.shape == (seeds, len(validated))
    for record in of_epoch(records, it.best_epoch):
        mine = np.isin(validated, on.folds[record.fold].validation)
        assert it.best_outcomes[record.repeat, mine].mean() == record.metrics["val_accuracy"]


def test_they_are_of_the_best_epoch_and_not_of_the_last(name: str) -> None:
    it = trainer(name, problem(), trial=config(lr=0.01), metric="train_loss", mode="max")
    records = it.step(6)
    assert it.best_epoch == 1
    assert it.best_outcomes is not None
    assert it.best_outcomes.mean() == it.best_metrics["val_accuracy"] != records[-1].metrics["val_accuracy"]


def test_of_a_regression_they_are_errors(name: str) -> None:
    it = trainer(name, problem("regression"), trial=config(loss="mse"), metric="val_rmse", mode="min", seeds=2)
    it.step(3)
    assert it.best_outcomes is not None
    assert (it.best_outcomes.shape, it.best_outcomes.dtype) == ((2, 48, 3), np.float32)
    rmses = np.sqrt(np.square(it.best_outcomes).mean(axis=(1, 2)))
    assert rmses.mean() == pytest.approx(it.best_metrics["val_rmse"], rel=1e-6)


def test_a_saved_state_carries_them_and_an_older_one_has_none(name: str, tmp_path: Path) -> None:
    on = problem()
    it = trainer(name, on)
    it.step(2)
    checkpoint.save(tmp_path / "state.pt", it.state())
    state = checkpoint.load(tmp_path / "state.pt")
    again = trainer(name, on)
    again.load_state(state)
    assert it.best_outcomes is not None
    assert np.array_equal(again.best_outcomes, it.best_outcomes)
    del state["best_outcomes"]
    older = trainer(name, on)
    older.load_state(state)
    assert older.best_outcomes is None
    it.forget_best()
    assert it.best_outcomes is None
    it.step(3)
    assert it.best_outcomes is not None


def test_a_trial_that_diverges_at_once_has_none(name: str) -> None:
    it = trainer(name, problem(), trial=config(lr=1e30))
    it.step(6)
    assert it.diverged
    assert it.best_outcomes is None
