"""A trained net of a run, with the samples that it is explained on: those of the validation part."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tune_mlp.command_line import option
from tune_mlp.config import TrialConfig
from tune_mlp.data.dataset import Dataset, Fold, Problem
from tune_mlp.data.sources import calls_code, load_dataset
from tune_mlp.data.split import make_problem
from tune_mlp.errors import DataError, RunFolderError, UsageError, no_such_trial
from tune_mlp.explain.data_source import AS_THE_RUN_SAYS, DataSource
from tune_mlp.explain.trained_again import Recipe, recipe_of, train_again
from tune_mlp.models.average import Average
from tune_mlp.prediction.fitted_model import FittedModel
from tune_mlp.results.results import Results
from tune_mlp.runs.manifest import Manifest, check_same_data, check_same_study
from tune_mlp.study.study import Study
from tune_mlp.training.description import describe_model

TOGETHER = 512
"""The number of samples that go through a net together: the outputs of convolutions are many times their inputs."""


class Samples(NamedTuple):
    """Samples of the validation part."""

    raw: NDArray[Any]
    """[n, columns], as the dataset holds them."""
    inputs: NDArray[np.float32]
    """[n, inputs], as the net sees them."""
    wanted: NDArray[Any]
    """The number of each sample's class, int64 [n]; or the targets in their own units, float64 [n, outputs]."""
    places: NDArray[np.int64]
    """The number of each sample in the dataset."""


