"""Tables: a CSV or Parquet file as a Dataset, its columns' kinds inferred, and said."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tune_mlp.config import DataSettings
from tune_mlp.data.arrays import as_float32, class_name, frozen
from tune_mlp.data.dataset import Dataset
from tune_mlp.data.delimited import MAX_TABLE_BYTES, read_csv
from tune_mlp.errors import DataError, did_you_mean, one_line
from tune_mlp.regular_files import open_regular

if TYPE_CHECKING:
    import pandas as pd

CATEGORIES = 50
"""Text with more different values than this is taken for names or free text, and refused."""
WHOLE_CLASSES = 20
"""A target of whole numbers with at most so many different values is taken for classes."""
LEAST_ROWS = 10
MISSING = "(missing)"
"""The category of missing text under `missing: fill`."""


@dataclass
class _Inputs:
    """The input columns so far, and what to tell of them."""

    names: list[str] = field(default_factory=list)
    columns: list[NDArray[np.float32]] = field(default_factory=list)
    numeric: int = 0
    texts: list[int] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def load_csv(settings: DataSettings, base: Path | None) -> Dataset:
    return _load(settings, base, read_csv)


def load_parquet(settings: DataSettings, base: Path | None) -> Dataset:
    return _load(settings, base, _read_parquet)


def find_file(name: str, base: Path | None) -> Path:
    """The file of `csv:FILE`, relative to the study file's folder or else to the working directory."""
    kind, _, file = name.partition(":")
    if not file:
        raise DataError(f"data.name: expected {kind}:FILE, got {name!r}")
    folders = list(dict.fromkeys([*([base.absolute()] if base else []), Path.cwd()]))
    paths = [folder / os.path.expanduser(file) for folder in folders]
    for path in paths:
        if os.path.isdir(path):
            raise DataError(f"{path}: expected a file, got a folder")
        if os.path.exists(path):  # unlike Path's, it takes any name
            return path
    raise DataError(f"{file}: no such file (looked in {', '.join(dict.fromkeys(str(path.parent) for path in paths))})")


def _read_parquet(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        file = open_regular(path, MAX_TABLE_BYTES)
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror or one_line(error)}") from error
    try:
        with file:
            frame = pd.read_parquet(file)
    except Exception as error:  # pyarrow's errors have many bases
        raise DataError(f"{path}: can't be read as Parquet: {one_line(error)}") from error
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    frame.columns = pd.Index([str(name) for name in frame.columns])
    return frame


def _load(settings: DataSettings, base: Path | None, read: Callable[[Path], pd.DataFrame]) -> Dataset:
    path = find_file(settings.name, base)
    frame = read(path)
    names = [str(name) for name in frame.columns]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise DataError(f"{path}: column names must differ, got {twice[0]!r} {names.count(twice[0])} times")
    target = _target_name(path, names, settings.target)
    notes: list[str] = []
    _check_target(path, target, frame[target])
    frame = _without_holes(path, frame, target, settings.missing, notes)
    if len(frame) < LEAST_ROWS:
        raise DataError(f"{path}: there must be {LEAST_ROWS} rows at least, got {len(frame)}{'; '.join(['', *notes])}")
    inputs = _Inputs()
    for place, name in enumerate(names):
        if name != target:
            _add(path, inputs, name, place, frame.iloc[:, place])
    if not inputs.columns:
        raise DataError(f"{path}: no input columns left beside {target!r}{_list('; left out: ', inputs.left_out)}")
    y, classes, said = _targets(path, target, frame[target], settings.task)
    kinds = [f"{inputs.numeric} numeric"] if inputs.numeric else []
    if inputs.texts:
        kinds.append(f"{len(inputs.texts)} text ({', '.join(map(str, inputs.texts))} values, one-hot)")
    notes.insert(0, f"{len(frame)} rows; {', '.join(kinds)}; target {target!r}: {said}")
    if inputs.left_out:
        notes.append(f"left out: {', '.join(inputs.left_out)}")
    x = frozen(np.column_stack(inputs.columns))
    return Dataset(
        name=settings.name,
        task="classification" if classes else "regression",
        x=x,
        y=y,
        x_test=x[:0],
        y_test=y[:0],
        classes=classes,
        features=tuple(inputs.names),
        notes=tuple(notes),
    )


def _target_name(path: Path, names: list[str], target: str | None) -> str:
    if not target:
        raise DataError(f"{path}: data.target must name the column to predict: {_some(names)}")
    if target not in names:
        hint = did_you_mean(target, names) or f" (there are {_some(names)})"
        raise DataError(f"{path}: data.target: no column {target!r}{hint}")
    return target


def _some(names: list[str], limit: int = 20) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def _list(lead: str, parts: list[str]) -> str:
    return f"{lead}{', '.join(parts)}" if parts else ""


def _check_target(path: Path, target: str, column: pd.Series[Any]) -> None:
    """No value may be missing or infinite: unlike an input, a target can't be filled."""
    bad = column.isna().to_numpy()
    word = "missing"
    if not bad.any() and column.dtype.kind == "f":
        bad, word = np.isinf(column.to_numpy(dtype=np.float64)), "infinite"
    if bad.any():
        raise DataError(
            f"{path}: target {target!r} has {int(bad.sum())} {word} value(s), the first in row {int(bad.argmax()) + 1}:"
            " give them or leave the rows out"
        )


