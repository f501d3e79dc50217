"""A trial's net is trained again in this process, from its own seed, and may be looked at after each epoch."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from torch import nn

from tune_mlp.config import TrialConfig
from tune_mlp.data.dataset import Problem
from tune_mlp.engines.choose import engine as engine_named
from tune_mlp.errors import RunError
from tune_mlp.models.build import build_model
from tune_mlp.results.results import Results
from tune_mlp.seeds import derive, net_seed
from tune_mlp.space.domains import as_value
from tune_mlp.space.space import to_config
from tune_mlp.study.study import Study
from tune_mlp.training.retrain import without_validation
from tune_mlp.training.threads import threads

Look = Callable[[int, nn.Module], None]
"""Looks at the net after an epoch; the net goes on to be trained, so what is to be kept must be copied."""


@dataclass(frozen=True, eq=False)
class Recipe:
    """All that decides the weights of one trial's net: the net of its first seed and its first fold."""

    config: TrialConfig
    problem: Problem
    engine: str
    seed: int
    epochs: int
    """The epoch whose weights are wanted."""
    threads: int
    recorded: pd.Series[float]
    """The training loss of each epoch that the run recorded, by epoch; empty where the net was trained on all samples."""
    nets: int = 1
    """The number of nets whose average answers."""


class TrainedAgain(NamedTuple):
    """A net that was trained again."""

    module: nn.Module
    seconds: float
    compared: str
    """What a comparison with the recorded training losses showed, in words."""


def recipe_of(
    results: Results, trial: int, study: Study, problem: Problem, retrained: bool = False, nets: int = 1
) -> Recipe:
    """Return what trains a trial's net again; one that was `retrained` learnt from all samples."""
    row = results.trials[results.trials["trial"] == trial].iloc[0]
    epochs = results.epochs[results.epochs["trial"] == trial]
    for name in ("fold", "repeat"):
        if name in epochs:
            epochs = epochs[epochs[name].fillna(0) == 0]
    recorded = epochs.set_index("epoch")["train_loss"]
    return Recipe(
        config=to_config({path: as_value(value) for path, value in results.params[trial].items()}),
        problem=without_validation(problem, study.data) if retrained else problem,
        engine=str(results.manifest["engine"]["name"]),
        seed=int(row["seed"]),
        epochs=int(row["best_epoch"]),
        threads=study.resources.threads,
        recorded=recorded.iloc[:0] if retrained else recorded,
        nets=nets,
    )


def initial_nets(recipe: Recipe) -> list[nn.Sequential]:
    """Return the nets as they were before their first step."""
    problem, config = recipe.problem, recipe.config
    dataset = problem.dataset
    return [
        build_model(
            problem.inputs(0), dataset.shape, dataset.outputs, config, derive(net_seed(recipe.seed, net), "weights", 0)
        )
        for net in range(recipe.nets)
    ]


def train_again(recipe: Recipe, look: Look | None = None, epochs: int | None = None) -> TrainedAgain:
    """Train the first net of a recipe again, and let `look` see it before its first epoch, as epoch 0, and after each one."""
    began = time.perf_counter()
    differs: int | None = None
    with threads(recipe.threads):  # as its worker did: what rounding comes to depends on it
        run = engine_named(recipe.engine).start(recipe.config, recipe.problem, 0, recipe.seed)
        if look is not None:
            look(0, run.module())
        for epoch in range(1, (epochs or recipe.epochs) + 1):
            loss = run.train_epoch(epoch).scores["loss"]
            if not np.isfinite(loss):
                raise RunError(f"the net diverged in epoch {epoch} when it was trained again")
            if look is not None:
                look(epoch, run.module())
            if differs is None and epoch in recipe.recorded.index and recipe.recorded[epoch] != loss:
                differs = epoch
        module = copy.deepcopy(run.module()).eval()
    compared = "every epoch's training loss is bit for bit what the run recorded"
    if differs is not None:
        compared = f"its training loss differs from what the run recorded from epoch {differs} on, so this is not quite its net"
    if recipe.recorded.empty:
        compared = "the run recorded nothing of this training to compare it with"
    return TrainedAgain(module, time.perf_counter() - began, compared)
