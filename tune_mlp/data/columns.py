"""The columns of a table as arrays: the kind of a column is inferred from its values, and what can't be used is refused."""

from __future__ import annotations

import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tune_mlp.data.arrays import LOST, as_float32, class_name, frozen, is_lost
from tune_mlp.errors import DataError, clipped

if TYPE_CHECKING:
    import pandas as pd

CATEGORIES = 50
"""The largest number of different values in a column of text; more are names or free text, and are refused."""
WHOLE_CLASSES = 20
"""The largest number of different whole numbers in a target that are taken for classes."""
MISSING = "(missing)"
"""The category of missing text with `missing: fill`."""
SHOWN = 10
"""The largest number of columns or classes that a message names."""
DATES = r"\d{4}[-/.]\d\d?[-/.]\d\d?([ T].*)?|\d\d?[-/.]\d\d?[-/.]\d{4}( .*)?"  # 2024-01-31 12:00 and 31.1.2024 12:00


def clean(text: str) -> str:
    """Return a name or a text value in one line, and in the form of Unicode in which texts that look equal are equal (NFC)."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def some(names: list[str], limit: int = SHOWN) -> str:
    """List the first names, and say how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(map(clipped, names[:limit])) + more


@dataclass
class Inputs:
    """The input columns that were added so far, and what a message says about them."""

    path: Path
    """The table's file, for errors."""
    names: list[str] = field(default_factory=list)
    """The features' names; a column of text has a feature for each of its values, `column=value`."""
    columns: list[NDArray[np.float32]] = field(default_factory=list)
    """The features' values."""
    numeric: int = 0
    """The number of columns that hold numbers."""
    texts: list[int] = field(default_factory=list)
    """The number of different values of each column of text."""
    left_out: list[str] = field(default_factory=list)
    """The columns that were left out and why, in words."""

    def add(self, name: str, place: int, column: pd.Series[Any]) -> None:
        """Add a column: as one feature if it holds numbers, as a feature for each of its values if it holds text."""
        label = name or f"column {place + 1}"
        values = plain_values(self.path, label, column)
        if values.dtype == object:
            self._add_text(label, values)
        elif not name and place == 0 and np.array_equal(values, np.arange(len(values))):
            self.left_out.append("the unnamed row numbers")  # pandas' to_csv writes them
        else:
            self._add_numbers(label, values)

    def _add_numbers(self, label: str, values: NDArray[Any]) -> None:
        numbers = as_float32(values)
        if np.isinf(numbers).any():
            row = int(np.isinf(numbers).argmax()) + 1
            raise DataError(f"{self.path}: column {label!r} has an infinite value, or one beyond float32, in row {row}")
        low, high = np.fmin.reduce(values), np.fmax.reduce(values)
        if not low < high:
            self.left_out.append(f"{'empty' if np.isnan(low) else 'constant'} column {label!r}")
            return
        _refuse_lost(self.path, f"column {label!r}", values, numbers)
        self.names.append(label)
        self.columns.append(numbers)
        self.numeric += 1

    def _add_text(self, label: str, values: NDArray[Any]) -> None:
        texts = np.array([MISSING if value is None else value for value in values], dtype=object)
        different = sorted(set(texts))
        if len(different) == 1:
            self.left_out.append(f"constant column {label!r}")
            return
        _check_text(self.path, label, texts, different)
        self.texts.append(len(different))
        for value in different:
            self.names.append(f"{label}={value}")
            self.columns.append((texts == value).astype(np.float32))

    def as_array(self) -> NDArray[Any]:
        """Return all features side by side, [rows, features]."""
        name, count = Counter(self.names).most_common(1)[0]
        if count > 1:  # a column of text `a` with the value `u` beside a column `a=u`
            raise DataError(f"{self.path}: {count} inputs would have the name {clipped(name)!r}: rename a column")
        return frozen(np.column_stack(self.columns))

    def describe(self) -> str:
        """Say how many columns of each kind there are."""
        kinds = [f"{self.numeric} numeric"] if self.numeric else []
        if self.texts:
            counts = some([str(count) for count in self.texts])
            kinds.append(f"{len(self.texts)} text ({counts} values, one-hot)")
        return ", ".join(kinds)


