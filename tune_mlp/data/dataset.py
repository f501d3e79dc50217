"""A dataset in memory, and a problem: a dataset that is split and scaled."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune_mlp.data.encoder import TableColumn, TableEncoder
from tune_mlp.data.transforms import InputScaler, TargetScaler
from tune_mlp.records import Task

Inputs = NDArray[np.uint8] | NDArray[np.float32] | NDArray[np.float64]
Targets = NDArray[np.int64] | NDArray[np.float32]
InputTransform = InputScaler | TableEncoder
"""What makes a net's inputs of a dataset's: its `apply` returns float32 [n, inputs]."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Read-only arrays and their description. Inputs are [n, features]: uint8 for pictures, else float32 with NaN for missing values.

    A table's inputs are raw values, float64 [n, columns], that each fold's `TableEncoder` encodes.

    Targets are int64 [n] for classes and float32 [n, outputs] for regression. Where a source has no test part of its
    own, `x_test` and `y_test` are empty until `hold_out_test` separates one.
    """

    name: str
    task: Task
    x: Inputs
    y: Targets
    x_test: Inputs
    y_test: Targets
    classes: tuple[str, ...] = ()
    """The names of the classes by their number; empty for regression."""
    features: tuple[str, ...] = ()
    """The names of the inputs, if they have names."""
    columns: tuple[TableColumn, ...] = ()
    """The columns of a table's raw values; empty otherwise."""
    shape: tuple[int, ...] = ()
    """A picture's height and width (and channels); empty otherwise."""
    groups: NDArray[np.int64] | None = None
    """The number of each sample's group, if no group may be in two parts of a split."""
    times: NDArray[np.int64] | None = None
    """The rank of each sample in time, if earlier samples are to train and later ones to validate; equal times have one rank."""
    notes: tuple[str, ...] = field(default=())
    """Lines to show to the user, such as the inferred kinds of columns and filled values."""
    stand_in_for: str = ""
    """The dataset that was asked for, if this one stands in for it."""

    @property
    def outputs(self) -> int:
        """The number of units that a model's last layer needs."""
        return len(self.classes) if self.task == "classification" else int(self.y.shape[1])

    def part(self, rows: NDArray[np.int64]) -> Dataset:
        """Return the dataset with these of its samples to learn from."""
        groups = None if self.groups is None else self.groups[rows]
        times = None if self.times is None else self.times[rows]
        return replace(self, x=_frozen(self.x[rows]), y=_frozen(self.y[rows]), groups=groups, times=times)

    def fingerprint(self) -> str:
        """Return a checksum of all values; two datasets with the same checksum train in the same way."""
        digest = hashlib.blake2b(digest_size=16)
        keys = [key for key in (self.groups, self.times) if key is not None]
        for array in (self.x, self.y, self.x_test, self.y_test, *keys):
            digest.update(f"{array.dtype}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    array.setflags(write=False)
    return array


@dataclass(frozen=True, eq=False)
class Fold:
    """The indices of the samples that train and that validate, and the scaling that was fitted to those that train."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    inputs: InputTransform
    targets: TargetScaler


@dataclass(frozen=True, eq=False)
class Problem:
    """A dataset that is split and scaled, which engines train on. Each node has one copy, which its workers share."""

    dataset: Dataset
    folds: tuple[Fold, ...]

    def inputs(self, fold: int = 0) -> int:
        """Return the number of inputs of a fold's net. The folds of a table may differ, as rare categories do."""
        scaler = self.folds[fold].inputs
        return scaler.width if isinstance(scaler, TableEncoder) else int(self.dataset.x.shape[1])

    def features(self, fold: int = 0) -> tuple[str, ...]:
        """Return the names of these inputs, if they have names."""
        scaler = self.folds[fold].inputs
        return scaler.features if isinstance(scaler, TableEncoder) else self.dataset.features
