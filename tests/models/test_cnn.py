from __future__ import annotations

import copy
import itertools
import math
from typing import Any

import pytest
import torch
from torch import nn

from tests.builders import config, dataset, pictures
from tune_mlp import config as names
from tune_mlp.config import TrialConfig
from tune_mlp.errors import StudyError
from tune_mlp.models.build import MODELS, build_model
from tune_mlp.models.dropout import Dropout, draw_by_batch, draw_masks, mask_generator
from tune_mlp.models.init import fans
from tune_mlp.models.mlp import build_mlp
from tune_mlp.models.pictures import check_model


def cnn(options: dict[str, Any] | None = None, **settings: Any) -> TrialConfig:
    return config(model={"name": "cnn", "channels": (4, 6), "kernel": 3, **(options or {})}, **settings)


def build(trial: TrialConfig, shape: tuple[int, ...] = (8, 8), seed: int = 1) -> nn.Sequential:
    return build_model(math.prod(shape), shape, 3, trial, seed)


def kinds(trial: TrialConfig) -> list[str]:
    return [type(layer).__name__ for layer in build(trial)]


def test_every_name_has_a_model() -> None:
    assert tuple(MODELS) == names.MODEL_NAMES


def test_an_mlp_is_the_same_whatever_its_inputs_are_pictures_of() -> None:
    one, other = build(config(batch_norm=True)), build_mlp(64, 3, config(batch_norm=True), 1)
    assert one.state_dict().keys() == other.state_dict().keys()
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_convolutions_are_conv_norm_activation_pool_dropout_and_a_mlp_follows() -> None:
    assert kinds(cnn({"channels": (4,)}, depth=1, batch_norm=True, dropout=0.5, activation="tanh", loss="nll")) == [
        *("Pictures", "Conv", "PictureNorm", "Tanh", "MaxPool2d", "Dropout", "Flatten"),
        *("Linear", "BatchNorm", "Tanh", "Dropout", "Linear", "LogSoftmax"),
    ]
    assert kinds(cnn({"channels": (4,), "pool": 1}, depth=0)) == ["Pictures", "Conv", "ReLU", "Flatten", "Linear"]


@pytest.mark.parametrize("activation", names.ACTIVATION_NAMES)
def test_a_cnn_is_the_sequential_that_one_would_write(activation: str) -> None:
    model = build(cnn(depth=1, batch_norm=True, dropout=0.2, loss="nll", activation=activation))
    act = type(model[3])
    plain = nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        *(nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), act(), nn.MaxPool2d(2), nn.Dropout(0.2)),
        *(nn.Conv2d(4, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), act(), nn.MaxPool2d(2), nn.Dropout(0.2)),
        *(nn.Flatten(), nn.Linear(24, 16, bias=False), nn.BatchNorm1d(16), act(), nn.Dropout(0.2)),
        *(nn.Linear(16, 3), nn.LogSoftmax(1)),
    )
    plain.load_state_dict(model.state_dict())
    x = torch.randn(5, 64)
    torch.testing.assert_close(model.eval()(x), plain.eval()(x))


@pytest.mark.parametrize("activation", names.ACTIVATION_NAMES)
def test_its_gradients_are_those_of_the_sequential_that_one_would_write(activation: str) -> None:
    model = build(cnn({"channels": (4,)}, depth=0, activation=activation))
    plain = nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 4, 3, padding=1), type(model[2])(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(64, 3),
    )  # fmt: skip
    plain.load_state_dict(model.state_dict())
    x = torch.randn(5, 64)
    for each in (model, plain):
        each(x).square().sum().backward()
    for mine, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad)


def test_colours_are_channels() -> None:
    model = build(cnn({"channels": (4,)}, depth=0), (6, 8, 3)).eval()
    conv = model[1]
    assert isinstance(conv, nn.Conv2d)
    assert conv.weight.shape == (4, 3, 3, 3)
    x = torch.randn(2, 6, 8, 3)
    expected = model[2:](nn.functional.conv2d(x.permute(0, 3, 1, 2).contiguous(), conv.weight, conv.bias, padding=1))
    torch.testing.assert_close(model(x.flatten(1)), expected)


def test_sides_that_pooling_doesnt_divide_are_cut() -> None:
    model = build(cnn({"pool": 3}, depth=0, dropout=0.5), (11, 9))
    assert [layer.shape for layer in model if isinstance(layer, Dropout)] == [(4, 3, 3), (6, 1, 1)]
    assert model(torch.randn(2, 99)).shape == (2, 3)


