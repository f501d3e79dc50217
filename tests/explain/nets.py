"""Nets that are trained in this process on small data, ready to be explained, and a run that was searched without Ray."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.builders import config, dataset, pictures, problem
from tests.in_process import InProcess
from tests.studies import study
from tune_mlp.console.board import Display
from tune_mlp.data.dataset import Problem
from tune_mlp.data_settings import DataSettings
from tune_mlp.explain.trained_again import Recipe, train_again
from tune_mlp.explain.trained_net import TrainedNet
from tune_mlp.models.average import together
from tune_mlp.prediction.fitted_model import FittedModel
from tune_mlp.results.results import Results
from tune_mlp.training.description import describe_model
from tune_mlp.training.threads import threads
from tune_mlp.tuning.run import Request, run_study


def trained(data: Problem, epochs: int = 15, nets: int = 1, **settings: Any) -> TrainedNet:
    """Return a net, or the average of several, that was trained by the eager engine."""
    asked = {
        "lr": 0.02,
        "batch_size": 8,
        "optimizer": {"name": "adam"},
        "activation": "relu",
        "depth": 1,
        "width": 16,
        **settings,
    }
    made = config(**asked)
    recipe = Recipe(made, data, "eager", 7, epochs, 1, pd.Series(dtype=float), nets)
    modules = [train_again(replace(recipe, seed=7 + net)).module for net in range(nets)]
    description = describe_model(made, data.dataset, data.folds[0], DataSettings(name="mnist"), nets)
    model = FittedModel(together(modules, made.loss).eval(), description)
    return TrainedNet(0, epochs, model, data.dataset, data.folds[0], recipe)


def shapes_net(**settings: Any) -> TrainedNet:
    """Return a net that learnt pictures of 8x8."""
    return trained(problem(data=pictures(), normalize="unit"), **settings)


def numbers_net(**settings: Any) -> TrainedNet:
    """Return a net that learnt two numbers from four inputs."""
    data = problem("regression", data=dataset("regression", features=4, outputs=2))
    return trained(data, **{"loss": "mse", **settings})


def searched(folder: Path, **settings: Any) -> Results:
    """Return a run that was searched in this process."""
    with pytest.MonkeyPatch.context() as patch, threads(1):
        InProcess().use(patch)
        asked = study(**{"engine": "eager", "epochs": 3, "trials": 3, **settings})
        run_study(asked, Request(out=folder, name="run"), Display())
    return Results.load(folder / "run")
