"""What every engine must do: a new engine is one line in `start`'s params."""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score
from torch import nn
from torch.nn import functional as F

from tests.builders import config, dataset, pictures, problem
from tune_mlp import config as names
from tune_mlp.config import TrialConfig
from tune_mlp.data.batches import epoch_order
from tune_mlp.data.dataset import Problem
from tune_mlp.data_settings import Folds
from tune_mlp.engines.base import FoldRun
from tune_mlp.engines.choose import engine
from tune_mlp.records import SCORES, Task

Start = Callable[..., FoldRun]

OPTIMISER_OPTIONS: list[dict[str, Any]] = [
    {"name": "sgd"},
    {"name": "sgd", "momentum": 0.9},
    {"name": "sgd", "momentum": 0.8, "nesterov": True},
    {"name": "sgd", "momentum": 0.8, "dampening": 0.8},
    {"name": "adam"},
    {"name": "adam", "beta1": 0.5, "beta2": 0.9, "eps": 0.1},
    {"name": "adamw"},
    {"name": "adamax"},
    {"name": "adamax", "beta1": 0.8},
    {"name": "rmsprop"},
    {"name": "rmsprop", "alpha": 0.9, "momentum": 0.5, "eps": 0.01},
]
SMALL_LR = 0.01
"""For optimisers whose step is about lr long, whatever the gradient."""


def label(options: dict[str, Any]) -> str:
    return "-".join(f"{value}" if name == "name" else f"{name}={value}" for name, value in options.items())


@pytest.fixture(params=["eager", "compiled"])
def start(request: pytest.FixtureRequest) -> Start:
    chosen = engine(request.param)

    def start_run(trial: TrialConfig, on: Problem, fold: int = 0, seed: int = 5) -> FoldRun:
        return chosen.start(trial, on, fold, seed)

    return start_run


@pytest.fixture(scope="module")
def classes() -> Problem:
    return problem("classification")


@pytest.fixture(scope="module")
def shapes() -> Problem:
    return problem(data=pictures())


@pytest.fixture(scope="module")
def curve() -> Problem:
    return problem("regression")


def validate(run: FoldRun, on: Problem) -> dict[str, float]:
    return run.evaluate(on.dataset.x, on.dataset.y, on.folds[0].validation)


def learn(start: Start, on: Problem, trial: TrialConfig, epochs: int = 8) -> tuple[dict[str, float], dict[str, float]]:
    """Validation scores before and after training."""
    run = start(trial, on)
    before = validate(run, on)
    for epoch in range(1, epochs + 1):
        trained = run.train_epoch(epoch)
        assert all(math.isfinite(score) for score in trained.scores.values())
        assert tuple(trained.scores) == SCORES[on.dataset.task]
    return before, validate(run, on)


def assert_learns(start: Start, on: Problem, trial: TrialConfig, epochs: int = 8) -> None:
    before, after = learn(start, on, trial, epochs)
    assert after["loss"] < 0.8 * before["loss"]
    if on.dataset.task == "classification":
        assert after["accuracy"] > 0.8, "chance is 1/3"
    else:
        assert after["r2"] > 0.5


@pytest.mark.parametrize("activation", names.ACTIVATION_NAMES)
def test_every_activation_learns(start: Start, classes: Problem, activation: str) -> None:
    assert_learns(start, classes, config(activation=activation, lr=0.1))


@pytest.mark.parametrize("loss", names.LOSS_NAMES)
def test_every_loss_learns_classes(start: Start, classes: Problem, loss: str) -> None:
    assert_learns(start, classes, config(loss=loss, lr=0.1), epochs=15)


@pytest.mark.parametrize("loss", names.REGRESSION_LOSSES)
def test_regression_losses_learn_values(start: Start, curve: Problem, loss: str) -> None:
    assert_learns(start, curve, config(loss=loss), epochs=15)


