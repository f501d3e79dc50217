"""The gradient check: both engines pass it in every case, and a wrong gradient doesn't."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
import torch

from tests.published.made import claim
from tune_mlp.config import ACTIVATION_NAMES, LOSS_NAMES, REGRESSION_LOSSES, TrialConfig
from tune_mlp.data.dataset import Problem
from tune_mlp.engines.base import FoldRun, TrainedEpoch
from tune_mlp.engines.choose import ENGINES, engine
from tune_mlp.published import gradients
from tune_mlp.published.compare import measure
from tune_mlp.published.gradients import CASES, check_gradients

LAYERS = {
    *("hidden weight", "hidden bias", "output weight", "output bias", "batch norm scale", "batch norm shift"),
    *("convolution weight", "convolution bias"),
}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return check_gradients()


def test_both_engines_gradients_agree_with_central_differences(table: pd.DataFrame) -> None:
    [finding] = measure(claim(gradients={}, at_most=1e-5), table)
    assert finding.met, table.sort_values("difference").tail(5)


def test_every_layer_activation_and_loss_is_compared(table: pd.DataFrame) -> None:
    eager = table[table["engine"] == "eager"]
    assert set(eager["layer"]) == LAYERS
    assert {f"activation {name}" for name in ACTIVATION_NAMES} <= set(eager["case"])
    assert {f"loss {name}" for name in LOSS_NAMES} <= set(eager["case"])
    assert {f"loss {name} of values" for name in REGRESSION_LOSSES} <= set(eager["case"])
    assert set(eager["case"]) == {case.name for case in CASES}
    compiled = table[table["engine"] == "compiled"]
    assert set(compiled["layer"]) == {layer for layer in LAYERS if "convolution" not in layer}


def test_hardly_anything_is_left_out(table: pd.DataFrame) -> None:
    assert (table["compared"] > 0).all()
    assert table["skipped"].sum() <= 0.02 * table["compared"].sum()


class Wrong:
    """An engine whose step is wrong by one percent in one tensor."""

    def __init__(self, name: str, place: int) -> None:
        self.name, self._engine, self._place = name, engine(name), place

    def start(self, config: TrialConfig, problem: Problem, fold: int, seed: int, device: str = "cpu") -> FoldRun:
        run: Any = self._engine.start(config, problem, fold, seed, device)
        train = run.train_epoch

        def train_epoch(epoch: int) -> TrainedEpoch:
            parameter = list(run.module().parameters())[self._place]
            before = parameter.detach().clone()
            trained: TrainedEpoch = train(epoch)
            with torch.no_grad():
                parameter += 0.01 * (parameter - before)
            return trained

        run.train_epoch = train_epoch
        return run  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", list(ENGINES))
@pytest.mark.parametrize("place", [0, -1])
def test_a_gradient_that_is_one_percent_off_is_found(name: str, place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradients, "CASES", [case for case in CASES if case.name in ("loss mse", "batch norm")])
    [finding] = measure(claim(gradients={}, at_most=1e-4), check_gradients({name: Wrong(name, place)}))
    assert finding.met is False
    [finding] = measure(claim(gradients={}, at_most=1e-4), check_gradients({name: engine(name)}))
    assert finding.met


def test_a_kink_is_left_out_and_a_bend_is_not() -> None:
    weights = torch.tensor([0.0, 3.0], dtype=torch.float64)
    assert gradients._slope(lambda: float(weights.abs().sum()), 3.0, weights, (0,)) is None
    assert gradients._slope(lambda: float((weights**2).sum()), 9.0, weights, (1,)) == pytest.approx(6.0)
    assert weights.tolist() == [0.0, 3.0]
