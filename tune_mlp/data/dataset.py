"""Dataset: arrays in memory, read-only, with what is known of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tune_mlp.data.transforms import InputScaler, TargetScaler
from tune_mlp.records import Task

Inputs = NDArray[np.uint8] | NDArray[np.float32]
Targets = NDArray[np.int64] | NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Inputs of shape [n, features]: uint8 for pictures, float32 otherwise, NaN where a value is missing.

    Targets are int64 [n] for classes and float32 [n, outputs] for regression. Where a source has no test part of its
    own, `x_test` and `y_test` are empty until `split.hold_out_test` cuts one off.
    """

    name: str
    task: Task
    x: Inputs
    y: Targets
    x_test: Inputs
    y_test: Targets
    classes: tuple[str, ...] = ()
    """The classes' names by index; empty for regression."""
    features: tuple[str, ...] = ()
    """The columns' names, for tables."""
    shape: tuple[int, ...] = ()
    """A picture's height and width (and channels); empty otherwise."""
    notes: tuple[str, ...] = field(default=())
    """Lines to show a person: inferred column types, filled values."""
    stand_in_for: str = ""
    """The dataset that was asked for, when this one replaces it offline."""

    @property
    def outputs(self) -> int:
        """Units that a model's last layer needs."""
        return len(self.classes) if self.task == "classification" else int(self.y.shape[1])

    def fingerprint(self) -> str:
        """A checksum of all values: two datasets that train alike have the same one."""
        digest = hashlib.blake2b(digest_size=16)
        for array in (self.x, self.y, self.x_test, self.y_test):
            digest.update(f"{array.dtype}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Fold:
    """Which samples of `Dataset.x` train and which validate, and the scaling that was fitted to those that train."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    inputs: InputScaler
    targets: TargetScaler


@dataclass(frozen=True, eq=False)
class Problem:
    """A dataset, split and scaled: what an engine trains on. Held once a node, shared read-only by its workers."""

    dataset: Dataset
    folds: tuple[Fold, ...]