@pytest.mark.parametrize("options", OPTIMISER_OPTIONS, ids=label)
def test_every_optimiser_learns(start: Start, classes: Problem, options: dict[str, Any]) -> None:
    assert_learns(start, classes, config(optimizer=options, lr=0.05 if options["name"] == "sgd" else SMALL_LR))


@pytest.mark.parametrize("batch_size", [1, 7, 32, 10_000])
def test_every_batch_size_learns(start: Start, classes: Problem, batch_size: int) -> None:
    assert_learns(start, classes, config(batch_size=batch_size, lr=0.02 if batch_size == 1 else 0.5))


@pytest.mark.parametrize("depth", [0, 1, 5])
def test_every_depth_learns(start: Start, classes: Problem, depth: int) -> None:
    assert_learns(start, classes, config(depth=depth, optimizer={"name": "adam"}, lr=SMALL_LR))


@pytest.mark.parametrize(
    "settings",
    [
        {"batch_norm": True},
        {"batch_norm": True, "batch_size": 1, "lr": 0.01},
        {"dropout": 0.2},
        {"batch_norm": True, "dropout": 0.2, "depth": 2},
        {"l1": 1e-3},
        {"weight_decay": 1e-3},
        {"widths": (9, 5), "lr": 0.2},
        {"lr_decay": 0.9},
    ],
    ids=str,
)
def test_every_setting_learns(start: Start, classes: Problem, settings: dict[str, Any]) -> None:
    assert_learns(start, classes, config(**settings))


@pytest.mark.parametrize(
    "init",
    [
        *({"name": name} for name in ("default", "xavier", "kaiming")),
        {"name": "xavier", "distribution": "normal"},
        {"name": "kaiming", "distribution": "normal"},
        {"name": "uniform", "bound": 0.3},
        {"name": "normal", "std": 0.3},
    ],
    ids=label,
)
def test_every_init_learns(start: Start, classes: Problem, init: dict[str, Any]) -> None:
    assert_learns(start, classes, config(init=init, lr=0.1))


def test_a_constant_init_learns_a_linear_model(start: Start, classes: Problem) -> None:
    assert_learns(start, classes, config(init={"name": "constant", "value": 0.1}, depth=0))


@pytest.mark.parametrize("lr", [1e38, 1e300])
@pytest.mark.parametrize("options", OPTIMISER_OPTIONS, ids=label)
def test_a_huge_rate_diverges_within_an_epoch(
    start: Start, classes: Problem, options: dict[str, Any], lr: float
) -> None:
    trained = start(config(optimizer=options, lr=lr), classes).train_epoch(1)
    assert all(math.isnan(score) for score in trained.scores.values())


@pytest.mark.parametrize("loss", names.LOSS_NAMES)
@pytest.mark.parametrize("activation", ["relu", "relu6", "sigmoid"])
def test_divergence_shows_whatever_hides_it(start: Start, classes: Problem, loss: str, activation: str) -> None:
    # multi_margin's loss is finite for NaN outputs, and relu6 may turn a NaN into a number.
    trained = start(config(loss=loss, activation=activation, lr=1e38, batch_norm=True), classes).train_epoch(1)
    assert all(math.isnan(score) for score in trained.scores.values())


@pytest.mark.parametrize("settings", [{"weight_decay": 1e300}, {"l1": 1e300}, {"lr": 1e300, "batch_size": 1}], ids=str)
def test_settings_beyond_float32_diverge_rather_than_fail(
    start: Start, classes: Problem, settings: dict[str, Any]
) -> None:
    assert math.isnan(start(config(**settings), classes).train_epoch(1).scores["loss"])


def test_divergence_shows_in_regression(start: Start, curve: Problem) -> None:
    trained = start(config(loss="mse", lr=1e10), curve).train_epoch(1)
    assert tuple(trained.scores) == SCORES["regression"]
    assert all(math.isnan(score) for score in trained.scores.values())


@pytest.mark.parametrize("loss", names.LOSS_NAMES)
def test_evaluation_of_a_non_finite_output_is_nan(start: Start, classes: Problem, loss: str) -> None:
    run = start(config(loss=loss), classes)
    with torch.no_grad():
        next(run.module().parameters())[0, 0] = math.nan
    assert all(math.isnan(score) for score in validate(run, classes).values())


