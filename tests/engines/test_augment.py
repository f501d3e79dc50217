"""Rotation and noise: what is learnt from is changed, and nothing else."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import kstest

from tests.builders import config, pictures, problem
from tune_mlp.config import TrialConfig
from tune_mlp.data.batches import epoch_order
from tune_mlp.data.dataset import Problem
from tune_mlp.engines.choose import engine
from tune_mlp.engines.eager import augment
from tune_mlp.engines.eager.augment import add_noise, augmented, turned
from tune_mlp.models.pictures import Size


@pytest.fixture(scope="module")
def shapes() -> Problem:
    return problem(data=pictures())


def learnt_from(
    trial: TrialConfig, on: Problem, seed: int = 5, fold: int = 0, epoch: int = 1, n: int = 100
) -> tuple[NDArray[np.float32], NDArray[Any]]:
    parts = list(augmented(trial, on.dataset, on.folds[0], np.arange(n), seed, fold, epoch))
    return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("quarters", [-1, 0, 1, 2])
def test_quarters_of_a_turn_are_exact(quarters: int, channels: int) -> None:
    square = np.random.default_rng(0).integers(0, 256, (3, 7, 7, channels)).astype(np.uint8)
    angles = np.full(3, quarters * math.pi / 2)
    mine = turned(square.reshape(3, -1), Size(7, 7, channels), angles).reshape(square.shape)
    np.testing.assert_allclose(mine, np.rot90(square, -quarters, axes=(1, 2)), atol=0.01)


def test_a_turned_picture_keeps_its_angles_whatever_its_sides() -> None:
    flat = np.zeros((5, 9), np.uint8)
    flat[2, 2:7] = 200  # five pixels across, in the middle
    upright = turned(flat.reshape(1, -1), Size(5, 9, 1), np.array([math.pi / 2])).reshape(5, 9)
    expected = np.zeros((5, 9))
    expected[:, 4] = 200
    np.testing.assert_allclose(upright, expected, atol=0.01)


def test_corners_that_come_from_outside_are_zero() -> None:
    white = np.full((1, 81), 255, np.uint8)
    corner = turned(white, Size(9, 9, 1), np.array([math.pi / 4])).reshape(9, 9)
    assert corner[0, 0] == corner[8, 8] == 0
    assert corner[4, 4] == pytest.approx(255)


def test_angles_fill_the_range_that_was_asked_for(shapes: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []

    def watched(raw: NDArray[Any], size: Size, angles: NDArray[np.float64]) -> NDArray[np.float32]:
        seen.extend(np.degrees(angles))
        return turned(raw, size, angles)

    monkeypatch.setattr(augment, "turned", watched)
    learnt_from(config(rotation=30.0), shapes, n=190)
    assert len(seen) == 190
    assert -30 <= min(seen) < -25
    assert 25 < max(seen) <= 30


@pytest.mark.parametrize("features", [1, 63, 784])
def test_noise_is_normal_with_the_deviation_that_was_asked_for(features: int) -> None:
    x = np.full((200_000 // features, features), 3.0, np.float32)
    add_noise(x, np.random.Generator(np.random.SFC64(1)), 0.25)
    assert x.dtype == np.float32
    drawn = (x.ravel() - 3.0) / 0.25
    assert drawn.mean() == pytest.approx(0, abs=0.01)
    assert drawn.std() == pytest.approx(1, abs=0.01)
    assert kstest(drawn, "norm").statistic < 0.005


def test_noise_is_added_to_scaled_inputs_and_targets_are_left(shapes: Problem) -> None:
    rows = np.arange(100)
    data, fold = shapes.dataset, shapes.folds[0]
    x, y = learnt_from(config(noise=0.5), shapes)
    assert (x - fold.inputs.apply(data.x[rows])).std() == pytest.approx(0.5, rel=0.05)
    assert np.array_equal(y, data.y[rows])


def test_pixels_are_turned_before_they_are_scaled(shapes: Problem) -> None:
    x, _ = learnt_from(config(rotation=180.0), shapes)
    scaler = shapes.folds[0].inputs
    black = float(scaler.shift[0])
    assert x.min() == pytest.approx(black, abs=1e-5), "what comes from outside is black, and black isn't 0 when scaled"


AUGMENTED: dict[str, Any] = {"rotation": 20.0, "noise": 0.1}


@pytest.mark.parametrize("settings", [{"rotation": 20.0}, {"noise": 0.1}, AUGMENTED], ids=str)
def test_what_is_learnt_from_depends_on_seed_fold_and_epoch_alone(
    shapes: Problem, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *others = (
        learnt_from(config(**settings), shapes, *key)[0] for key in ((5, 0, 1), (6, 0, 1), (5, 1, 1), (5, 0, 2))
    )
    for other in others:
        assert not np.array_equal(first, other)
    for chunk, batch_size in itertools.product((1, 30), (1, 7)):
        monkeypatch.setattr(augment, "CHUNK", chunk)
        again, _ = learnt_from(config(**settings, batch_size=batch_size), shapes)
        assert np.array_equal(first, again)


def test_noise_is_the_same_with_rotation_and_without(shapes: Problem) -> None:
    noisy, turning, both = (
        learnt_from(config(**s), shapes)[0] for s in ({"noise": 0.1}, {"rotation": 20.0}, AUGMENTED)
    )
    plain = shapes.folds[0].inputs.apply(shapes.dataset.x[:100])
    np.testing.assert_allclose(both - turning, noisy - plain, atol=1e-5)


def test_augmentation_changes_neither_weights_nor_order_nor_masks(shapes: Problem) -> None:
    """By noise that is too small to be seen: all else must then be as without."""
    runs = [engine("eager").start(config(dropout=0.5, noise=noise), shapes, 0, 5) for noise in (0.0, 1e-12)]
    plain, augmented_ = (run.train_epoch(1).losses for run in runs)
    np.testing.assert_allclose(plain, augmented_, rtol=1e-4)


def test_batches_are_the_augmented_samples_in_the_epochs_order(shapes: Problem) -> None:
    trial = config(batch_size=10_000, depth=0, **AUGMENTED)
    run = engine("eager").start(trial, shapes, 0, 5)
    fold = shapes.folds[0]
    order = fold.train[epoch_order(len(fold.train), 5, 0, 3)]
    ((x, y),) = augmented(trial, shapes.dataset, fold, order, 5, 0, 3)
    with torch.no_grad():
        loss = torch.nn.functional.cross_entropy(run.module()(torch.from_numpy(x)), torch.from_numpy(y)).item()
    assert run.train_epoch(3).scores["loss"] == pytest.approx(loss, rel=1e-5)


def test_evaluation_is_never_augmented(shapes: Problem) -> None:
    plain, strong = (
        engine("eager").start(config(**settings), shapes, 0, 5) for settings in ({}, {"rotation": 180.0, "noise": 10.0})
    )
    data = shapes.dataset
    assert plain.evaluate(data.x, data.y) == strong.evaluate(data.x, data.y)


def test_noise_beyond_float32_diverges_rather_than_fails(shapes: Problem) -> None:
    run = engine("eager").start(config(noise=1e300), shapes, 0, 5)
    assert math.isnan(run.train_epoch(1).scores["loss"])


def test_noise_needs_no_pictures() -> None:
    run = engine("eager").start(config(noise=0.1, loss="mse", lr=0.01), problem("regression"), 0, 5)
    assert math.isfinite(run.train_epoch(1).scores["loss"])
