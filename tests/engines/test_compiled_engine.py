"""The compiled engine is held to eager: the same weights, batches and masks, many steps, a stated tolerance."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from tests.builders import config, problem
from tune_mlp.config import ACTIVATIONS, LOSSES, NORMALIZE, OPTIMIZERS, REGRESSION_LOSSES, DataSettings, TrialConfig
from tune_mlp.data.dataset import Dataset, Problem
from tune_mlp.data.split import make_problem
from tune_mlp.engines.base import Run
from tune_mlp.engines.choose import engine

TOLERANCE = 2e-4
"""Of the largest weight: how far two engines' weights may be apart after 200 steps. Sums are in another order, and each
step carries the difference on."""
MAE_TOLERANCE = 2e-3
"""mae's gradient is a sign: where rounding moves an error across 0, a whole step goes the other way."""
STEPS = 200

# Rates at which each learns and none is chaotic: beyond them rounding grows from step to step in any two programs.
RATES = {"sgd": 0.02, "adam": 0.001, "adamw": 0.001, "adamax": 0.001, "rmsprop": 0.0003}


def pictures(n: int = 250, normalize: str = "standard", classes: int = 4) -> Problem:
    """Mostly zeros, as MNIST is."""
    rng = np.random.default_rng(3)
    y = rng.integers(0, classes, n)
    x = rng.integers(1, 256, (n, 20)) * (rng.random((n, 20)) < 0.3)
    x[np.arange(n), y] = 255
    data = Dataset("pictures", "classification", x.astype(np.uint8), y, x[:5].astype(np.uint8), y[:5], tuple("abcd"))
    return make_problem(data, DataSettings(name="pictures", normalize=normalize), seed=0)


def both(trial: TrialConfig, on: Problem) -> tuple[Run, Run]:
    return engine("eager").start(trial, on, 0, 5), engine("compiled").start(trial, on, 0, 5)


def train(run: Run, on: Problem, batch_size: int, steps: int = STEPS) -> dict[str, float]:
    samples = len(on.folds[0].train)
    epochs = max(1, round(steps * min(batch_size, samples) / samples))
    scores: dict[str, float] = {}
    for epoch in range(1, epochs + 1):
        scores = dict(run.train_epoch(epoch).scores)
    return scores


def apart(one: Run, other: Run) -> float:
    """The largest difference of two weights, of the largest weight; the running statistics count, too."""
    states = [run.module().state_dict() for run in (one, other)]
    assert states[0].keys() == states[1].keys()
    worst = max((states[0][name].double() - states[1][name].double()).abs().max().item() for name in states[0])
    return worst / max(tensor.abs().max().item() for tensor in states[0].values())


def assert_alike(trial: TrialConfig, on: Problem, steps: int = STEPS) -> None:
    eager, compiled = both(trial, on)
    scores = [train(run, on, trial.batch_size, steps) for run in (eager, compiled)]
    assert apart(eager, compiled) <= (MAE_TOLERANCE if trial.loss == "mae" else TOLERANCE)
    assert scores[1]["loss"] == pytest.approx(scores[0]["loss"], rel=2e-3, abs=1e-5)
    data = on.dataset
    validated = [run.evaluate(data.x, data.y, on.folds[0].validation) for run in (eager, compiled)]
    assert validated[1]["loss"] == pytest.approx(validated[0]["loss"], rel=2e-3, abs=1e-5)


def settings(optimizer: str, **others: Any) -> TrialConfig:
    return config(optimizer={"name": optimizer}, lr=RATES[optimizer], widths=(9, 7), **others)


MATRIX = list(itertools.product(OPTIMIZERS, LOSSES, ACTIVATIONS, (False, True), (1, 7, 32)))
# Every pair of values of two settings occurs in one in 13 of them, spread over the whole.
PAIRS = MATRIX[::13]


def check(optimizer: str, loss: str, activation: str, batch_norm: bool, batch_size: int) -> None:
    trial = settings(optimizer, loss=loss, activation=activation, batch_norm=batch_norm, batch_size=batch_size)
    assert_alike(trial, pictures())


