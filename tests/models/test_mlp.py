from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.builders import config
from tune_mlp import config as names
from tune_mlp.models.dropout import draw_masks, mask_generator
from tune_mlp.models.mlp import ACTIVATIONS, build_mlp


def kinds(**settings: Any) -> list[str]:
    return [type(layer).__name__ for layer in build_mlp(4, 3, config(**settings), seed=0)]


def test_every_name_has_an_activation() -> None:
    assert tuple(ACTIVATIONS) == names.ACTIVATION_NAMES


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
        nn.Linear(4, 16, bias=False), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3), nn.LogSoftmax(1)
    )
    plain.load_state_dict(model.state_dict())
    x = torch.randn(5, 4)
    assert torch.equal(plain.eval()(x), model(x))


def test_dropout_drops_what_its_mask_says() -> None:
    layer = build_mlp(4, 3, config(dropout=0.25), seed=0)[2].train()
    x = torch.full((2, 3), 3.0)
    layer.mask = torch.tensor([[1, 0, 1], [0, 0, 1]], dtype=torch.uint8)
    assert layer(x).tolist() == [[4.0, 0.0, 4.0], [0.0, 0.0, 4.0]]
    assert torch.equal(layer.eval()(x), x)


@pytest.mark.parametrize("p", [0.001, 0.1, 0.25, 0.3, 0.5, 0.9, 0.998, 0.9999])
def test_masks_keep_the_share_that_was_asked_for(p: float) -> None:
    """Not a neighbouring multiple of 1/256, which is what a byte alone could tell."""
    masks = draw_masks(mask_generator(1, 0, 1), 20_000, 500, p)
    assert set(np.unique(masks)) == {0, 1}
    assert masks.mean() == pytest.approx(1 - p, abs=5 * math.sqrt(p * (1 - p) / masks.size))


def test_masks_of_units_and_samples_have_nothing_to_do_with_each_other() -> None:
    masks = draw_masks(mask_generator(1, 0, 1), 5000, 40, 0.3).astype(float)
    units = np.corrcoef(masks.T)[~np.eye(40, dtype=bool)]
    assert abs(units).max() < 6 / math.sqrt(5000)
    samples = np.corrcoef(masks[:-1].ravel(), masks[1:].ravel())[0, 1]
    assert abs(samples) < 6 / math.sqrt(masks.size)
    # Were units of a sample kept or dropped together, its number of them would vary by more.
    assert masks.sum(axis=1).var() == pytest.approx(40 * 0.3 * 0.7, rel=6 * math.sqrt(2 / 5000))


def test_masks_depend_on_seed_fold_and_epoch_alone() -> None:
    drawn = [
        draw_masks(mask_generator(*key), 10, 10, 0.5) for key in ((1, 0, 1), (1, 0, 1), (2, 0, 1), (1, 1, 1), (1, 0, 2))
    ]
    assert np.array_equal(drawn[0], drawn[1])
    for other in drawn[2:]:
        assert not np.array_equal(drawn[0], other)


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
    model = build_mlp(4, 3, config(dropout=0.5), seed=0)
    x = torch.randn(2, 4)
    assert torch.equal(copy.deepcopy(model).eval()(x), model.eval()(x))
