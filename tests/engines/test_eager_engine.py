from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import torch

from tests.builders import config, problem
from tune_mlp import config as names
from tune_mlp.data.transforms import TargetScaler
from tune_mlp.engines.choose import ENGINES, choose_engine, engine
from tune_mlp.engines.eager.losses import LOSSES, loss_targets
from tune_mlp.engines.eager.optimisers import OPTIMISERS
from tune_mlp.engines.tally import MEASURES, Tally
from tune_mlp.errors import UsageError
from tune_mlp.records import SCORES


def test_every_name_has_an_implementation() -> None:
    assert tuple(LOSSES) == names.LOSSES
    assert tuple(OPTIMISERS) == names.OPTIMIZERS
    assert tuple(MEASURES) == tuple(SCORES)


def test_every_engine_goes_by_its_name() -> None:
    assert [engine(name).name for name in ENGINES] == list(ENGINES)


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


def test_choosing_an_engine_imports_no_torch() -> None:
    code = "import sys; from tune_mlp.engines.choose import choose_engine; choose_engine('auto'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("loss", sorted(set(names.LOSSES) - set(names.REGRESSION_LOSSES)))
def test_regression_refuses_losses_for_classes(loss: str) -> None:
    with pytest.raises(UsageError, match=f"regression needs one of mse, mae, smooth_l1, got {loss}"):
        engine("eager").start(config(loss=loss), problem("regression"), 0, 0)


def test_classes_meet_losses_between_values_as_one_hot() -> None:
    y = torch.tensor([2, 0])
    assert loss_targets("mse", y, 3).tolist() == [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    assert loss_targets("nll", y, 3) is y
    values = torch.tensor([[0.5], [1.5]])
    assert loss_targets("mse", values, 1) is values


def regression_tally(mean: float = 0.0, std: float = 1.0) -> Tally:
    return Tally("regression", TargetScaler(np.float32([mean]), np.float32([std])))


def test_r2_of_targets_that_dont_vary_is_finite() -> None:
    for predicted, r2 in ((0.1, 1.0), (0.2, 0.0)):
        tally = regression_tally()
        y = torch.full((7, 1), 0.1)
        tally.add(torch.full((7, 1), predicted), y, torch.zeros(1), 7)
        assert tally.scores()["r2"] == r2


def test_r2_keeps_its_figures_far_from_0() -> None:
    tally = regression_tally()
    y = torch.tensor([[1e8], [1e8 + 8], [1e8 + 16]])
    for i in range(3):
        tally.add(y[i : i + 1] + torch.tensor([[0.0], [8.0], [0.0]])[i : i + 1], y[i : i + 1], torch.zeros(1), 1)
    assert tally.scores()["r2"] == pytest.approx(1 - 64 / 128)


def test_a_sum_of_large_losses_is_finite() -> None:
    tally = regression_tally()
    large = torch.full((3,), 3e38)
    tally.add(torch.zeros(3, 1), torch.zeros(3, 1), large, 1)
    assert math.isfinite(tally.scores()["loss"])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_trains_from_the_same_weights_and_its_state_loads_on_the_cpu() -> None:
    on = problem()
    trial = config(batch_norm=True, optimizer={"name": "adam"}, lr=0.01)
    gpu, cpu = (engine("eager").start(trial, on, 0, 3, device) for device in ("cuda", "cpu"))
    for epoch in (1, 2):
        assert gpu.train_epoch(epoch).scores == pytest.approx(cpu.train_epoch(epoch).scores, rel=1e-3)
    taken_up = engine("eager").start(trial, on, 0, 3, "cpu")
    taken_up.load_state(gpu.state())
    assert math.isfinite(taken_up.train_epoch(3).scores["loss"])