@pytest.mark.parametrize(
    ("init", "std"),
    [
        ({"name": "default"}, 1 / math.sqrt(3 * 32 * 25)),
        ({"name": "xavier"}, math.sqrt(2 / ((32 + 64) * 25))),
        ({"name": "kaiming", "distribution": "normal"}, math.sqrt(2 / (32 * 25))),
        ({"name": "uniform", "bound": 0.3}, 0.3 / math.sqrt(3)),
        ({"name": "normal", "std": 0.2}, 0.2),
    ],
)
def test_initial_laws_count_a_convolutions_window(init: dict[str, Any], std: float) -> None:
    conv = build(cnn({"channels": (32, 64), "kernel": 5}, init=init))[4]
    assert isinstance(conv, nn.Conv2d)
    assert fans(conv) == (32 * 25, 64 * 25)
    assert conv.weight.std().item() == pytest.approx(std, rel=0.02)
    assert conv.bias is not None
    assert bool(conv.bias.any()) == (init["name"] == "default")


def test_the_default_is_pytorchs_bound() -> None:
    mine, theirs = build(cnn({"channels": (32, 64), "kernel": 5}))[4], nn.Conv2d(32, 64, 5)
    for one, other in zip(mine.parameters(), theirs.parameters(), strict=True):
        assert one.abs().max().item() == pytest.approx(other.abs().max().item(), rel=0.1)


def test_the_seed_alone_decides() -> None:
    before = torch.random.get_rng_state()
    models = [build(cnn(), seed=seed) for seed in (3, 3, 4)]
    assert torch.equal(torch.random.get_rng_state(), before)
    same, again, other = ([p.tolist() for p in model.parameters()] for model in models)
    assert same == again
    assert same[0] != other[0]


def test_batch_norm_meets_one_picture_with_the_running_statistics() -> None:
    model = build(cnn(batch_norm=True)).train()
    model(torch.randn(32, 64))
    before = copy.deepcopy(model.state_dict())
    one = torch.randn(1, 64)
    alone = model(one)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert torch.equal(alone, model.eval()(one))


def test_dropout_drops_the_units_that_its_mask_says() -> None:
    layer = Dropout(0.5, (2, 2, 3)).train()
    drawn = torch.zeros(1, 12, dtype=torch.uint8)
    drawn[0, 2 * (1 * 3 + 2) + 1] = 1  # row 1, column 2, channel 1
    layer.take(drawn)
    expected = torch.zeros(1, 2, 2, 3)
    expected[0, 1, 1, 2] = 2.0
    assert torch.equal(layer(torch.ones(1, 2, 2, 3)), expected)
    assert layer.units == 12


@pytest.mark.parametrize(("samples", "batch_size", "units"), [(50, 7, 3), (50, 8, 5), (9, 100, 5), (3, 1, 1)])
def test_masks_drawn_by_batch_are_those_drawn_at_once(
    samples: int, batch_size: int, units: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = draw_masks(mask_generator(1, 0, 1), samples, units, 0.3)
    monkeypatch.setattr("tune_mlp.models.dropout.TOGETHER", 1)
    parts = list(draw_by_batch(mask_generator(1, 0, 1), samples, batch_size, units, 0.3))
    assert [row.tolist() for part in parts for row in part] == whole.tolist()
    whole_batches, rest = divmod(samples, batch_size)
    assert [len(part) for part in parts] == [batch_size] * whole_batches + [rest] * (rest > 0)


TABLE, GREY = dataset(), pictures(n=4)


@pytest.mark.parametrize(
    ("trial", "on", "text"),
    [
        (cnn(), TABLE, "space.model: cnn needs pictures, and small_classification has none"),
        (config(rotation=5.0), TABLE, "space.rotation: 5.0 needs pictures, and small_classification has none"),
        (
            cnn({"channels": (4, 4, 4, 4)}),
            GREY,
            "space.model.cnn: 8x8 pictures are pooled away by pool=2 after each of 4 convolutions;"
            " take fewer channels or a smaller pool",
        ),
    ],
    ids=["cnn", "rotation", "pool"],
)
def test_what_cant_be_trained_is_refused_in_one_line(trial: TrialConfig, on: Any, text: str) -> None:
    with pytest.raises(StudyError) as refusal:
        check_model(trial, on)
    assert str(refusal.value) == text


@pytest.mark.parametrize("shape", [(64,), (2, 2, 4, 4), (8, 7)], ids=str)
def test_a_shape_that_is_no_pictures_is_refused(shape: tuple[int, ...]) -> None:
    odd = type(GREY)("odd", "classification", GREY.x, GREY.y, GREY.x[:0], GREY.y[:0], GREY.classes, shape=shape)
    with pytest.raises(
        StudyError, match="cnn needs pictures of height, width and maybe channels, and odd has 64 inputs"
    ):
        check_model(cnn(), odd)


def test_what_can_be_trained_is_let_through() -> None:
    for trial, on in itertools.product((cnn(), cnn({"pool": 8, "channels": (2,)}), config(rotation=5.0)), (GREY,)):
        check_model(trial, on)
    check_model(config(noise=0.1), TABLE)


@pytest.mark.parametrize(
    "options",
    [{"kernel": 4}, {"kernel": 17}, {"pool": 0}, {"pool": 9}, {"channels": ()}, {"channels": (0,)}, {"kernal": 3}],
    ids=str,
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="TrialConfig"):
        cnn(options)