def trace(run: FoldRun, on: Problem, epochs: int = 3, first: int = 1) -> list[Any]:
    """Return everything that a run shows: its scores bit by bit, and its weights."""
    shown: list[Any] = []
    for epoch in range(first, first + epochs):
        shown.append({**run.train_epoch(epoch).scores})
        shown.append(validate(run, on))
    shown.append([tensor.tolist() for tensor in run.module().state_dict().values()])
    return shown


RICH = {"dropout": 0.3, "batch_norm": True, "depth": 2, "l1": 1e-4, "weight_decay": 1e-4, "lr_decay": 0.8}
CNN: dict[str, Any] = {"model": {"name": "cnn", "channels": (4, 6), "kernel": 3}}
AUGMENTED: dict[str, Any] = {"rotation": 20.0, "noise": 0.1}


class Rich(NamedTuple):
    """An engine with many settings at once, and data for which each of them has an effect."""

    engine: str
    on: Problem
    settings: dict[str, Any]

    def start(self, seed: int = 5, **settings: Any) -> FoldRun:
        return engine(self.engine).start(config(**{**self.settings, **settings}), self.on, 0, seed)


@pytest.fixture(params=["eager", "compiled", "eager with a CNN", "eager with augmentation"])
def rich(request: pytest.FixtureRequest, classes: Problem, shapes: Problem) -> Rich:
    name, _, what = request.param.partition(" with ")
    extra = {"": {}, "a CNN": CNN | AUGMENTED, "augmentation": AUGMENTED}[what]
    return Rich(name, shapes if what else classes, RICH | extra)


def test_a_run_depends_on_nothing_that_ran_before(rich: Rich) -> None:
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002 - the global generator is the point
    first = trace(rich.start(), rich.on)
    torch.manual_seed(2)
    np.random.seed(2)  # noqa: NPY002
    other = rich.start(seed=9, lr=0.3)
    other.train_epoch(1)
    assert trace(rich.start(), rich.on) == first


