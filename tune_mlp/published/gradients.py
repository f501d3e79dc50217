"""The gradient check: compares the gradient behind an engine's step with central differences of the same loss."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from tune_mlp.config import ACTIVATION_NAMES, CLASSIFICATION_LOSSES, REGRESSION_LOSSES, TrialConfig, eager_only
from tune_mlp.data.dataset import Dataset, Problem
from tune_mlp.data.split import make_problem
from tune_mlp.data_settings import DataSettings
from tune_mlp.engines.base import Engine, FoldRun
from tune_mlp.engines.choose import ENGINES, engine
from tune_mlp.engines.eager.losses import LOSSES, loss_targets
from tune_mlp.records import Task

SAMPLES, PICTURE, OUTPUTS = 48, (6, 6), 3
"""The shape of the inputs: small pictures, which an MLP takes as rows of numbers."""
STEP = 1e-6
"""The step of the central differences, in double precision: their own error is below 1e-9."""
KINK = 1e-5
"""If two one-sided differences are further apart than this, the activation or the loss has a kink between them."""
PER_TENSOR = 12
LR = 1.0
"""The learning rate is a power of two, so that the change of the weights divided by it is exactly the step's gradient."""


@dataclass(frozen=True)
class Case:
    """One network and the data that it is trained on."""

    name: str
    task: Task
    settings: Mapping[str, Any]


CNN = {"name": "cnn", "channels": (3, 4), "kernel": 3, "pool": 2}
CASES = (
    Case("linear model", "classification", {"depth": 0}),
    *(Case(f"activation {name}", "classification", {"activation": name}) for name in ACTIVATION_NAMES),
    *(Case(f"loss {name}", "classification", {"loss": name}) for name in CLASSIFICATION_LOSSES),
    *(Case(f"loss {name} of values", "regression", {"loss": name}) for name in REGRESSION_LOSSES),
    Case("batch norm", "classification", {"batch_norm": True}),
    Case("batch norm of values", "regression", {"batch_norm": True, "loss": "mse"}),
    Case("convolutions", "classification", {"model": CNN}),
    Case("convolutions with batch norm", "classification", {"model": CNN, "batch_norm": True}),
)


def check_gradients(engines: Mapping[str, Engine] | None = None) -> pd.DataFrame:
    """Return one row for each engine, case and tensor: the largest absolute difference, and how many entries were compared."""
    engines = {name: engine(name) for name in ENGINES} if engines is None else engines
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # for nets as small as these, threads only wait for each other
    try:
        rows = [row for case in CASES for row in _rows(case, engines)]
    finally:
        torch.set_num_threads(threads)
    return pd.DataFrame(rows, columns=["engine", "case", "layer", "tensor", "difference", "compared", "skipped"])


def _rows(case: Case, engines: Mapping[str, Engine]) -> Iterator[tuple[str | float, ...]]:
    problem = _problem(case)
    settings = {"depth": 2, "width": 7, "activation": "tanh", "lr": LR, **case.settings}
    config = TrialConfig.model_validate({**settings, "batch_size": len(problem.folds[0].train)})
    for name, its_engine in engines.items():
        if name != "compiled" or not eager_only(config):
            run = its_engine.start(config, problem, fold=0, seed=1)
            for (layer, tensor), *found in _compare(run, config, problem):
                yield (name, case.name, layer, tensor, *found)


def _problem(case: Case) -> Problem:
    """Return a few samples. They depend on this function alone."""
    generator = np.random.default_rng(587)
    features = math.prod(PICTURE)
    x = generator.normal(0, 1, (SAMPLES, features)).astype(np.float32)
    signal = x @ generator.normal(0, 1 / math.sqrt(features), (features, OUTPUTS))
    classes = case.task == "classification"
    y = signal.argmax(1).astype(np.int64) if classes else np.tanh(signal).astype(np.float32)
    names = tuple(map(str, range(OUTPUTS))) if classes else ()
    dataset = Dataset("gradients", case.task, x, y, x[:0], y[:0], classes=names, shape=PICTURE)
    return make_problem(dataset, DataSettings(name="gradients", validation=0.25, test=0.0), seed=0)


def _compare(run: FoldRun, config: TrialConfig, problem: Problem) -> Iterator[tuple[tuple[str, str], float, int, int]]:
    """Return each tensor's layer and name, its largest difference, and how many entries were compared and skipped."""
    fold, dataset = problem.folds[0], problem.dataset
    # In training mode: batch norm's gradient is that of the batch's own statistics.
    model = copy.deepcopy(run.module()).double().train()
    x = torch.from_numpy(fold.inputs.apply(dataset.x[fold.train])).double()
    labels = torch.from_numpy(fold.targets.apply(dataset.y[fold.train]))
    targets = loss_targets(config.loss, labels, dataset.outputs)
    targets = targets.double() if targets.is_floating_point() else targets

    def loss() -> float:
        with torch.no_grad():
            return float(LOSSES[config.loss](model(x), targets))

    before = {name: tensor.detach().double() for name, tensor in run.module().named_parameters()}
    run.train_epoch(1)
    after = {name: tensor.detach().double() for name, tensor in run.module().named_parameters()}
    generator = np.random.default_rng(0)
    for name, parameter in model.named_parameters():
        gradient = (before[name] - after[name]) / LR
        worst, compared, skipped, here = 0.0, 0, 0, loss()
        count = parameter.numel()
        for place in generator.choice(count, min(PER_TENSOR, count), replace=False):
            index = tuple(int(i) for i in np.unravel_index(place, tuple(parameter.shape)))
            slope = _slope(loss, here, parameter.data, index)
            if slope is None:
                skipped += 1
                continue
            compared += 1
            difference = abs(float(gradient[index]) - slope)
            worst = max(worst, difference) if math.isfinite(difference) else math.inf
        yield (_layer(model, name), name), worst, compared, skipped


def _slope(loss: Callable[[], float], middle: float, weights: torch.Tensor, index: tuple[int, ...]) -> float | None:
    """Return the central difference at one weight, or None at a kink. `middle` is the loss with the weights unchanged."""
    weight = float(weights[index])
    weights[index] = weight + STEP
    ahead = loss()
    weights[index] = weight - STEP
    behind = loss()
    weights[index] = weight
    if abs((ahead - middle) - (middle - behind)) / STEP > KINK:
        return None
    return (ahead - behind) / (2 * STEP)


def _layer(model: nn.Module, tensor: str) -> str:
    """Name a tensor by its place in the model: `hidden weight`, `output bias`, `batch norm scale`."""
    place, _, kind = tensor.rpartition(".")
    owner = model.get_submodule(place)
    if isinstance(owner, nn.BatchNorm1d | nn.BatchNorm2d):
        return f"batch norm {'scale' if kind == 'weight' else 'shift'}"
    if isinstance(owner, nn.Conv2d):
        return f"convolution {kind}"
    last = [layer for layer in model.modules() if isinstance(layer, nn.Linear)][-1]
    return f"{'output' if owner is last else 'hidden'} {kind}"
