from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.builders import config, dataset, problem
from tune_mlp.data_settings import Folds
from tune_mlp.engines.base import TrainedEpoch
from tune_mlp.engines.choose import ENGINES, engine
from tune_mlp.errors import UsageError
from tune_mlp.records import EpochRecord, mean_metrics, metric_names
from tune_mlp.training import checkpoint
from tune_mlp.training import trainer as trainer_module
from tune_mlp.training.digest import weights_digest
from tune_mlp.training.job import TrainJob
from tune_mlp.training.trainer import Trainer


@pytest.fixture(params=list(ENGINES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def trainer(name: str = "eager", on: Any = None, **keywords: Any) -> Trainer:
    settings = {"seed": 3, "metric": "val_loss", "mode": "min", "epochs": 5} | keywords
    trial = settings.pop("trial", config())
    return Trainer(TrainJob(trial, on or problem(), settings.pop("engine", None) or engine(name), **settings))


def metrics(records: Sequence[EpochRecord]) -> list[Any]:
    """Return what must be equal in each repetition: everything but the seconds."""
    return [(record.epoch, record.fold, record.steps, record.metrics) for record in records]


def test_a_step_trains_up_to_an_epoch(name: str) -> None:
    it = trainer(name)
    first = it.step(2)
    assert [record.epoch for record in first] == [1, 2]
    assert (it.epoch, it.done) == (2, False)
    assert it.step(2) == []
    assert [record.epoch for record in it.step(99)] == [3, 4, 5]
    assert it.done
    assert it.step(99) == []


def test_a_step_without_time_trains_one_epoch(name: str) -> None:
    it = trainer(name)
    assert [record.epoch for record in it.step(5, seconds=0)] == [1]


def test_a_record_holds_the_tasks_metrics(name: str) -> None:
    for task in ("classification", "regression"):
        loss = "mse" if task == "regression" else "nll"
        (record,) = trainer(name, problem(task), trial=config(loss=loss)).step(1)
        assert list(record.metrics) == metric_names(task, "train") + metric_names(task, "val")
        assert record.steps == 24
        assert 0 < record.train_seconds <= record.seconds


def test_steps_of_any_size_train_alike(name: str) -> None:
    whole, pieces = trainer(name), trainer(name)
    together = whole.step(5)
    apart = [record for until in (1, 3, 5) for record in pieces.step(until)]
    assert metrics(apart) == metrics(together)


def test_folds_are_trained_in_lockstep_and_averaged(name: str) -> None:
    it = trainer(name, problem(validation=Folds(folds=3)), epochs=3)
    records = it.step(2)
    assert [(record.epoch, record.fold) for record in records] == [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]
    assert len(it.best_weights()) == 3
    means = [mean_metrics(records[:3]), mean_metrics(records[3:])]
    best = min(means, key=lambda mean: mean["val_loss"])
    assert it.best_metrics == best
    assert it.best_epoch == 1 + means.index(best)


@pytest.mark.parametrize(("metric", "mode"), [("val_accuracy", "max"), ("val_loss", "min"), ("train_loss", "min")])
def test_the_best_epoch_is_best_by_the_metric_then_by_the_validation_loss(name: str, metric: str, mode: Any) -> None:
    it = trainer(name, metric=metric, mode=mode, epochs=12, trial=config(lr=0.7))
    records = it.step(12)
    sign = -1 if mode == "max" else 1
    best = min(records, key=lambda record: (sign * record.metrics[metric], record.metrics["val_loss"], record.epoch))
    assert it.best_epoch == best.epoch
    assert it.best_metrics == best.metrics


class Scripted:
    """An engine whose validation scores are given: for each epoch the pairs (loss, accuracy) of the folds."""

    name = "scripted"

    def __init__(self, epochs: list[list[tuple[float, float]]]) -> None:
        self.epochs = epochs

    def start(self, *arguments: Any) -> Any:
        run = engine("eager").start(*arguments)
        trained: list[int] = []
        train, evaluate = run.train_epoch, run.evaluate

        def train_epoch(epoch: int) -> TrainedEpoch:
            trained.append(epoch)
            return train(epoch)

        def scripted(*samples: Any, **further: Any) -> dict[str, float]:
            evaluate(*samples, **further)  # which leaves the outcomes
            loss, accuracy = self.epochs[trained[-1] - 1][arguments[2]]
            return {"loss": loss, "accuracy": accuracy}

        run.train_epoch, run.evaluate = train_epoch, scripted  # type: ignore[method-assign]
        return run


@pytest.mark.parametrize(
    ("metric", "mode", "epochs", "best"),
    [
        ("val_accuracy", "max", [[(0.5, 0.9)], [(0.1, 0.9)], [(0.3, 0.9)]], 2),
        ("val_accuracy", "max", [[(0.5, 0.9)], [(0.1, 0.8)], [(0.5, 0.9)]], 1),
        ("val_accuracy", "min", [[(0.5, 0.9)], [(0.1, 0.9)], [(0.3, 0.8)], [(0.2, 0.8)]], 4),
        ("val_loss", "min", [[(0.5, 0.1)], [(0.1, 0.2)], [(0.1, 0.9)]], 2),
        ("val_loss", "max", [[(0.1, 0.1)], [(0.5, 0.2)], [(0.5, 0.9)]], 2),
        ("val_accuracy", "max", [[(0.4, 0.9), (0.4, 0.7)], [(0.1, 0.7), (0.5, 0.9)]], 2),
        ("val_accuracy", "max", [[(0.4, 0.9), (0.4, 0.7)], [(0.5, 0.7), (0.4, 0.9)]], 1),
    ],
    ids=["lower loss", "then earlier", "minimised", "the loss itself", "the loss maximised", "folds", "folds' mean"],
)
def test_of_equal_epochs_the_one_with_the_lower_validation_loss_is_the_best(
    metric: str, mode: Any, epochs: list[list[tuple[float, float]]], best: int
) -> None:
    on = problem(validation=Folds(folds=2)) if len(epochs[0]) == 2 else problem()
    it = trainer(on=on, engine=Scripted(epochs), metric=metric, mode=mode, epochs=len(epochs))
    it.step(len(epochs))
    assert it.best_epoch == best
    means = mean_metrics([EpochRecord(1, 0, {"val_loss": loss}, 1, 0.0, 0.0) for loss, _ in epochs[best - 1]])
    assert it.best_metrics["val_loss"] == means["val_loss"]


def test_an_equal_epoch_with_a_lower_loss_uses_up_patience() -> None:
    falling = [[(1.0 - epoch / 10, 0.9)] for epoch in range(9)]
    it = trainer(engine=Scripted(falling), metric="val_accuracy", mode="max", epochs=9, patience=3)
    it.step(9)
    assert (it.epoch, it.best_epoch) == (4, 4)


def test_the_best_of_a_loaded_state_is_kept_unless_an_epoch_is_better_or_equal_with_a_lower_loss() -> None:
    epochs = [[(0.3, 0.9)], [(0.4, 0.9)], [(0.2, 0.9)]]
    before, after = (trainer(engine=Scripted(epochs), metric="val_accuracy", mode="max") for _ in range(2))
    before.step(1)
    state = before.state()
    del state["best_outcomes"]
    # A run that was begun by version 0.1 left these keys, and no others.
    assert set(state) == {"epoch", "diverged", "patience", "best_epoch", "best_metrics", "best_weights", "runs"}
    after.load_state(state)
    after.step(2)
    assert after.best_epoch == 1
    after.step(3)
    assert after.best_epoch == 3


def test_the_best_weights_are_those_of_the_best_epoch(name: str) -> None:
    # A maximised loss is best in the first epoch, and training goes on after it.
    it, short = (trainer(name, mode="max", trial=config(batch_norm=True)) for _ in range(2))
    it.step(5)
    short.step(1)
    assert it.best_epoch == 1
    for mine, theirs in zip(it.best_weights(), short.best_weights(), strict=True):
        assert all(torch.equal(mine[key], theirs[key]) for key in theirs)
    now = it._runs[0].module().state_dict()
    assert not torch.equal(it.best_weights()[0]["0.weight"], now["0.weight"])


def test_the_best_weights_are_a_copy(name: str) -> None:
    it = trainer(name)
    it.step(1)
    it.best_weights()[0]["0.weight"].zero_()
    assert it.best_weights()[0]["0.weight"].any()


def test_patience_ends_a_trial(name: str) -> None:
    it = trainer(name, mode="max", epochs=50, patience=3)  # the loss falls, so a maximised one never improves
    it.step(50)
    assert (it.epoch, it.best_epoch, it.done, it.diverged) == (4, 1, True, False)


def test_a_diverged_trial_ends_at_once_with_nan_and_no_best(name: str) -> None:
    it = trainer(name, trial=config(lr=1e38))
    (record,) = it.step(5)
    assert (it.epoch, it.done, it.diverged) == (1, True, True)
    assert not record.finite
    assert all(math.isnan(value) for value in record.metrics.values())
    assert it.best_epoch is None
    assert it.best_metrics == {}
    assert it.best_weights() == []
    assert it.test() == {}


class Breaking:
    """An engine whose run of fold `fold` is non-finite from epoch `epoch` on, in training or in validation."""

    name = "breaking"

    def __init__(self, epoch: int, fold: int, part: str) -> None:
        self.epoch, self.fold, self.part = epoch, fold, part

    def start(self, *arguments: Any) -> Any:
        run = engine("eager").start(*arguments)
        if arguments[2] == self.fold:
            train, evaluate, epochs = run.train_epoch, run.evaluate, [0]

            def train_epoch(epoch: int) -> TrainedEpoch:
                epochs[0] = epoch
                trained = train(epoch)
                broken = self.part == "train" and epoch >= self.epoch
                return TrainedEpoch({"loss": math.inf, "accuracy": 0.5}, trained.steps) if broken else trained

            def evaluate_(*arguments: Any, **further: Any) -> dict[str, float]:
                scores = evaluate(*arguments, **further)
                broken = self.part == "val" and epochs[0] >= self.epoch and len(arguments) == 3  # not the test part
                return {**scores, "loss": math.inf} if broken else scores

            run.train_epoch, run.evaluate = train_epoch, evaluate_  # type: ignore[method-assign]
        return run


@pytest.mark.parametrize("part", ["train", "val"])
def test_one_diverged_fold_ends_the_trial_and_the_best_before_it_stays(part: str) -> None:
    on = problem(validation=Folds(folds=3))
    it = trainer(on=on, engine=Breaking(epoch=3, fold=1, part=part))
    records = it.step(5)
    assert [(record.epoch, record.fold) for record in records] == [(e, f) for e in (1, 2, 3) for f in (0, 1, 2)]
    assert [record.finite for record in records] == [True] * 7 + [False, False]
    assert [record.steps > 0 for record in records[-3:]] == [True, True, False]
    assert (it.done, it.diverged, it.best_epoch) == (True, True, 2)
    assert len(it.best_weights()) == 3
    assert math.isfinite(it.test()["test_loss"])


@pytest.mark.parametrize(
    "optimizer",
    [{"name": "sgd", "momentum": 0.9}, {"name": "adam"}, {"name": "adamw"}, {"name": "adamax"}, {"name": "rmsprop"}],
    ids=str,
)
def test_a_resumed_trial_equals_an_uninterrupted_one(name: str, tmp_path: Path, optimizer: dict[str, Any]) -> None:
    def make() -> Trainer:
        trial = config(optimizer=optimizer, lr=0.02, dropout=0.3, batch_norm=True)
        return trainer(name, problem(validation=Folds(folds=2)), trial=trial, epochs=20, patience=2)

    whole = make()
    records = whole.step(20)
    assert whole.epoch > 3, "there must be something left to resume"
    stopped = make()
    stopped.step(2)
    checkpoint.save(tmp_path / "trial.pt", stopped.state())
    stopped.step(3)
    resumed = make()
    resumed.load_state(checkpoint.load(tmp_path / "trial.pt"))
    assert metrics(resumed.step(20)) == metrics(records)[4:]
    assert (resumed.epoch, resumed.best_epoch, resumed.done) == (whole.epoch, whole.best_epoch, True)
    assert resumed.best_metrics == whole.best_metrics
    assert resumed.test() == whole.test()
    for mine, theirs in zip(resumed.best_weights(), whole.best_weights(), strict=True):
        assert all(torch.equal(mine[key], theirs[key]) for key in theirs)


def test_a_trial_that_was_over_stays_over(name: str) -> None:
    for settings in ({"trial": config(lr=1e38)}, {"mode": "max", "patience": 1}, {"epochs": 1}):
        it, again = trainer(name, **settings), trainer(name, **settings)
        it.step(5)
        again.load_state(it.state())
        assert again.done
        assert again.step(5) == []


def test_the_test_is_the_best_epochs_and_leaves_training_as_it_was(name: str) -> None:
    settings = {"mode": "max", "trial": config(batch_norm=True, dropout=0.2)}  # best in epoch 1, see above
    short, it, untested = (trainer(name, **settings) for _ in range(3))
    short.step(1)
    it.step(3)
    untested.step(3)
    data = problem().dataset
    scores = short._runs[0].evaluate(data.x_test, data.y_test)
    assert it.test() == {"test_loss": scores["loss"], "test_accuracy": scores["accuracy"]}
    assert metrics(it.step(5)) == metrics(untested.step(5))


def test_without_a_test_part_there_is_no_test(name: str) -> None:
    it = trainer(name, problem(data=dataset(test=0), test=0))
    it.step(1)
    assert it.test() == {}


def test_stored_weights_are_tested_as_the_trainers_own(name: str) -> None:
    on, trial = problem(validation=Folds(folds=2)), config(batch_norm=True)
    it = trainer(name, on, trial=trial)
    it.step(2)
    job = TrainJob(trial, on, engine(name), seed=0, metric="val_loss", mode="min", epochs=1)
    assert trainer_module.test_weights(job, it.best_weights()) == it.test()
    without_test = replace(job, problem=problem(data=dataset(test=0), test=0))
    assert trainer_module.test_weights(without_test, it.best_weights()) == {}


def test_a_state_taken_over_goes_on_without_its_best(name: str) -> None:
    donor, heir = (trainer(name, mode="max", epochs=9, patience=3, trial=config(lr=lr)) for lr in (0.05, 0.02))
    donor.step(3)
    heir.load_state(donor.state())
    heir.forget_best()
    assert (heir.epoch, heir.best_epoch, heir.best_metrics, heir.best_weights()) == (3, None, {}, [])
    assert heir.test() == {}
    heir.step(9)
    assert (heir.best_epoch, heir.epoch) == (4, 7), "its patience starts anew"


def test_the_folds_test_scores_are_averaged(name: str) -> None:
    on = problem(validation=Folds(folds=2))
    it = trainer(name, on, epochs=1)
    it.step(1)
    losses = [run.evaluate(on.dataset.x_test, on.dataset.y_test)["loss"] for run in it._runs]
    scores = it.test()
    assert scores["test_loss"] == pytest.approx(sum(losses) / 2)
    assert scores["test_loss_std"] == pytest.approx(statistics.stdev(losses))


def test_the_weights_digest_follows_the_weights_of_all_runs(name: str) -> None:
    on = problem(validation=Folds(folds=2))
    it, again = trainer(name, on), trainer(name, on)
    seen = [it.weights_digest()]
    for epoch in (1, 2):
        it.step(epoch)
        seen.append(it.weights_digest())
    assert len(set(seen)) == 3
    again.step(2)
    assert again.weights_digest() == seen[-1] == weights_digest(*(run.module().state_dict() for run in it._runs))
    with torch.no_grad():
        next(it._runs[1].module().parameters())[0, 0] += 1e-3
    assert it.weights_digest() != seen[-1]


def test_a_metric_that_isnt_measured_is_refused() -> None:
    with pytest.raises(UsageError, match=r"metric: classification has train_loss, .*, got val_r2"):
        trainer(metric="val_r2")