def test_a_run_leaves_the_global_generators_alone(rich: Rich) -> None:
    before, numpy_before = torch.random.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    trace(rich.start(), rich.on, epochs=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert np.random.get_state()[1].tolist() == numpy_before  # noqa: NPY002


def test_two_runs_in_turns_are_as_two_in_a_row(rich: Rich) -> None:
    alone = trace(rich.start(), rich.on)
    run, other = rich.start(), rich.start(seed=6)
    shown: list[Any] = []
    for epoch in (1, 2, 3):
        shown += trace(run, rich.on, 1, epoch)[:2]
        other.train_epoch(epoch)
    assert shown == alone[:-1]


def test_seed_and_fold_decide_weights_order_and_masks(start: Start) -> None:
    folded = problem("classification", validation=Folds(folds=2))
    runs = [start(config(dropout=0.5), folded, fold, seed) for fold, seed in ((0, 1), (1, 1), (0, 2))]
    weights = [next(run.module().parameters()).tolist() for run in runs]
    assert weights[0] != weights[1]
    assert weights[0] != weights[2]


@pytest.mark.parametrize("options", OPTIMISER_OPTIONS, ids=label)
def test_a_resumed_run_equals_an_uninterrupted_one(rich: Rich, options: dict[str, Any]) -> None:
    settings = {"optimizer": options, "lr": 0.01}
    whole = trace(rich.start(**settings), rich.on, epochs=4)

    run = rich.start(**settings)
    trace(run, rich.on, epochs=2)
    buffer = io.BytesIO()
    torch.save(run.state(), buffer)
    trace(run, rich.on, epochs=1, first=3)  # what was saved must not follow the run
    buffer.seek(0)
    resumed = rich.start(**settings)
    resumed.load_state(torch.load(buffer, weights_only=True))
    assert trace(resumed, rich.on, epochs=2, first=3) == whole[4:]


@pytest.mark.parametrize("batch_size", [1, 16])
@pytest.mark.parametrize("options", OPTIMISER_OPTIONS, ids=label)
def test_a_rate_that_decays_is_one_smaller_rate_after_the_other(
    start: Start, classes: Problem, options: dict[str, Any], batch_size: int
) -> None:
    settings: dict[str, Any] = {"optimizer": options, "batch_size": batch_size}
    run = start(config(**settings, lr=0.008, lr_decay=0.5), classes)
    shown = [run.train_epoch(epoch).scores for epoch in (1, 2, 3)]
    state = None
    for epoch, lr in enumerate((0.008, 0.004, 0.002), start=1):
        other = start(config(**settings, lr=lr), classes)
        if state is not None:
            other.load_state(state)
        assert other.train_epoch(epoch).scores == shown[epoch - 1]
        state = other.state()
    for mine, theirs in zip(tensors(run.state()), tensors(state), strict=True):
        assert torch.equal(mine, theirs)


def test_a_state_is_a_copy_both_ways(start: Start, classes: Problem) -> None:
    trial = config(optimizer={"name": "adam"}, batch_norm=True)
    run = start(trial, classes)
    run.train_epoch(1)
    state = run.state()
    kept = copy.deepcopy(state)
    run.train_epoch(2)
    other = start(trial, classes)
    other.load_state(state)
    other.train_epoch(2)
    for mine, theirs in zip(tensors(state), tensors(kept), strict=True):
        assert torch.equal(mine, theirs)


def tensors(tree: Any) -> list[torch.Tensor]:
    if isinstance(tree, dict):
        return [tensor for value in tree.values() for tensor in tensors(value)]
    return [tree] if isinstance(tree, torch.Tensor) else []


def test_a_state_from_before_the_first_step_loads(start: Start, classes: Problem) -> None:
    trial = config(optimizer={"name": "rmsprop", "momentum": 0.5}, lr=0.01)
    run, other = start(trial, classes), start(trial, classes)
    other.load_state(run.state())
    assert trace(other, classes, 1) == trace(run, classes, 1)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"name": "sgd", "momentum": 0.9}, {"name": "sgd", "momentum": 0.5}),
        ({"name": "sgd"}, {"name": "sgd", "momentum": 0.5}),
        ({"name": "rmsprop"}, {"name": "rmsprop", "momentum": 0.5}),
        ({"name": "sgd", "momentum": 0.9}, {"name": "adam"}),
        ({"name": "adam"}, {"name": "rmsprop"}),
    ],
    ids=str,
)
def test_a_state_goes_on_under_other_settings(
    start: Start, classes: Problem, before: dict[str, Any], after: dict[str, Any]
) -> None:
    run = start(config(optimizer=before, lr=0.01), classes)
    run.train_epoch(1)
    still, moving = (start(config(optimizer=after, lr=lr), classes) for lr in (1e-30, 0.01))
    for other in (still, moving):
        other.load_state(run.state())
        other.train_epoch(2)
    weights = [next(each.module().parameters()).tolist() for each in (run, still, moving)]
    assert weights[0] == weights[1], "the rate is the new run's"
    assert weights[0] != weights[2]


def test_the_module_shares_the_runs_weights(start: Start, classes: Problem) -> None:
    run = start(config(batch_norm=True), classes)
    module = run.module()
    before = copy.deepcopy(module.state_dict())
    run.train_epoch(1)
    assert not torch.equal(before["0.weight"], module.state_dict()["0.weight"])
    trained = validate(run, classes)
    module.load_state_dict(before)
    untrained = validate(run, classes)
    assert untrained != trained
    assert untrained == validate(start(config(batch_norm=True), classes), classes)


def test_weights_are_the_numbers_that_train(start: Start, classes: Problem) -> None:
    assert start(config(depth=0), classes).weights == 6 * 3 + 3
    assert start(config(widths=(4, 5), batch_norm=True), classes).weights == 6 * 4 + 8 + 4 * 5 + 10 + 6 * 3


