"""A user's arrays as a Dataset: shapes and types are checked, classes are numbered, and the arrays become read-only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune_mlp.data.dataset import Dataset
from tune_mlp.errors import DataError
from tune_mlp.records import Task

ROWS = 4096
"""The number of rows that are looked at together, so that a large array is never copied as a whole."""
LEAST_RANGE = 1e-30
"""The smallest range of a column. Columns are divided by their deviation, a part of their range, and float32 ends at 1e-38."""
WORST_ROUNDING = 1e-3
"""The largest rounding error, as a share of a column's range; a larger one changes what can be learnt from the column."""
LOST = "float32, which nets are trained in, can't hold these differences; subtract a constant and rescale it first"


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """Return the array contiguous and read-only."""
    array = np.ascontiguousarray(array)
    array.setflags(write=False)
    return array


def class_name(value: Any) -> str:
    """Return the name of a class as a person writes it: `1` for 1.0."""
    number = value.item() if isinstance(value, np.generic) else value
    return str(int(number)) if isinstance(number, float) and number.is_integer() else str(number)


def as_float32(values: NDArray[Any]) -> NDArray[np.float32]:
    """Return the numbers as float32; those beyond it become infinite, and the caller refuses them."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def is_lost(reach: Any, error: Any) -> Any:
    """Tell from a column's range and its largest rounding error if its differences are lost in float32."""
    return (reach > 0) & ((reach < LEAST_RANGE) | (error > WORST_ROUNDING * reach))


def lost_column(values: NDArray[Any]) -> int | None:
    """Return the index of the first column of [n, columns] whose differences are lost in float32, or None.

    They are lost if they are too small for float32 (1e-40), or small compared with the numbers (1e18 and 1e18 + 1). A column
    of a single value has no differences.
    """
    low, high = np.full((2, values.shape[1]), np.nan)
    error = np.zeros(values.shape[1])
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(values), ROWS):
            rows = values[start : start + ROWS].astype(np.float64)
            low, high = np.fmin(low, np.fmin.reduce(rows)), np.fmax(high, np.fmax.reduce(rows))
            error = np.fmax(error, np.fmax.reduce(np.abs(rows - rows.astype(np.float32))))
        lost = is_lost(high - low, error)
    return int(lost.argmax()) if lost.any() else None


def to_inputs(values: Any, where: str) -> tuple[NDArray[Any], tuple[int, ...]]:
    """Return inputs as [n, features], and the shape that a sample had if it wasn't flat."""
    array = np.asarray(values)
    if array.ndim < 2:
        raise DataError(f"{where}: inputs need 2 or more dimensions, samples first, got shape {array.shape}")
    if array.dtype.kind not in "buif":
        raise DataError(f"{where}: inputs must be numbers, got dtype {array.dtype}")
    if 0 in array.shape:
        raise DataError(f"{where}: inputs must not be empty, got shape {array.shape}")
    flat = array.reshape(len(array), -1)
    flat = flat.copy() if flat.dtype == np.uint8 else as_float32(flat)
    if flat.dtype == np.float32 and not np.isfinite(flat).all():
        row = int(np.flatnonzero(~np.isfinite(flat).all(axis=1))[0])
        raise DataError(f"{where}: inputs must be finite, got NaN or infinity in sample {row}")
    return frozen(flat), tuple(array.shape[1:]) if array.ndim > 2 else ()