@dataclass(frozen=True, eq=False)
class TrainedNet:
    """A net of one trial, and what it was trained on."""

    trial: int
    epoch: int
    """The epoch that its weights are from."""
    model: FittedModel
    dataset: Dataset
    fold: Fold
    """The fold whose validation part explains the net."""
    recipe: Recipe
    """What trains this net again."""
    retrained: bool = False
    """True if it was trained again on the training and the validation samples together."""
    notes: tuple[str, ...] = field(default=())
    """What a reader must know of it."""

    @property
    def module(self) -> nn.Module:
        """The net itself, in evaluation mode; the average of several where the study asks for it."""
        return self.model.module

    @property
    def nets(self) -> list[nn.Sequential]:
        """The nets whose average answers; one where there is no average."""
        nets = list(self.module.nets) if isinstance(self.module, Average) else [self.module]
        return [net for net in nets if isinstance(net, nn.Sequential)]

    @property
    def config(self) -> TrialConfig:
        """The settings that the net was trained with."""
        return self.recipe.config

    @property
    def classes(self) -> list[str]:
        """The names of the classes; none for regression."""
        return [str(name) for name in self.model.classes_]

    @property
    def pictures(self) -> bool:
        """True if the samples are pictures."""
        return len(self.dataset.shape) in (2, 3)

    @cached_property
    def samples(self) -> Samples:
        """The samples of the validation part."""
        places = self.fold.validation
        raw, wanted = self.dataset.x[places], self.dataset.y[places]
        return Samples(
            raw,
            self.model.scaler.apply(raw),
            wanted if self.dataset.task == "classification" else wanted.astype(np.float64),
            places,
        )

    @cached_property
    def outputs(self) -> NDArray[np.float64]:
        """The net's outputs for the samples, [n, outputs]."""
        return outputs_of(self.module, self.samples.inputs)

    @cached_property
    def probabilities(self) -> NDArray[np.float64]:
        """The probability of each class for each sample, [n, classes]."""
        return self.model.probabilities(self.outputs)

    @cached_property
    def found(self) -> NDArray[Any]:
        """The number of the class that the net answers for each sample; or its answers in the targets' own units, [n, outputs]."""
        if self.dataset.task == "classification":
            classes: NDArray[np.int64] = self.outputs.argmax(axis=1)
            return classes
        return self.in_units(self.outputs)

    def in_units(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return outputs for numbers in the targets' own units, [n, outputs]."""
        answers: NDArray[np.float64] = np.asarray(self.model.answers(outputs), np.float64).reshape(len(outputs), -1)
        return answers


def outputs_of(module: nn.Module, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return a net's outputs for encoded samples, a few hundred at a time."""
    with torch.inference_mode():
        parts = [module(part).double().numpy() for part in torch.split(torch.from_numpy(inputs), TOGETHER)]
    found: NDArray[np.float64] = np.concatenate(parts)
    return found


def open_net(results: Results, trial: int | None = None, source: DataSource = AS_THE_RUN_SAYS) -> TrainedNet:
    """Return the winner's net from the run's folder `best/`, or that of another trial, which is then trained again."""
    saved: FittedModel | None = None
    if trial is None or (results.path / "best" / "trial.json").exists():
        saved = FittedModel.load(results.path / "best")
    if trial is None or (saved is not None and saved.description.get("trial") == trial):
        assert saved is not None
        return _winner(results, saved, source)
    _check_trained(results, trial)
    study, problem = load_problem(results, source)
    recipe = recipe_of(results, trial, study, problem)
    again = train_again(recipe)
    source.say(f"trial {trial} was trained again for this: {recipe.epochs} epochs, {again.seconds:.1f} s")
    fold = problem.folds[0]
    description = describe_model(recipe.config, problem.dataset, fold, study.data) | {"trial": trial}
    note = (
        f"The run keeps the winner's weights alone, so trial {trial} was trained again from its seed, {recipe.epochs} epochs "
        f"in {again.seconds:.1f} s: {again.compared}."
    )
    model = FittedModel(again.module, description)
    return TrainedNet(trial, recipe.epochs, model, problem.dataset, fold, recipe, notes=(note, *_folds(problem)))


def _winner(results: Results, saved: FittedModel, source: DataSource) -> TrainedNet:
    described = saved.description
    try:
        trial, epoch, retrained = int(described["trial"]), int(described["epoch"]), bool(described["retrained"])
    except (KeyError, TypeError, ValueError):
        raise RunFolderError(
            f"{results.path / 'best' / 'trial.json'}: doesn't say which trial and epoch it is of"
        ) from None
    if trial not in results.params:
        raise RunFolderError(f"{results.path / 'best' / 'trial.json'}: {no_such_trial(trial, results.params)}")
    study, problem = load_problem(results, source)
    recipe = recipe_of(results, trial, study, problem, retrained=retrained, nets=int(described.get("nets", 1)))
    notes: tuple[str, ...] = _folds(problem)
    if retrained:
        notes = (
            "This net was trained again on all samples, so it learnt from these validation samples, too: its mistakes are fewer "
            "than they would be on new ones.",
        )
    return TrainedNet(trial, epoch, saved, problem.dataset, problem.folds[0], recipe, retrained, notes)


def _folds(problem: Problem) -> tuple[str, ...]:
    count = len(problem.folds)
    return (f"Of {count} folds this is the first one's net, on its own validation part.",) if count > 1 else ()


def _check_trained(results: Results, trial: int) -> None:
    """Refuse a trial that the run doesn't have, or that has no net to explain."""
    if trial not in results.params:
        raise UsageError(no_such_trial(trial, results.params))
    if trial not in set(results.ranked["trial"]):
        states = dict(zip(results.trials["trial"], results.trials["state"], strict=True))
        state = states.get(trial, "running")
        raise UsageError(f"trial {trial}: is {state!s} and has no best epoch, so there is no net to explain")
    changes = results.changes
    if (changes["trial"] == trial).any():
        raise UsageError(
            f"trial {trial} can't be trained again: population-based training changed its settings on its way; "
            "the winner's net is in the run's folder"
        )


def load_problem(results: Results, source: DataSource) -> tuple[Study, Problem]:
    """Return a run's study, and its data, which must be those of the run; a function of a user is called only if it is named."""
    manifest = Manifest.load(results.path)
    check_same_study(manifest)
    study = Study.load(results.path / "study.yaml")
    if source.problem is not None:
        return study.bound(source.problem.dataset.task), source.problem
    for function in calls_code(study.data):
        if function not in source.functions:
            raise UsageError(
                f"{results.where}: its data come from {function}, which is code to run: if you trust it, add "
                f"{option('--dataset', function)}"
            )
    dataset = load_dataset(study.data, source.data_dir, None, say=source.say)
    if dataset.stand_in_for and not results.stand_in_for:
        raise DataError(
            f"{dataset.stand_in_for}, which the run learnt from, was not found and can't be downloaded: give --data-dir or set "
            "TUNE_MLP_DATA"
        )
    bound = study.bound(dataset.task)
    problem = make_problem(dataset, bound.data, bound.seed)
    check_same_data(manifest, problem.dataset)
    return bound, problem
