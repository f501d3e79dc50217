"""An average of nets answers with the mean of their outputs, and is never worse than they are on average."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.builders import config
from tune_mlp.config import LOSS_NAMES, REGRESSION_LOSSES, Loss
from tune_mlp.engines.eager.losses import LOSSES, loss_targets
from tune_mlp.models.average import Average, together
from tune_mlp.models.build import build_model

X = torch.randn(50, 16, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(50) % 3


def nets(loss: Loss, count: int = 4, **settings: object) -> list[nn.Module]:
    made = config(loss=loss, batch_norm=True, dropout=0.5, **settings)
    return [build_model(16, (4, 4), 3, made, seed).eval() for seed in range(count)]


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_the_outputs_are_the_mean_of_the_nets_outputs(model: str) -> None:
    made = nets("cross_entropy", model={"name": model})
    mean = sum(net(X) for net in made) / len(made)
    torch.testing.assert_close(together(made, "cross_entropy")(X), mean)


def test_of_one_net_it_is_the_net_itself() -> None:
    (alone,) = nets("mse", count=1)
    assert together([alone], "mse") is alone
    torch.testing.assert_close(Average([alone], "mse")(X), alone(X), rtol=0, atol=0)


def test_logarithms_of_probabilities_come_to_one_after_the_average() -> None:
    made = nets("nll")
    logarithms = together(made, "nll")(X)
    torch.testing.assert_close(logarithms.exp().sum(dim=1), torch.ones(50))
    before = torch.stack([net[:-1](X) for net in made]).mean(dim=0)  # type: ignore[index]
    torch.testing.assert_close(logarithms, before.log_softmax(dim=1))


@pytest.mark.parametrize("loss", LOSS_NAMES)
def test_no_loss_of_an_average_is_above_the_mean_of_its_nets_losses(loss: Loss) -> None:
    made = nets(loss)
    labels = torch.nn.functional.one_hot(LABELS, 3).float() if loss in REGRESSION_LOSSES else LABELS
    target = loss_targets(loss, labels, 3)
    with torch.no_grad():
        apart = [float(LOSSES[loss](net(X), target)) for net in made]
        average = float(LOSSES[loss](together(made, loss)(X), target))
    assert average < sum(apart) / len(apart)


def test_its_weights_have_the_keys_of_the_nets_and_it_stays_in_evaluation_mode() -> None:
    made = nets("mse", count=2)
    average = together(made, "mse").eval()
    assert list(average.state_dict()) == [f"nets.{place}.{key}" for place in (0, 1) for key in made[0].state_dict()]
    assert not any(module.training for module in average.modules())