def scaled(on: Problem, index: np.ndarray[Any, Any] | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    fold = on.folds[0]
    index = fold.train if index is None else index
    x, y = fold.inputs.apply(on.dataset.x[index]), fold.targets.apply(on.dataset.y[index])
    return torch.from_numpy(x), torch.from_numpy(y)


@pytest.mark.parametrize("batch_size", [1, 7, 32])
@pytest.mark.parametrize("n", [50, 9000])
def test_running_scores_weigh_each_sample_alike(start: Start, batch_size: int, n: int) -> None:
    if (n, batch_size) == (9000, 1):
        n = 4200  # still more than a chunk
    on = problem(data=dataset(n=n, test=0), test=0)
    run = start(config(batch_size=batch_size, lr=1e-30), on)
    x, y = scaled(on)
    logits = run.module()(x).detach()
    trained = run.train_epoch(1)
    assert trained.steps == math.ceil(len(y) / batch_size)
    assert trained.scores["accuracy"] == (logits.argmax(1) == y).sum().item() / len(y)
    assert trained.scores["loss"] == pytest.approx(F.cross_entropy(logits.double(), y).item(), rel=1e-6)


@pytest.mark.parametrize("loss", names.LOSS_NAMES)
def test_evaluation_is_the_mean_over_raw_samples(start: Start, classes: Problem, loss: str) -> None:
    run = start(config(loss=loss), classes)
    x, y = scaled(classes, classes.folds[0].validation)
    outputs = run.module().eval()(x).detach().double().numpy()
    rows, wanted = np.arange(len(y)), y.numpy()
    one_hot = np.eye(3)[wanted]
    away = np.abs(outputs - one_hot)
    margins = np.maximum(0, 1 - outputs[rows, wanted][:, None] + outputs) * (1 - one_hot)
    log_softmax = outputs - np.log(np.exp(outputs).sum(1, keepdims=True))
    by_hand = {
        "cross_entropy": -log_softmax[rows, wanted].mean(),
        "nll": -outputs[rows, wanted].mean(),
        "multi_margin": (margins.sum(1) / 3).mean(),
        "mse": (away**2).mean(),
        "mae": away.mean(),
        "smooth_l1": np.where(away < 1, away**2 / 2, away - 0.5).mean(),
    }
    scores = validate(run, classes)
    assert scores["loss"] == pytest.approx(by_hand[loss], rel=1e-5)
    assert scores["accuracy"] == (outputs.argmax(1) == wanted).mean()


@pytest.mark.parametrize("scale_target", [True, False])
def test_regression_scores_are_in_the_targets_own_unit(start: Start, scale_target: bool) -> None:
    on = problem("regression", scale_target=scale_target)
    run = start(config(loss="mae", lr=0.01), on)
    run.train_epoch(1)
    fold, data = on.folds[0], on.dataset
    x, y = scaled(on, fold.validation)
    outputs = run.module().eval()(x).detach().numpy()
    predicted, wanted = fold.targets.invert(outputs), data.y[fold.validation]
    scores = validate(run, on)
    assert scores["loss"] == pytest.approx(np.abs(outputs - y.numpy()).mean(), rel=1e-5)
    assert scores["rmse"] == pytest.approx(np.sqrt(((predicted - wanted) ** 2).mean()), rel=1e-4)
    assert scores["r2"] == pytest.approx(r2_score(wanted, predicted), abs=1e-5)
    assert tuple(scores) == SCORES["regression"]


def test_the_outcomes_of_an_evaluation_say_which_samples_are_right(
    start: Start, classes: Problem, shapes: Problem
) -> None:
    for on in (classes, shapes):
        run = start(config(), on)
        run.train_epoch(1)
        for index in (on.folds[0].validation, on.folds[0].train[::-3]):
            scores = run.evaluate(on.dataset.x, on.dataset.y, index)
            assert (run.outcomes.shape, run.outcomes.dtype) == (index.shape, np.bool_)
            assert run.outcomes.mean() == scores["accuracy"]
            x, _ = scaled(on, index)
            answers = run.module().eval()(x).argmax(dim=1).numpy()
            assert np.array_equal(run.outcomes, answers == on.dataset.y[index])


def test_the_outcomes_of_a_regression_are_errors_in_the_targets_own_unit(start: Start, curve: Problem) -> None:
    run, data, fold = start(config(loss="mse"), curve), curve.dataset, curve.folds[0]
    scores = validate(run, curve)
    assert run.outcomes.dtype == np.float32
    x, _ = scaled(curve, fold.validation)
    predicted = fold.targets.invert(run.module().eval()(x).detach().numpy())
    assert run.outcomes == pytest.approx(predicted - data.y[fold.validation], abs=1e-3)
    assert np.sqrt(np.square(run.outcomes).mean()) == pytest.approx(scores["rmse"], rel=1e-6)


def test_outcomes_of_nothing_or_of_what_is_not_finite_are_empty(start: Start, classes: Problem) -> None:
    run = start(config(), classes)
    run.evaluate(classes.dataset.x, classes.dataset.y, np.arange(0))
    assert run.outcomes.shape == (0,)
    with torch.no_grad():
        next(iter(run.module().parameters())).fill_(math.nan)
    validate(run, classes)
    assert run.outcomes.shape == (0,)


def test_evaluation_without_an_index_takes_all_samples(start: Start, classes: Problem) -> None:
    run, data = start(config(), classes), classes.dataset
    assert run.evaluate(data.x_test, data.y_test) == run.evaluate(data.x_test, data.y_test, np.arange(len(data.x_test)))


def test_evaluation_of_no_samples_is_nan(start: Start, classes: Problem) -> None:
    scores = start(config(), classes).evaluate(classes.dataset.x, classes.dataset.y, np.arange(0))
    assert all(math.isnan(score) for score in scores.values())


def test_evaluation_changes_nothing(rich: Rich) -> None:
    run, other = rich.start(), rich.start()
    run.train_epoch(1)
    other.train_epoch(1)
    assert validate(run, rich.on) == validate(run, rich.on)
    assert trace(run, rich.on, 1, 2) == trace(other, rich.on, 1, 2)


def test_each_steps_loss_is_kept_and_their_mean_is_the_epochs(rich: Rich) -> None:
    trained = rich.start(batch_size=16).train_epoch(1)
    assert trained.losses.dtype == np.float32
    assert len(trained.losses) == trained.steps == 12
    assert trained.losses.mean() == pytest.approx(trained.scores["loss"], rel=1e-5)


def test_the_loss_that_ended_a_diverged_epoch_is_kept(start: Start, classes: Problem) -> None:
    trained = start(config(lr=1e38), classes).train_epoch(1)
    assert len(trained.losses) == trained.steps
    assert math.isfinite(trained.losses[0])
    assert not np.isfinite(trained.losses).all()


TORCH: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "adamax": torch.optim.Adamax,
    "rmsprop": torch.optim.RMSprop,
}