def _without_holes(path: Path, frame: pd.DataFrame, target: str, missing: str, notes: list[str]) -> pd.DataFrame:
    """Holds the table to `data.missing`; a column without any value is no hole, it is left out later."""
    holes = frame.isna()
    holes.loc[:, holes.all().to_numpy()] = False
    counts = {str(name): int(count) for name, count in holes.sum().items() if count}
    if not counts or len(frame) == 0:
        return frame
    listed = _some([f"{name} ({count})" for name, count in counts.items()], 10)
    if missing == "refuse":
        raise DataError(f"{path}: values are missing in {listed}: set data.missing to fill or drop, or give them")
    if missing == "fill":
        notes.append(f"missing values filled: {listed}")
        return frame
    rows = holes.any(axis=1).to_numpy()
    notes.append(f"{int(rows.sum())} row(s) with missing values dropped")
    return frame[~rows]


def _add(path: Path, inputs: _Inputs, name: str, place: int, column: pd.Series[Any]) -> None:
    """One column's features: itself when it is numeric, one for each value when it is text."""
    label = name or f"column {place + 1}"
    values = _plain(path, label, column)
    if values.dtype != object:
        if not name and place == 0 and np.array_equal(values, np.arange(len(values))):
            inputs.left_out.append("the unnamed row numbers")  # as pandas' to_csv writes them
            return
        numbers = as_float32(values)
        if np.isinf(numbers).any():
            row = int(np.isinf(numbers).argmax()) + 1
            raise DataError(f"{path}: column {label!r} has an infinite value, or one beyond float32, in row {row}")
        known = numbers[~np.isnan(numbers)]
        if len(known) == 0 or known.min() == known.max():
            inputs.left_out.append(f"{'constant' if len(known) else 'empty'} column {label!r}")
            return
        inputs.names.append(label)
        inputs.columns.append(numbers)
        inputs.numeric += 1
        return
    texts = np.array([MISSING if value is None else value for value in values], dtype=object)
    different = sorted(set(texts))
    if len(different) == 1:
        inputs.left_out.append(f"constant column {label!r}")
        return
    _check_text(path, label, texts, different)
    inputs.texts.append(len(different))
    for value in different:
        inputs.names.append(f"{label}={value}")
        inputs.columns.append((texts == value).astype(np.float32))


def _check_text(path: Path, label: str, texts: NDArray[Any], different: list[str]) -> None:
    import pandas as pd

    present = [value for value in different if value != MISSING]
    numbers = pd.to_numeric(pd.Series(present, dtype=object), errors="coerce").notna().to_numpy()
    if numbers.sum() > 10 and numbers.mean() > 0.5:
        value = present[int((~numbers).argmax())]
        row = int((texts == value).argmax()) + 1
        raise DataError(
            f"{path}: column {label!r} holds numbers but for {value!r} in row {row}: leave a field empty where a value is"
            " missing"
        )
    if pd.Series(present).str.fullmatch(r"\d{4}[-/.]\d\d?[-/.]\d\d?([ T].*)?|\d\d?[-/.]\d\d?[-/.]\d{4}( .*)?").all():
        raise _dates(path, label)
    if len(different) > CATEGORIES:
        raise DataError(
            f"{path}: column {label!r} is text with {len(different)} different values, more than {CATEGORIES}:"
            " leave out identifiers and free text"
        )


def _dates(path: Path, label: str) -> DataError:
    return DataError(
        f"{path}: column {label!r} holds dates or times: give numbers in their place, such as days or hours"
    )


def _plain(path: Path, label: str, column: pd.Series[Any]) -> NDArray[Any]:
    """A column as float64 with NaN, or as an object array of str with None; nothing else is taken."""
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
        values[~holes] = [" ".join(value.split()) for value in present]  # one line, for notes and messages
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


def _targets(path: Path, target: str, column: pd.Series[Any], task: str) -> tuple[NDArray[Any], tuple[str, ...], str]:
    """The targets, the classes' names (none for regression), and both in words."""
    import pandas as pd

    truth = pd.api.types.is_bool_dtype(column.dtype)
    values = _plain(path, target, column)
    text = values.dtype == object
    if text and task == "regression":
        raise DataError(f"{path}: target {target!r} must hold numbers for regression, got text such as {values[0]!r}")
    known = np.array(sorted(set(values)), dtype=object) if text else np.unique(values)
    if len(known) < 2:
        raise DataError(
            f"{path}: target {target!r} must have 2 different values at least, got {class_name(known[0])!r} only"
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
        return frozen(indices), tuple(names), f"{len(names)} classes ({_some(names, 10)})"
    numbers = as_float32(values)
    if not np.isfinite(numbers).all():
        raise DataError(
            f"{path}: target {target!r} has a value beyond float32 in row {int(np.isinf(numbers).argmax()) + 1}"
        )
    return frozen(numbers[:, None]), (), "regression"
