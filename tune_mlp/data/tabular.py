"""A table as a Dataset: a CSV or Parquet file whose columns are the inputs and the target."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tune_mlp.config import DataSettings
from tune_mlp.data.columns import Inputs, clean, some, to_targets
from tune_mlp.data.dataset import Dataset
from tune_mlp.data.delimited import MAX_TABLE_BYTES, read_csv
from tune_mlp.errors import DataError, did_you_mean, escaped, one_line
from tune_mlp.regular_files import open_regular

if TYPE_CHECKING:
    import pandas as pd

LEAST_ROWS = 10
SHOWN_NAMES = 20
"""The number of columns that are listed if the target isn't named."""


def load_csv(settings: DataSettings, base: Path | None) -> Dataset:
    """Load a CSV file."""
    return _load(settings, base, read_csv)


def load_parquet(settings: DataSettings, base: Path | None) -> Dataset:
    """Load a Parquet file."""
    return _load(settings, base, _read_parquet)


def find_file(name: str, base: Path | None) -> Path:
    """Return the file of `csv:FILE`, which is relative to the study file's folder or else to the working directory."""
    kind, _, file = name.partition(":")
    if not file:
        raise DataError(f"data.name: expected {kind}:FILE, got {name!r}")
    folders = list(dict.fromkeys([*([base.absolute()] if base else []), Path.cwd()]))
    paths = [folder / os.path.expanduser(file) for folder in folders]
    for path in paths:
        if os.path.isdir(path):
            raise DataError(f"{path}: expected a file, got a folder")
        if os.path.exists(path):  # Path.exists raises for some names
            return path
    raise DataError(f"{file}: no such file (looked in {', '.join(dict.fromkeys(str(path.parent) for path in paths))})")


def _read_parquet(path: Path) -> tuple[pd.DataFrame, str]:
    import pandas as pd

    try:
        file = open_regular(path, MAX_TABLE_BYTES)
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror or one_line(error)}") from error
    try:
        with file:
            frame = pd.read_parquet(file)
    except Exception as error:  # pyarrow's errors have no common base
        raise DataError(f"{path}: can't be read as Parquet: {one_line(error)}") from error
    named = [name for name in frame.index.names if name is not None]
    taken = Counter(map(str, [*named, *frame.columns]))
    if twice := [name for name in named if taken[str(name)] > 1]:
        raise DataError(
            f"{path}: the index has the name of a column, {str(twice[0])!r}: rename one of the two, or write the file"
            " with index=False"
        )
    frame = frame.reset_index(level=[i for i, name in enumerate(frame.index.names) if name is not None])
    frame.columns = pd.Index([clean(str(name)) for name in frame.columns])
    return frame, ""


def _load(settings: DataSettings, base: Path | None, read: Callable[[Path], tuple[pd.DataFrame, str]]) -> Dataset:
    """Load a table with `read`, which also returns the name of the separator, empty for a comma."""
    path = find_file(settings.name, base)
    frame, separated = read(path)
    names = [str(name) for name in frame.columns]
    if twice := [(name, count) for name, count in Counter(names).items() if name and count > 1]:
        raise DataError(f"{path}: column names must differ, got {twice[0][0]!r} {twice[0][1]} times")
    target = _target_name(path, names, settings.target, separated)
    notes: list[str] = []
    _check_target(path, target, frame[target])
    frame = _without_holes(path, frame, target, settings.missing, notes)
    if len(frame) < LEAST_ROWS:
        raise DataError(f"{path}: there must be {LEAST_ROWS} rows at least, got {len(frame)}{'; '.join(['', *notes])}")
    inputs = Inputs(path)
    for place, (name, column) in enumerate(frame.items()):
        if name != target:
            inputs.add(str(name), place, column)
    left_out = f"left out: {some(inputs.left_out)}" if inputs.left_out else ""
    if not inputs.columns:
        raise DataError(f"{path}: no input columns left beside {target!r}{left_out and f'; {left_out}'}")
    y, classes, said = to_targets(path, target, frame[target], settings.task)
    notes.insert(0, f"{len(frame)} rows{separated}; {inputs.describe()}; target {target!r}: {said}")
    if left_out:
        notes.append(left_out)
    x = inputs.as_array()
    return Dataset(
        name=settings.name,
        task="classification" if classes else "regression",
        x=x,
        y=y,
        x_test=x[:0],
        y_test=y[:0],
        classes=classes,
        features=tuple(inputs.names),
        notes=tuple(map(escaped, notes)),
    )


def _target_name(path: Path, names: list[str], target: str | None, separated: str) -> str:
    if not target:
        raise DataError(f"{path}: data.target must name the column to predict: {some(names, SHOWN_NAMES)}")
    if (cleaned := clean(target)) in names:
        return cleaned
    if len(names) == 1:
        rule = f"the first line holds one column, {names[0]!r}; separate columns by a comma, a semicolon, a tab or |"
        raise DataError(f"{path}: data.target: no column {target!r}: {rule}")
    hint = did_you_mean(cleaned, names) or f" (there are {some(names, SHOWN_NAMES)})"
    raise DataError(f"{path}: data.target: no column {target!r} in this table{separated}{hint}")


def _check_target(path: Path, target: str, column: pd.Series[Any]) -> None:
    """Refuse missing and infinite values: unlike an input, a target can't be filled."""
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
    """Return the table without missing values, or as it is if they are to be filled. Columns without any value are left out later."""
    holes = frame.isna().to_numpy()
    holes = holes & ~holes.all(axis=0)
    counts = {str(name): int(count) for name, count in zip(frame.columns, holes.sum(axis=0), strict=True) if count}
    if not counts or len(frame) == 0:
        return frame
    listed = some([f"{name} ({count})" for name, count in counts.items()])
    if missing == "refuse":
        raise DataError(f"{path}: values are missing in {listed}: set data.missing to fill or drop, or give them")
    if missing == "fill":
        notes.append(f"missing values filled: {listed}")
        return frame
    whole = np.flatnonzero(~holes.any(axis=1))
    notes.append(f"{len(frame) - len(whole)} row(s) with missing values dropped")
    return frame.iloc[whole]
