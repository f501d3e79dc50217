from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.builders import config, pictures, problem
from tune_mlp import config as names
from tune_mlp.data.batches import epoch_order
from tune_mlp.data.dataset import Dataset, Problem
from tune_mlp.data.sources import load_dataset
from tune_mlp.data.split import make_problem
from tune_mlp.data.transforms import TargetScaler
from tune_mlp.data_settings import DataSettings
from tune_mlp.engines.choose import ENGINES, choose_engine, engine
from tune_mlp.engines.eager.losses import LOSSES, loss_targets
from tune_mlp.engines.eager.optimisers import OPTIMISERS
from tune_mlp.engines.running_scores import MEASURES, RunningScores
from tune_mlp.errors import UsageError
from tune_mlp.models.dropout import draw_masks, mask_generator
from tune_mlp.records import ENGINE_NAMES, SCORES


def test_every_name_has_an_implementation() -> None:
    assert tuple(LOSSES) == names.LOSS_NAMES
    assert tuple(OPTIMISERS) == names.OPTIMISER_NAMES
    assert tuple(MEASURES) == tuple(SCORES)


def test_every_engine_goes_by_its_name() -> None:
    assert [engine(name).name for name in ENGINES] == list(ENGINES)
    assert tuple(ENGINES) == ENGINE_NAMES


def test_auto_is_the_compiled_engine_on_a_cpu_and_eager_on_a_gpu_with_a_reason() -> None:
    assert choose_engine("auto") == ("compiled", "the fastest for an MLP on a CPU")
    assert choose_engine("auto", gpu=True) == ("eager", "it can use a GPU")
    assert choose_engine("eager") == ("eager", "asked for")
    assert choose_engine("compiled") == ("compiled", "asked for")


@pytest.mark.parametrize(
    ("wanted", "gpu", "text"),
    [
        ("eagre", False, "engine: unknown name 'eagre' (did you mean 'eager'?)"),
        (
            "compiled",
            True,
            "engine: compiled trains on a CPU, and resources ask for a GPU; use auto or eager, or gpu: 0",
        ),
    ],
)
def test_an_engine_that_cannot_be_had_is_refused(wanted: str, gpu: bool, text: str) -> None:
    with pytest.raises(UsageError) as refusal:
        choose_engine(wanted, gpu)
    assert str(refusal.value) == text


@pytest.mark.parametrize("reason", ["a CNN", "rotation", "noise"])
def test_what_only_eager_trains_makes_auto_eager_and_compiled_a_refusal(reason: str) -> None:
    assert choose_engine("auto", eager_only=reason) == ("eager", f"only it offers {reason}")
    assert choose_engine("eager", eager_only=reason) == ("eager", "asked for")
    with pytest.raises(UsageError) as refusal:
        choose_engine("compiled", eager_only=reason)
    assert str(refusal.value) == f"engine: compiled doesn't offer {reason}, only eager does; use auto or eager"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [({"model": {"name": "cnn"}}, "a CNN"), ({"rotation": 5.0}, "rotation"), ({"noise": 0.1}, "noise"), ({}, "")],
    ids=str,
)
def test_the_compiled_engine_itself_refuses_what_only_eager_trains(settings: dict[str, Any], reason: str) -> None:
    trial, on = config(**settings), problem(data=pictures())
    assert names.eager_only(trial) == reason
    if reason:
        with pytest.raises(UsageError, match=f"^engine: compiled doesn't offer {reason}, only eager does"):
            engine("compiled").start(trial, on, 0, 0)
    else:
        engine("compiled").start(trial, on, 0, 0)


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("settings", [{"model": {"name": "cnn"}}, {"rotation": 5.0}], ids=str)
def test_no_engine_starts_what_needs_pictures_on_a_table(name: str, settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="needs pictures, and small_classification has none"):
        engine(name).start(config(**settings), problem(), 0, 0)


def digits() -> Problem:
    settings = DataSettings(name="digits")
    return make_problem(load_dataset(settings), settings, 0)


