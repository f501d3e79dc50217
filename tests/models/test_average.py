"""An average of nets answers with the mean of their answers, and is never worse than they are on average."""

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
@pytest.mark.parametrize("loss", LOSS_NAMES)
def test_the_answers_are_the_mean_of_the_nets_answers(loss: Loss, model: str) -> None:
    made = nets(loss, model={"name": model})
    answers = [net(X) if loss in REGRESSION_LOSSES else net(X).softmax(dim=1) for net in made]
    average = together(made, loss)(X)
    if loss not in REGRESSION_LOSSES:
        average = average.exp()
    torch.testing.assert_close(average, sum(answers) / len(made))


def test_of_one_net_it_is_the_net_itself() -> None:
    (alone,) = nets("mse", count=1)
    assert together([alone], "mse") is alone
    torch.testing.assert_close(Average([alone], "mse")(X), alone(X), rtol=0, atol=0)
    (alone,) = nets("cross_entropy", count=1)
    torch.testing.assert_close(Average([alone], "cross_entropy")(X), alone(X).log_softmax(dim=1))


def test_outputs_whose_probabilities_are_below_float32_stay_finite() -> None:
    certain = nn.Sequential(nn.Linear(16, 3))
    with torch.no_grad():
        certain[0].bias.copy_(torch.tensor([1e4, 0.0, -1e4]))
    assert together([certain, certain], "cross_entropy")(X).isfinite().all()


@pytest.mark.parametrize("loss", [name for name in LOSS_NAMES if name != "multi_margin"])
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