def to_targets(values: Any, task: str, where: str) -> NDArray[Any]:
    """Return targets as an array of one type: names or numbers [n] for classes, float32 [n, outputs] for regression."""
    array = np.asarray(values)
    if array.dtype == object and all(isinstance(value, str) for value in array.ravel()):
        array = array.astype(str)
    if array.dtype.kind not in "buifU":
        raise DataError(f"{where}: targets must be numbers or text, got dtype {array.dtype}")
    if array.ndim == 0 or 0 in array.shape[1:]:
        raise DataError(f"{where}: targets need one value a sample, got shape {array.shape}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        row = int(np.flatnonzero(~np.isfinite(array.reshape(len(array), -1)).all(axis=1))[0])
        raise DataError(f"{where}: targets must be finite, got NaN or infinity in sample {row}")
    regression = task == "regression" or (task == "auto" and array.dtype.kind == "f")
    if regression and array.dtype.kind == "U":
        raise DataError(f"{where}: regression needs numbers as targets, got text such as {str(array.ravel()[0])!r}")
    if array.ndim > 2 or (array.ndim == 2 and array.shape[1] > 1 and not regression):
        raise DataError(f"{where}: targets need one value a sample, got shape {array.shape}")
    if not regression:
        return array.reshape(len(array))
    numbers = as_float32(array.reshape(len(array), -1))
    if not np.isfinite(numbers).all():
        row = int(np.flatnonzero(~np.isfinite(numbers).all(axis=1))[0])
        raise DataError(f"{where}: targets must fit into float32, got a larger number in sample {row}")
    return numbers


def _refuse_lost(values: NDArray[Any], what: str, where: str) -> None:
    """Refuse numbers to train on, samples first, whose differences are lost in float32."""
    columns = values.reshape(len(values), -1)
    if columns.dtype != np.uint8 and (lost := lost_column(columns)) is not None:
        low, high = np.nanmin(columns[:, lost]), np.nanmax(columns[:, lost])
        raise DataError(f"{where}: {what} {lost} runs from {low:.17g} to {high:.17g}: {LOST}")


def from_arrays(name: str, arrays: tuple[Any, ...], task: str, where: str) -> Dataset:
    """Make a Dataset from (x, y) or (x, y, x_test, y_test)."""
    arrays = tuple(map(np.asarray, arrays))
    x, shape = to_inputs(arrays[0], where)
    y = to_targets(arrays[1], task, where)
    _refuse_lost(arrays[0], "input", where)
    if y.ndim == 2:
        _refuse_lost(arrays[1], "target", where)
    if len(arrays) == 4:
        x_test, _ = to_inputs(arrays[2], f"{where}, test part")
        y_test = to_targets(arrays[3], task, f"{where}, test part")
        if x_test.shape[1] != x.shape[1] or x_test.dtype != x.dtype:
            raise DataError(
                f"{where}: both parts' inputs must be alike, got {x.shape[1]} {x.dtype} to train on"
                f" and {x_test.shape[1]} {x_test.dtype} to test on"
            )
        if y_test.dtype.kind != y.dtype.kind or y_test.shape[1:] != y.shape[1:]:
            raise DataError(f"{where}: both parts' targets must be alike, got {y.dtype} and {y_test.dtype}")
    else:
        x_test, y_test = x[:0], y[:0]
    for part, inputs, targets in (("", x, y), (", test part", x_test, y_test)):
        if len(inputs) != len(targets):
            raise DataError(
                f"{where}{part}: each sample needs a target, got {len(inputs)} inputs, {len(targets)} targets"
            )
    if y.ndim == 2:
        return Dataset(name, "regression", x, frozen(y), x_test, frozen(y_test), shape=shape)
    known = np.unique(y)
    if len(known) < 2:
        raise DataError(f"{where}: there must be 2 classes at least, got {[class_name(value) for value in known]}")
    new = np.setdiff1d(y_test, known)
    if len(new):
        raise DataError(f"{where}: the test part has class {class_name(new[0])!r}, which the training part hasn't")
    return Dataset(
        name,
        "classification",
        x,
        frozen(np.searchsorted(known, y).astype(np.int64)),
        x_test,
        frozen(np.searchsorted(known, y_test).astype(np.int64)),
        classes=tuple(class_name(value) for value in known),
        shape=shape,
    )


def check(dataset: Dataset, where: str) -> None:
    """Refuse a user's Dataset that isn't what the docstring of the class says."""
    kinds: dict[Task, tuple[Any, int]] = {"classification": (np.int64, 1), "regression": (np.float32, 2)}
    if dataset.task not in kinds:
        raise DataError(f"{where}: task must be classification or regression, got {dataset.task!r}")
    dtype, dims = kinds[dataset.task]
    input_types = (np.float64,) if dataset.columns else (np.uint8, np.float32)
    for part, x, y in (("", dataset.x, dataset.y), ("_test", dataset.x_test, dataset.y_test)):
        if x.ndim != 2 or x.dtype not in input_types or x.shape[1] != dataset.x.shape[1]:
            raise DataError(f"{where}: x{part} must be uint8 or float32 [n, features], got {x.dtype} {x.shape}")
        if y.ndim != dims or y.dtype != dtype or len(x) != len(y):
            raise DataError(
                f"{where}: y{part} must be {np.dtype(dtype)} with {dims} dimension(s) and {len(x)} long,"
                f" got {y.dtype} {y.shape}"
            )
        if x.dtype != np.uint8 and np.isinf(x).any():
            raise DataError(f"{where}: x{part} must be finite, or NaN for a missing value, got infinity")
        if not np.isfinite(y).all():
            raise DataError(f"{where}: y{part} must be finite, got NaN or infinity")
        if dataset.task == "classification" and len(y) and not 0 <= y.min() <= y.max() < len(dataset.classes):
            raise DataError(
                f"{where}: y{part} must index the {len(dataset.classes)} classes, got {y.min()} to {y.max()}"
            )
    if len(dataset.x) == 0 or dataset.x.shape[1] == 0:
        raise DataError(f"{where}: inputs must not be empty, got shape {dataset.x.shape}")
    if not dataset.columns:
        _refuse_lost(dataset.x, "input", where)
    if dataset.task == "regression":
        _refuse_lost(dataset.y, "target", where)