def test_a_cnn_learns_digits_well() -> None:
    on = digits()
    trial = config(model={"name": "cnn", "kernel": 3}, depth=0, batch_norm=True, lr=0.003, optimizer={"name": "adam"})
    run = engine("eager").start(trial, on, 0, 5)
    for epoch in range(1, 9):
        run.train_epoch(epoch)
    assert run.evaluate(on.dataset.x, on.dataset.y, on.folds[0].validation)["accuracy"] > 0.975


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"batch_norm": True},
        {"batch_norm": True, "batch_size": 1, "lr": 0.01},
        {"dropout": 0.2, "depth": 2},
        {"loss": "nll", "activation": "gelu"},
        {"loss": "mse", "l1": 1e-4, "weight_decay": 1e-4},
        {"batch_size": 10_000, "optimizer": {"name": "rmsprop"}, "lr": 0.01},
        {"model": {"name": "cnn", "pool": 1, "kernel": 1, "channels": (3,)}},
        {"rotation": 10.0, "noise": 0.2},
    ],
    ids=str,
)
def test_every_setting_learns_with_a_cnn(settings: dict[str, Any]) -> None:
    on = problem(data=pictures())
    trial = config(**{"model": {"name": "cnn", "channels": (6, 8), "kernel": 3}, "lr": 0.1, **settings})
    run = engine("eager").start(trial, on, 0, 5)
    before = run.evaluate(on.dataset.x, on.dataset.y)
    for epoch in range(1, 31):
        assert math.isfinite(run.train_epoch(epoch).scores["loss"])
    after = run.evaluate(on.dataset.x, on.dataset.y)
    assert after["loss"] < 0.7 * before["loss"]
    assert after["accuracy"] > 0.8, "chance is 1/3"


def test_a_cnn_for_values_of_pictures_learns_them() -> None:
    data = pictures()
    values = (data.x.mean(axis=1, keepdims=True) / 10).astype(np.float32)
    on = problem(data=Dataset("bright", "regression", data.x, values, data.x[:0], values[:0], shape=data.shape))
    run = engine("eager").start(config(model={"name": "cnn"}, loss="mse", lr=0.01), on, 0, 5)
    scores = [run.train_epoch(epoch).scores for epoch in range(1, 11)][-1]
    assert scores["r2"] > 0.7


def test_a_cnns_divergence_shows_within_an_epoch() -> None:
    trial = config(model={"name": "cnn"}, lr=1e38, batch_norm=True, activation="relu6", loss="multi_margin")
    assert math.isnan(engine("eager").start(trial, problem(data=pictures()), 0, 5).train_epoch(1).scores["loss"])


def test_l1_acts_on_a_convolutions_weights_and_on_no_bias() -> None:
    # At a rate where nothing but the penalty could be seen: a whole batch, one step.
    trials = [config(model={"name": "cnn", "channels": (4,)}, depth=0, l1=l1, batch_size=10_000) for l1 in (0.0, 10.0)]
    runs = [engine("eager").start(trial, problem(data=pictures()), 0, 5) for trial in trials]
    for run in runs:
        run.train_epoch(1)
    plain, penalised = (run.module().state_dict() for run in runs)
    assert [name for name in plain if not torch.equal(plain[name], penalised[name])] == ["1.weight", "5.weight"]


def test_a_cnn_trains_as_plain_pytorch_does() -> None:
    on = problem(data=pictures())
    trial = config(model={"name": "cnn", "channels": (4, 6), "kernel": 3}, lr=0.01, optimizer={"name": "adam"})
    run = engine("eager").start(trial, on, 0, 5)
    plain = nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(24, 16), nn.ReLU(),
        nn.Linear(16, 3),
    )  # fmt: skip
    plain.load_state_dict(run.module().state_dict())
    optimiser = torch.optim.Adam(plain.parameters(), lr=0.01)
    fold = on.folds[0]
    order = fold.train[epoch_order(len(fold.train), 5, 0, 1)]
    x, y = torch.from_numpy(fold.inputs.apply(on.dataset.x[order])), torch.from_numpy(on.dataset.y[order])
    for batch in torch.arange(len(y)).split(8):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(plain(x[batch]), y[batch]).backward()
        optimiser.step()
    run.train_epoch(1)
    for mine, theirs in zip(run.module().parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-4)


