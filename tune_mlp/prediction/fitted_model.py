"""The winner of a search as a model that answers for new samples: a table's rows, pictures or arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tune_mlp.data.encoder import TableEncoder
from tune_mlp.data.transforms import InputScaler, TargetScaler
from tune_mlp.engines.further_scores import probabilities
from tune_mlp.errors import DataError, RunFolderError, UsageError, one_line
from tune_mlp.prediction.table_rows import encode_rows
from tune_mlp.training.checkpoint import DESCRIPTION, build_described, load_description

if TYPE_CHECKING:
    import pandas as pd

TOGETHER = 8192
"""The number of samples that go through the net together."""


@dataclass(frozen=True, eq=False)
class FittedModel:
    """A trained net with all that its inputs and its outputs need; `predict` takes what the study learnt from."""

    module: nn.Module
    """The net as PyTorch, in evaluation mode; its inputs are scaled and encoded."""
    description: Mapping[str, Any]
    """The contents of `best/trial.json`."""

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Load the model in a run's folder `best/`."""
        path = Path(folder) / DESCRIPTION
        if not path.exists():
            raise RunFolderError(f"{path}: isn't there: the search has no winner, or hasn't ended; see tune-mlp resume")
        description = load_description(folder)
        model = cls(build_described(folder, description), description)
        try:
            model._check()
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise RunFolderError(f"{path}: can't be read: {one_line(error, 200)}") from error
        return model

    def _check(self) -> None:
        """Raise an error if the description doesn't hold together, now and not at the first prediction."""
        classes, outputs, inputs = (self.description[name] for name in ("classes", "outputs", "inputs"))
        if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
            raise ValueError("classes: must be a list of names")
        if classes and len(classes) != outputs:
            raise ValueError(f"classes: must be as many as the {outputs} outputs, got {len(classes)}")
        scaler, targets = self.scaler, self._targets
        if isinstance(scaler, TableEncoder):
            width = scaler.width
            scaler.apply(np.zeros((1, len(scaler.columns))))
        else:
            width = inputs
            scaler.apply(np.zeros((1, inputs), np.float32))
        if width != inputs:
            raise ValueError(f"normalize: must have {inputs} inputs, got {width}")
        if not classes and targets is None:
            raise ValueError("target: must have a mean and a std for regression")
        if targets is not None:
            targets.invert(np.zeros((1, outputs), np.float32))
        words, loss = self.description.get("na_values"), self.description["config"]["loss"]
        if not isinstance(loss, str) or not (words is None or all(isinstance(word, str) for word in words)):
            raise ValueError("config.loss and na_values must be text")

    @property
    def task(self) -> str:
        """`classification` or `regression`."""
        return "classification" if self.description["classes"] else "regression"

    @property
    def classes_(self) -> NDArray[Any]:
        """The names of the classes, in the order of the columns of `predict_proba`."""
        return np.array(self.description["classes"], dtype=object)

    @property
    def feature_names_in_(self) -> NDArray[Any]:
        """The columns that a table needs, in any order; empty if the model takes arrays."""
        encoder = self.scaler
        names = dict.fromkeys(column.source for column in encoder.columns) if isinstance(encoder, TableEncoder) else ()
        return np.array(list(names), dtype=object)

    @property
    def n_features_in_(self) -> int:
        """The number of columns that a table needs, or of numbers in a sample."""
        return len(self.feature_names_in_) or int(self.description["inputs"])

    @cached_property
    def scaler(self) -> TableEncoder | InputScaler:
        """What makes a net's inputs of raw samples, as it was fitted in training."""
        scaling = self.description["normalize"]
        if "columns" in scaling:
            return TableEncoder.from_description(scaling)
        fill = scaling["fill"]
        return InputScaler(
            np.asarray(scaling["scale"], np.float32),
            np.asarray(scaling["shift"], np.float32),
            None if fill is None else np.asarray(fill, np.float32),
            bool(scaling["per_sample"]),
        )

    @cached_property
    def _targets(self) -> TargetScaler | None:
        target = self.description["target"]
        if target is None:
            return None
        return TargetScaler(np.asarray(target["mean"], np.float32), np.asarray(target["std"], np.float32))

    def predict(self, samples: pd.DataFrame | NDArray[Any]) -> NDArray[Any]:
        """Return the class of each sample by its name, or numbers in the target's own unit."""
        return self.answers(self.outputs(self.inputs(samples)[0]))

    def answers(self, outputs: NDArray[np.float64]) -> NDArray[Any]:
        """Return what a net's outputs mean: the names of classes, or numbers in the target's own unit."""
        if self.task == "classification":
            return self.classes_[outputs.argmax(axis=1)] if len(outputs) else self.classes_[:0]
        return self._numbers(outputs)

    def predict_proba(self, samples: pd.DataFrame | NDArray[Any]) -> NDArray[np.float64]:
        """Return the probability of each class, [samples, classes], in the order of `classes_`."""
        if self.task != "classification":
            raise UsageError("the model answers with numbers: it has no classes, and so no probabilities")
        return self.probabilities(self.outputs(self.inputs(samples)[0]))

    def inputs(self, samples: pd.DataFrame | NDArray[Any]) -> tuple[NDArray[np.float32], list[str]]:
        """Return samples as the net sees them, and lines about them for a person."""
        scaler = self.scaler
        if isinstance(scaler, TableEncoder):
            import pandas as pd

            if not isinstance(samples, pd.DataFrame):
                raise DataError(f"the model takes a table with the columns {', '.join(self.feature_names_in_[:10])}")
            words = self.description.get("na_values")
            rows = encode_rows(samples, scaler, None if words is None else tuple(words))
            return rows.inputs, rows.notes()
        return scaler.apply(self._checked(np.asarray(samples))), []

    def _checked(self, samples: NDArray[Any]) -> NDArray[Any]:
        """Return arrays as rows of as many numbers as the model was trained with."""
        wanted = int(self.description["inputs"])
        shape = tuple(self.description.get("shape", ()))
        flat = samples.reshape(len(samples), -1) if samples.ndim > 1 else samples
        if flat.ndim != 2 or flat.shape[1] != wanted:
            each = f"{wanted} numbers" + (f" ({'x'.join(map(str, shape))})" if shape else "")
            raise DataError(f"each sample must have {each}, as in training, got an array of shape {samples.shape}")
        if flat.dtype.kind not in "buif":
            raise DataError(f"samples must be numbers, got dtype {flat.dtype}")
        if flat.dtype.kind == "f" and not np.isfinite(flat).all():
            raise DataError(f"samples must be finite, got {flat[~np.isfinite(flat)][0]}")
        return flat if flat.dtype == np.uint8 else flat.astype(np.float32)

    def outputs(self, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the net's outputs for encoded samples."""
        nothing = np.empty((0, int(self.description["outputs"])))
        with torch.inference_mode():
            parts = [
                self.module(torch.from_numpy(inputs[start : start + TOGETHER])).double().numpy()
                for start in range(0, len(inputs), TOGETHER)
            ]
        return np.concatenate([nothing, *parts])

    def probabilities(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return probabilities from a net's outputs, as the loss that it was trained with means them."""
        return probabilities(outputs, self.description["config"]["loss"])

    def _numbers(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        scaler = self._targets
        numbers = outputs if scaler is None else outputs * scaler.std.astype(np.float64) + scaler.mean
        return numbers[:, 0] if numbers.shape[1] == 1 else numbers