@pytest.mark.parametrize("weight_decay", [0.0, 0.02])
@pytest.mark.parametrize("options", OPTIMISER_OPTIONS, ids=label)
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_run_trains_as_plain_pytorch_does(
    start: Start, task: Task, options: dict[str, Any], weight_decay: float
) -> None:
    on = problem(task)
    loss = {"classification": "cross_entropy", "regression": "mse"}[task]
    trial = config(
        optimizer=options, weight_decay=weight_decay, loss=loss, lr=0.01, batch_size=7, depth=2, activation="tanh"
    )
    run = start(trial, on)
    model = copy.deepcopy(run.module())
    keywords = {name: value for name, value in options.items() if name not in ("name", "beta1", "beta2")}
    if options["name"].startswith("adam"):
        keywords["betas"] = (options.get("beta1", 0.9), options.get("beta2", 0.999))
    optimiser = TORCH[options["name"]](
        model.parameters(), lr=0.01, weight_decay=weight_decay, foreach=False, **keywords
    )
    train_plainly(model, on, trial, optimiser, epochs=2)
    run.train_epoch(1)
    run.train_epoch(2)
    for (name, mine), theirs in zip(run.module().state_dict().items(), model.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")


def train_plainly(
    model: nn.Module, on: Problem, trial: TrialConfig, optimiser: torch.optim.Optimizer, epochs: int
) -> None:
    """Training written out as slow and plain as can be."""
    x, y = scaled(on)
    loss_of: nn.Module = nn.CrossEntropyLoss() if on.dataset.task == "classification" else nn.MSELoss()
    for epoch in range(1, epochs + 1):
        for batch in torch.from_numpy(epoch_order(len(y), 5, 0, epoch)).split(trial.batch_size):
            optimiser.zero_grad()
            loss_of(model(x[batch]), y[batch]).backward()
            optimiser.step()


@pytest.mark.parametrize(("weight_decay", "l1"), [(0.0, 0.0), (0.1, 0.0), (0.0, 0.2), (0.1, 0.2)])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_penalties_join_the_gradient_of_one_step(
    start: Start, curve: Problem, optimizer: str, weight_decay: float, l1: float
) -> None:
    lr = 0.05
    trial = config(
        optimizer={"name": optimizer}, depth=0, loss="mse", lr=lr, batch_size=10_000, weight_decay=weight_decay, l1=l1
    )
    run = start(trial, curve)
    weight, bias = (tensor.detach().double().numpy() for tensor in run.module().parameters())
    x, y = (tensor.double().numpy() for tensor in scaled(curve))
    away = 2 * (x @ weight.T + bias - y) / y.size
    run.train_epoch(1)

    def stepped(value: Any, gradient: Any) -> Any:
        if optimizer == "adamw":
            return value * (1 - lr * weight_decay) - lr * gradient / (np.abs(gradient) + 1e-8)
        gradient = gradient + weight_decay * value
        return value - lr * (gradient if optimizer == "sgd" else gradient / (np.abs(gradient) + 1e-8))

    new_weight, new_bias = (tensor.detach().numpy() for tensor in run.module().parameters())
    np.testing.assert_allclose(new_weight, stepped(weight, away.T @ x + l1 * np.sign(weight)), atol=1e-5)
    np.testing.assert_allclose(new_bias, stepped(bias, away.sum(axis=0)), atol=1e-5)


def test_l1_leaves_batch_norm_alone(start: Start, classes: Problem) -> None:
    # At a rate where nothing but the penalty could be seen: a whole batch, one step.
    runs = [start(config(batch_norm=True, l1=l1, batch_size=10_000), classes) for l1 in (0.0, 10.0)]
    for run in runs:
        run.train_epoch(1)
    plain, penalised = (run.module().state_dict() for run in runs)
    changed = [name for name in plain if not torch.equal(plain[name], penalised[name])]
    assert changed == ["0.weight", "3.weight"]


def test_dropout_differs_from_epoch_to_epoch(start: Start, classes: Problem) -> None:
    # The same weights and, at one batch, the same samples: only the masks can differ.
    run = start(config(dropout=0.5, batch_size=10_000, lr=1e-30), classes)
    losses = [run.train_epoch(epoch).scores["loss"] for epoch in (1, 2, 1)]
    assert losses[0] == pytest.approx(losses[2], rel=1e-6)
    assert losses[0] != pytest.approx(losses[1], rel=1e-3)


def test_pictures_and_read_only_arrays_train(start: Start) -> None:
    data = dataset(n=40, test=0)
    pixels = (np.clip(data.x * 20 + 128, 0, 255)).astype(np.uint8)
    pixels.setflags(write=False)
    on = problem(data=type(data)("pixels", "classification", pixels, data.y, pixels[:0], data.y[:0], data.classes))
    assert math.isfinite(start(config(), on).train_epoch(1).scores["loss"])