def _check_text(path: Path, label: str, texts: NDArray[Any], different: list[str]) -> None:
    """Refuse text that should be numbers, and text that is no category."""
    import pandas as pd

    present = [value for value in different if value != MISSING]
    numbers = pd.to_numeric(pd.Series(present, dtype=object), errors="coerce").notna().to_numpy()
    if numbers.sum() > 10 and numbers.mean() > 0.5:
        value = present[int((~numbers).argmax())]
        row = int((texts == value).argmax()) + 1
        raise DataError(
            f"{path}: column {label!r} holds numbers but for {clipped(value)!r} in row {row}: leave a field empty where a"
            " value is missing"
        )
    if pd.Series(present).str.fullmatch(DATES).all():
        raise _dates(path, label)
    if len(different) > CATEGORIES:
        raise DataError(
            f"{path}: column {label!r} is text with {len(different)} different values, more than {CATEGORIES}:"
            " leave out identifiers and free text"
        )


def _refuse_lost(path: Path, what: str, values: NDArray[np.float64], numbers: NDArray[np.float32]) -> None:
    low, high = np.fmin.reduce(values), np.fmax.reduce(values)
    with np.errstate(over="ignore"):
        if is_lost(high - low, np.fmax.reduce(np.abs(values - numbers))):
            raise DataError(f"{path}: {what} runs from {low:.17g} to {high:.17g}: {LOST}")


def _dates(path: Path, label: str) -> DataError:
    return DataError(
        f"{path}: column {label!r} holds dates or times: give numbers in their place, such as days or hours"
    )


def plain_values(path: Path, label: str, column: pd.Series[Any]) -> NDArray[Any]:
    """Return a column as float64 with NaN for missing values, or as an array of str with None; other types are refused."""
    import pandas as pd

    values: NDArray[Any]
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype) if not column.isna().any() else column.astype(object)
    if pd.api.types.is_datetime64_any_dtype(column.dtype) or pd.api.types.is_timedelta64_dtype(column.dtype):
        raise _dates(path, label)
    if pd.api.types.is_complex_dtype(column.dtype):
        raise DataError(f"{path}: column {label!r} holds complex numbers: give numbers, text or true/false")
    if pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype):
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return values
    holes = column.isna().to_numpy()
    values = column.to_numpy(dtype=object, copy=True)
    values[holes] = None
    present = values[~holes]
    if len(present) == 0:
        return np.full(len(values), np.nan)
    if all(isinstance(value, str) for value in present):
        values[~holes] = [clean(value) for value in present]
        return values
    try:  # true and false with gaps, decimals
        if any(isinstance(value, str | bytes) for value in present):
            raise TypeError
        return np.array([np.nan if value is None else float(value) for value in values])
    except OverflowError:
        raise DataError(f"{path}: column {label!r} has a value beyond float32") from None
    except (TypeError, ValueError):
        odd = next((value for value in present if not isinstance(value, str)), present[0])
        if type(odd).__name__ in ("date", "datetime", "time", "timedelta"):
            raise _dates(path, label) from None
        raise DataError(
            f"{path}: column {label!r} holds values of type {type(odd).__name__}: give numbers, text or true/false"
        ) from None


def to_targets(path: Path, target: str, column: pd.Series[Any], task: str) -> tuple[NDArray[Any], tuple[str, ...], str]:
    """Return the targets as an array, the names of the classes (none for regression), and the kind of target in words."""
    import pandas as pd

    truth = pd.api.types.is_bool_dtype(column.dtype)
    values = plain_values(path, target, column)
    text = values.dtype == object
    if text and task == "regression":
        raise DataError(
            f"{path}: target {target!r} must hold numbers for regression, got text such as {clipped(values[0])!r}"
        )
    known = np.array(sorted(set(values)), dtype=object) if text else np.unique(values)
    if len(known) < 2:
        raise DataError(
            f"{path}: target {target!r} must have 2 different values at least, got {clipped(class_name(known[0]))!r} only"
        )
    whole = not text and bool((values == np.rint(values)).all())
    few = text or truth or (whole and len(known) <= min(WHOLE_CLASSES, len(values) / 2))
    if task == "classification" or (task == "auto" and few):
        if len(known) > len(values) / 2:
            raise DataError(
                f"{path}: target {target!r} has {len(known)} different values in {len(values)} rows: too many for classes"
            )
        names = ["False", "True"] if truth else [class_name(value) for value in known]
        indices = np.searchsorted(known, values).astype(np.int64)
        return frozen(indices), tuple(names), f"{len(names)} classes ({some(names)})"
    numbers = as_float32(values)
    if not np.isfinite(numbers).all():
        raise DataError(
            f"{path}: target {target!r} has a value beyond float32 in row {int(np.isinf(numbers).argmax()) + 1}"
        )
    _refuse_lost(path, f"target {target!r}", values, numbers)
    return frozen(numbers[:, None]), (), "regression"