@pytest.mark.parametrize(("optimizer", "loss"), list(itertools.product(OPTIMIZERS, LOSSES)))
def test_200_steps_are_eagers(optimizer: str, loss: str) -> None:
    for chosen in PAIRS:
        if chosen[:2] == (optimizer, loss):
            check(*chosen)


def test_the_chosen_pairs_are_all_pairs() -> None:
    for first, second in itertools.combinations(range(5), 2):
        whole = {(row[first], row[second]) for row in MATRIX}
        assert {(row[first], row[second]) for row in PAIRS} == whole


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_200_steps_are_eagers_for_every_combination(optimizer: str, loss: str, activation: str) -> None:
    for batch_norm, batch_size in itertools.product((False, True), (1, 7, 32)):
        check(optimizer, loss, activation, batch_norm, batch_size)


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": {"name": "sgd", "momentum": 0.9}},
        {"optimizer": {"name": "sgd", "momentum": 0.9, "nesterov": True}},
        {"optimizer": {"name": "sgd", "momentum": 0.8, "dampening": 0.8}},
        {"optimizer": {"name": "rmsprop", "momentum": 0.5}, "lr": 0.0003},
        {"optimizer": {"name": "adamw"}, "weight_decay": 0.1, "lr": 0.001},
        {"weight_decay": 0.01},
        {"l1": 0.001},
        {"dropout": 0.3},
        {"dropout": 0.5, "batch_norm": True, "optimizer": {"name": "adam"}, "lr": 0.001},
        {"depth": 0},
        {"widths": (8, 8, 8, 8, 8)},
        {"init": {"name": "kaiming"}},
    ],
    ids=str,
)
@pytest.mark.parametrize("batch_size", [1, 7, 32])
def test_every_option_is_eagers(options: dict[str, Any], batch_size: int) -> None:
    assert_alike(
        config(**{"lr": 0.02, "widths": (9, 7), "activation": "tanh", "batch_size": batch_size, **options}), pictures()
    )


@pytest.mark.parametrize("normalize", NORMALIZE)
@pytest.mark.parametrize("batch_size", [1, 16])
def test_every_normalisation_of_pictures_is_eagers(normalize: str, batch_size: int) -> None:
    assert_alike(config(lr=0.02, batch_size=batch_size, widths=(9,), activation="relu"), pictures(normalize=normalize))


@pytest.mark.parametrize("loss", REGRESSION_LOSSES)
@pytest.mark.parametrize("batch_size", [1, 7])
def test_regression_is_eagers(loss: str, batch_size: int) -> None:
    assert_alike(
        config(loss=loss, lr=0.01, widths=(9, 7), activation="tanh", batch_size=batch_size), problem("regression")
    )


def test_a_batch_of_everything_and_more_is_eagers() -> None:
    assert_alike(config(lr=0.05, batch_size=100_000, widths=(9,)), pictures(), steps=20)


@pytest.mark.parametrize("batch_size", [1, 32])
def test_a_rerun_is_the_same_to_the_bit(batch_size: int) -> None:
    trial = config(batch_size=batch_size, dropout=0.2, batch_norm=True, widths=(9, 7))
    on = pictures()
    runs = [engine("compiled").start(trial, on, 0, 5) for _ in range(2)]
    for run in runs:
        train(run, on, batch_size)
    assert apart(*runs) == 0.0


def test_the_module_shares_its_memory_with_the_kernels() -> None:
    on = pictures()
    run = engine("compiled").start(config(widths=(9,)), on, 0, 5)
    weight = next(run.module().parameters())
    before, address = weight.detach().clone(), weight.data_ptr()
    run.train_epoch(1)
    assert weight.data_ptr() == address
    assert not torch.equal(weight, before)


def test_inputs_without_zeros_are_all_there() -> None:
    from tune_mlp.engines.compiled.sparse import without_zeros

    x = pictures().dataset.x
    x = x.copy()
    x[3] = 0
    pixels = without_zeros(x)
    back = np.zeros_like(x)
    for row in range(len(x)):
        part = slice(pixels.start[row], pixels.start[row + 1])
        back[row, pixels.places[part]] = pixels.values[part]
    assert np.array_equal(back, x)
