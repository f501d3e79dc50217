from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from tests.builders import config
from tune_mlp import config as names
from tune_mlp.models.mlp import ACTIVATIONS, build_mlp


def kinds(**settings: Any) -> list[str]:
    return [type(layer).__name__ for layer in build_mlp(4, 3, config(**settings), seed=0)]


def test_every_name_has_an_activation() -> None:
    assert tuple(ACTIVATIONS) == names.ACTIVATIONS


def test_depth_0_is_linear() -> None:
    assert kinds(depth=0, activation="tanh", batch_norm=True, dropout=0.5) == ["Linear"]


def test_hidden_layers_are_linear_norm_activation_dropout() -> None:
    assert kinds(depth=1, batch_norm=True, dropout=0.5, activation="tanh") == [
        *("Linear", "BatchNorm", "Tanh", "Dropout"),
        "Linear",
    ]
    assert kinds(depth=2) == ["Linear", "ReLU", "Linear", "ReLU", "Linear"]


def test_nll_puts_a_log_softmax_on_top() -> None:
    assert kinds(depth=0, loss="nll") == ["Linear", "LogSoftmax"]


def test_widths_stand_for_depth_and_width() -> None:
    model = build_mlp(4, 3, config(widths=[7, 5], depth=1), seed=0)
    assert [layer.weight.shape for layer in model if isinstance(layer, nn.Linear)] == [(7, 4), (5, 7), (3, 5)]


def test_the_state_dict_loads_into_an_ordinary_model() -> None:
    model = build_mlp(4, 3, config(batch_norm=True, dropout=0.2, loss="nll"), seed=0).eval()
    plain = nn.Sequential(
        nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3), nn.LogSoftmax(1)
    )
    plain.load_state_dict(model.state_dict())
    x = torch.randn(5, 4)
    assert torch.equal(plain.eval()(x), model(x))


def test_dropout_draws_from_its_own_generator() -> None:
    masks = torch.Generator()
    model = build_mlp(4, 3, config(dropout=0.5), seed=0, dropout=masks).train()
    x, before = torch.ones(6, 4), torch.random.get_rng_state()
    first, again, other = (model_after_seed(model, masks, seed, x) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), before), "the global generator was touched"


def model_after_seed(model: nn.Module, masks: torch.Generator, seed: int, x: torch.Tensor) -> torch.Tensor:
    masks.manual_seed(seed)
    output: torch.Tensor = model(x)
    return output


def test_dropout_keeps_the_mean_and_the_share() -> None:
    layer = build_mlp(1, 1, config(dropout=0.25), seed=0, dropout=torch.Generator().manual_seed(0))[2].train()
    x = torch.ones(100, 1000)
    dropped = layer(x)
    assert sorted(dropped.unique().tolist()) == pytest.approx([0, 1 / 0.75])
    assert (dropped == 0).float().mean().item() == pytest.approx(0.25, abs=0.01)
    assert torch.equal(layer.eval()(x), x)


def test_batch_norm_meets_one_sample_with_the_running_statistics() -> None:
    model = build_mlp(4, 3, config(batch_norm=True), seed=0).train()
    model(torch.randn(32, 4))
    before = copy.deepcopy(model.state_dict())
    one = torch.randn(1, 4)
    alone = model(one)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert torch.equal(alone, model.eval()(one))


def test_batch_norm_meets_more_samples_as_pytorch_does() -> None:
    ours = build_mlp(4, 3, config(batch_norm=True), seed=0)[1].train()
    theirs = nn.BatchNorm1d(16).train()
    x = torch.randn(2, 16)
    assert torch.equal(ours(x), theirs(x))
    assert torch.equal(ours.running_var, theirs.running_var)


def test_a_model_can_be_copied_with_its_dropout() -> None:
    model = build_mlp(4, 3, config(dropout=0.5), seed=0, dropout=torch.Generator())
    x = torch.randn(2, 4)
    assert torch.equal(copy.deepcopy(model).eval()(x), model.eval()(x))
