"""The target column of a table as classes or as numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune_mlp.data.arrays import LOST, as_float32, class_name, frozen, is_lost
from tune_mlp.data.kinds import Column, some
from tune_mlp.data.table_files import Where
from tune_mlp.errors import DataError, clipped

WHOLE_CLASSES = 20
"""The largest number of different whole numbers in a target that are taken for classes."""
MAX_CLASSES = 10_000
"""The largest number of classes: each has an output of its own."""


def are_classes(column: Column, different: int, task: str) -> bool:
    """Tell if a target of so many different values, of which none is missing, is learnt as classes."""
    if task != "auto" or column.kind != "number":
        return task != "regression"
    values = column.values
    return different <= min(WHOLE_CLASSES, len(values) / 2) and bool((values == np.rint(values)).all())


def to_targets(path: Where, column: Column, task: str) -> tuple[NDArray[Any], tuple[str, ...], str]:
    """Return the targets as an array, the names of the classes (none for regression), and the kind of target in words."""
    target, values, text = column.name, column.values, column.kind == "category"
    if column.kind in ("date", "time"):
        raise DataError(
            f"{path}: target {target!r} holds dates or times: give a number in their place, such as days, or set data.kinds"
        )
    if text and task == "regression":
        raise DataError(
            f"{path}: target {target!r} must hold numbers for regression, got text such as {clipped(values[0])!r}"
        )
    if not text and np.isinf(values).any():
        infinite = np.isinf(values)
        raise DataError(
            f"{path}: target {target!r} has {int(infinite.sum())} infinite value(s), the first in row"
            f" {int(infinite.argmax()) + 1}: give them or leave the rows out"
        )
    known = np.array(sorted(set(values)), dtype=object) if text else np.unique(values)
    if len(known) < 2:
        raise DataError(
            f"{path}: target {target!r} must have 2 different values at least, got {clipped(class_name(known[0]))!r} only"
        )
    if are_classes(column, len(known), task):
        if len(known) > min(len(values) / 2, MAX_CLASSES):
            raise DataError(
                f"{path}: target {target!r} has {len(known)} different values in {len(values)} rows: too many for classes"
            )
        names = ["False", "True"] if column.kind == "boolean" else [class_name(value) for value in known]
        if text:
            number = {value: place for place, value in enumerate(known)}
            indices = np.array([number[value] for value in values], dtype=np.int64)
        else:
            indices = np.searchsorted(known, values).astype(np.int64)
        return frozen(indices), tuple(names), f"{len(names)} classes ({some(names)})"
    numbers = as_float32(values)
    if not np.isfinite(numbers).all():
        raise DataError(
            f"{path}: target {target!r} has a value beyond float32 in row {int(np.isinf(numbers).argmax()) + 1}"
        )
    low, high = values.min(), values.max()
    with np.errstate(over="ignore"):
        if is_lost(high - low, np.abs(values - numbers).max()):
            raise DataError(f"{path}: target {target!r} runs from {low:.17g} to {high:.17g}: {LOST}")
    return frozen(numbers[:, None]), (), "regression"