def test_a_cnns_dropout_follows_the_masks_of_its_seed() -> None:
    on = problem(data=pictures())
    trial = config(model={"name": "cnn", "channels": (4,)}, dropout=0.4, batch_size=10_000, lr=1e-30)
    run = engine("eager").start(trial, on, 0, 5)
    fold = on.folds[0]
    order = fold.train[epoch_order(len(fold.train), 5, 0, 2)]
    masks = torch.from_numpy(draw_masks(mask_generator(5, 0, 2), len(order), 4 * 16 + 16, 0.4))
    x, y = torch.from_numpy(fold.inputs.apply(on.dataset.x[order])), torch.from_numpy(on.dataset.y[order])
    layers = list(run.module().children())
    with torch.no_grad():
        for layer in layers[:4]:
            x = layer(x)
        pixel_by_pixel = masks[:, :64].reshape(-1, 4, 4, 4).permute(0, 3, 1, 2)
        x = layers[5](x * pixel_by_pixel / 0.6)
        x = layers[7](layers[6](x)) * masks[:, 64:] / 0.6
        loss = torch.nn.functional.cross_entropy(layers[9](x), y).item()
    assert run.train_epoch(2).scores["loss"] == pytest.approx(loss, rel=1e-5)


def test_choosing_an_engine_imports_no_torch() -> None:
    code = "import sys; from tune_mlp.engines.choose import choose_engine; choose_engine('auto'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("loss", sorted(set(names.LOSS_NAMES) - set(names.REGRESSION_LOSSES)))
def test_regression_refuses_losses_for_classes(name: str, loss: str) -> None:
    with pytest.raises(UsageError, match=f"regression needs one of mse, mae, smooth_l1, got {loss}"):
        engine(name).start(config(loss=loss), problem("regression"), 0, 0)


def test_classes_meet_losses_between_values_as_one_hot() -> None:
    y = torch.tensor([2, 0])
    assert loss_targets("mse", y, 3).tolist() == [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    assert loss_targets("nll", y, 3) is y
    values = torch.tensor([[0.5], [1.5]])
    assert loss_targets("mse", values, 1) is values


def regression_scores(mean: float = 0.0, std: float = 1.0) -> RunningScores:
    return RunningScores("regression", TargetScaler(np.float32([mean]), np.float32([std])))


def test_r2_of_targets_that_dont_vary_is_finite() -> None:
    for predicted, r2 in ((0.1, 1.0), (0.2, 0.0)):
        scores_so_far = regression_scores()
        y = np.full((7, 1), 0.1)
        scores_so_far.add(np.full((7, 1), predicted), y, np.zeros(1), 7)
        assert scores_so_far.scores()["r2"] == r2


def test_r2_keeps_its_figures_far_from_0() -> None:
    scores_so_far = regression_scores()
    y = np.float32([[1e8], [1e8 + 8], [1e8 + 16]])
    for i in range(3):
        scores_so_far.add(y[i : i + 1] + np.float32([[0], [8], [0]])[i : i + 1], y[i : i + 1], np.zeros(1), 1)
    assert scores_so_far.scores()["r2"] == pytest.approx(1 - 64 / 128)


def test_a_sum_of_large_losses_is_finite() -> None:
    scores_so_far = regression_scores()
    large = np.full(3, 3e38, np.float32)
    scores_so_far.add(np.zeros((3, 1)), np.zeros((3, 1)), large, 1)
    assert math.isfinite(scores_so_far.scores()["loss"])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("model", names.MODEL_NAMES)
def test_a_gpu_trains_from_the_same_weights_and_its_state_loads_on_the_cpu(model: str) -> None:
    on = problem(data=pictures())
    trial = config(model={"name": model}, batch_norm=True, optimizer={"name": "adam"}, lr=0.01)
    gpu, cpu = (engine("eager").start(trial, on, 0, 3, device) for device in ("cuda", "cpu"))
    for epoch in (1, 2):
        assert gpu.train_epoch(epoch).scores == pytest.approx(cpu.train_epoch(epoch).scores, rel=1e-3)
    taken_up = engine("eager").start(trial, on, 0, 3, "cpu")
    taken_up.load_state(gpu.state())
    assert math.isfinite(taken_up.train_epoch(3).scores["loss"])
