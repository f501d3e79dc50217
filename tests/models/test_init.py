from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from tests.builders import config
from tune_mlp import config as names
from tune_mlp.models.init import INITS
from tune_mlp.models.mlp import build_mlp


def first_layer(init: dict[str, Any], inputs: int = 300, width: int = 200) -> nn.Linear:
    layer = build_mlp(inputs, 10, config(init=init, width=width), seed=1)[0]
    assert isinstance(layer, nn.Linear)
    return layer


def test_every_name_has_a_law() -> None:
    assert tuple(INITS) == names.INIT_NAMES


def test_the_default_is_pytorchs_law() -> None:
    ours, theirs = first_layer({"name": "default"}), nn.Linear(300, 200)
    bound = 1 / math.sqrt(300)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert mine.dtype == other.dtype
        assert mine.abs().max() <= bound
        assert other.abs().max() <= bound
        assert mine.abs().max() > 0.95 * bound
        assert mine.mean().abs() < 0.1 * bound
        assert mine.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)


@pytest.mark.parametrize(
    ("init", "std"),
    [
        ({"name": "xavier"}, math.sqrt(2 / 500)),
        ({"name": "xavier", "distribution": "normal", "gain": 2.0}, 2 * math.sqrt(2 / 500)),
        ({"name": "kaiming"}, math.sqrt(2 / 300)),
        ({"name": "kaiming", "distribution": "normal", "gain": 1.0}, math.sqrt(1 / 300)),
        ({"name": "uniform", "bound": 0.3}, 0.3 / math.sqrt(3)),
        ({"name": "normal", "std": 0.2}, 0.2),
    ],
)
def test_a_law_has_its_deviation_and_no_bias(init: dict[str, Any], std: float) -> None:
    layer = first_layer(init)
    assert layer.weight.std().item() == pytest.approx(std, rel=0.02)
    assert layer.weight.mean().abs().item() < 0.02 * std
    assert not layer.bias.any()


@pytest.mark.parametrize("name", ["xavier", "kaiming"])
def test_uniform_laws_are_bounded_and_normal_ones_are_not(name: str) -> None:
    flat, bell = (first_layer({"name": name, "distribution": law}).weight for law in ("uniform", "normal"))
    assert flat.abs().max() <= math.sqrt(3) * flat.std() * 1.02
    assert bell.abs().max() > 3 * bell.std()


def test_constant_weights_are_the_constant() -> None:
    assert torch.equal(first_layer({"name": "constant", "value": -0.25}).weight, torch.full((200, 300), -0.25))


@pytest.mark.parametrize("init", [{"name": name} for name in names.INIT_NAMES], ids=str)
def test_the_seed_alone_decides(init: dict[str, Any]) -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    model = build_mlp(5, 2, config(init=init), seed=3)
    assert torch.equal(torch.random.get_rng_state(), before), "the global generator was touched"
    torch.manual_seed(2)
    again = build_mlp(5, 2, config(init=init), seed=3)
    for a, b in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    if init["name"] != "constant":
        other = build_mlp(5, 2, config(init=init), seed=4)
        assert not torch.equal(next(model.parameters()), next(other.parameters()))


@pytest.mark.parametrize(
    "init",
    [{"name": "uniform", "bound": 1e300}, {"name": "normal", "std": 1e300}, {"name": "constant", "value": -1e300}],
    ids=str,
)
def test_weights_beyond_float32_are_infinite_rather_than_an_error(init: dict[str, Any]) -> None:
    assert not first_layer(init).weight.isfinite().all()
