"""A look at a table before anything is learnt from it: a row for each column, and the settings that the table asks for."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tune_mlp.data.date_parts import date_parts
from tune_mlp.data.kinds import Column, is_identifier
from tune_mlp.data.table import Table, read_table, target_name
from tune_mlp.data.table_files import Where
from tune_mlp.data.targets import are_classes
from tune_mlp.data_settings import DataSettings
from tune_mlp.errors import DataError, clipped, escaped

if TYPE_CHECKING:
    import pandas as pd

TARGET_NAMES = ("target", "label", "class", "y", "outcome", "response", "species", "diagnosis")
"""The names by which a target is recognised if none is given."""
COMMONEST = 3
"""The number of categories that are shown with their counts."""
NEARLY_NONE = 0.005
"""A column is warned of if, knowing it, no more than this share of the target is still unknown."""
LEAST_TO_TELL = 40
"""The smallest number of rows in which such a column is looked for."""
SKEWED = 50.0
"""A column reaches wildly far if its range is more than this many times the distance of its quartiles."""
LEAST_OF_A_CLASS = 10
"""The smallest class for which a stratified split is proposed."""


@dataclass
class ColumnProfile:
    """One column of a table."""

    name: str
    kind: str
    """number, boolean, category, date, time, or unusable."""
    missing: int
    distinct: int
    values: str
    """The range of numbers and dates, or the commonest categories with their counts."""
    encoded: str
    """What a net would see of it, in words."""
    warnings: list[str] = field(default_factory=list)


@dataclass
class TableProfile:
    """A table's columns, its target, and proposed settings of the data."""

    path: Where
    rows: int
    form: str
    columns: list[ColumnProfile]
    target: str
    why_target: str
    """How the target was chosen, in words."""
    classes: dict[str, int]
    """The number of rows of each class, largest first; empty for regression."""
    settings: dict[str, Any]
    """The settings under `data` with which the table can be learnt from as it is."""

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each column."""
        import pandas as pd

        rows = [
            {
                "column": escaped(column.name),
                "kind": column.kind,
                "missing": column.missing,
                "distinct": column.distinct,
                "values": escaped(column.values),
                "encoded": escaped(column.encoded),
                "warnings": escaped("; ".join(column.warnings)),
            }
            for column in self.columns
        ]
        names = ["column", "kind", "missing", "distinct", "values", "encoded", "warnings"]
        return pd.DataFrame(rows, columns=names)


def profile_table(settings: DataSettings, base: Path | None = None) -> TableProfile:
    """Look at a table's file. The target is guessed if the settings don't name one."""
    table = read_table(settings, base, settings.target)
    rows = len(next(iter(table.columns.values())).values) if table.columns else 0
    target, why = _target(table, settings)
    goal = table.columns.get(target)
    without_target = 0 if goal is None else int(goal.missing.sum())
    if goal is not None and without_target:  # these rows can't be learnt from
        there = np.flatnonzero(~goal.missing)
        table = replace(table, columns={name: column.part(there) for name, column in table.columns.items()})
        goal = table.columns[target]
    codes = {name: _codes(column) for name, column in table.columns.items()}
    columns = [
        _unusable(name, table.faults[name])
        if name in table.faults
        else _profile(table.columns[name], codes[name], name == target, settings)
        for name in table.names
        if name in table.columns or name in table.faults
    ]
    by_name = {column.name: column for column in columns}
    if table.row_numbers:
        by_name[table.row_numbers].encoded = "left out"
        by_name[table.row_numbers].warnings.append("row numbers")
    if target in by_name:
        by_name[target].missing += without_target
    _warn_of_twins(by_name, table, codes, target)
    classes: dict[str, int] = {}
    if goal is not None:
        classes = _classes(goal, codes[target], settings.task)
        _warn_of_tellers(by_name, table, codes, target, bool(classes))
    proposed = _proposed(settings, table, by_name, target, classes)
    return TableProfile(table.path, rows, table.form, columns, target, why, classes, proposed)


def _target(table: Table, settings: DataSettings) -> tuple[str, str]:
    if settings.target:
        return target_name(table.path, table.names, settings.target, table.form), "as given"
    if not table.names:
        raise DataError(f"{table.path}: the table has no columns")
    for name in table.names:
        if name.lower() in TARGET_NAMES:
            return name, "by its name; --target names another"
    return table.names[-1], "the last column; --target names another"


def _codes(column: Column) -> NDArray[np.int64]:
    """Return the values as numbers from 0 in the order in which they occur; -1 where they are missing."""
    import pandas as pd

    codes, _ = pd.factorize(column.values)
    found: NDArray[np.int64] = np.where(column.missing, -1, codes).astype(np.int64)
    return found


def _unusable(name: str, fault: str) -> ColumnProfile:
    return ColumnProfile(name, "unusable", 0, 0, "", "left out", [fault])


def _profile(column: Column, codes: NDArray[np.int64], is_target: bool, settings: DataSettings) -> ColumnProfile:
    distinct = int(codes.max(initial=-1)) + 1
    found = ColumnProfile(
        column.name,
        column.kind,
        int(column.missing.sum()),
        distinct,
        _values(column),
        "the target" if is_target else "",
    )
    if column.read_as:
        found.warnings.append(column.read_as)
    for word, count in column.words.most_common(COMMONEST):
        found.warnings.append(f"{word!r} is read as missing ({count} times)")
    if is_target:
        return found
    levels = distinct + bool(found.missing and column.kind == "category")
    if levels < 2:
        found.encoded = "left out"
        found.warnings.append("empty" if distinct == 0 else "constant")
    elif column.kind in ("date", "time"):
        parts = date_parts(column, settings.dates)
        found.encoded = ", ".join(parts) or "left out"
    elif column.kind == "category":
        if is_identifier(codes, distinct) and column.name not in settings.kinds:
            found.encoded = "left out"
            found.warnings.append("differs in nearly every row: an identifier or free text")
        else:
            found.encoded = f"{min(levels, settings.max_categories)} inputs, one for each category"
            if levels > settings.max_categories:
                found.warnings.append("its rarest categories share an input")
    else:
        found.encoded = "1 input"
        _warn_of_numbers(found, column)
    return found


def _warn_of_numbers(found: ColumnProfile, column: Column) -> None:
    values = column.values[~column.missing]
    if np.isinf(values).any():
        found.encoded = "left out"
        found.warnings.append("has an infinite value")
        return
    steps = np.diff(values[:10_000])
    if found.distinct == len(values) >= 20 and len(steps) and (steps == steps[0]).all():
        found.warnings.append("grows by the same step from row to row: an identifier or a row number")
    quarters = len(values) // 4, 3 * len(values) // 4
    first, third = np.partition(values, quarters)[list(quarters)]  # np.quantile takes many times as long for few rows
    if third > first and (values.max() - values.min()) > SKEWED * (third - first):
        found.warnings.append("a few values lie far from the others")


def _values(column: Column) -> str:
    values = column.values[~column.missing]
    if not len(values):
        return ""
    if column.kind == "category":
        counts = Counter(values.tolist()).most_common(COMMONEST)
        return ", ".join(f"{clipped(value, 30)} ({count})" for value, count in counts)
    if column.kind == "boolean":
        return f"true {int(values.sum())}, false {int(len(values) - values.sum())}"
    low, high = values.min(), values.max()
    if column.kind == "number":
        return f"{low:.6g} to {high:.6g}"
    if column.kind == "time":
        return f"{str(low)[11:16]} to {str(high)[11:16]}"
    return f"{str(low)[:10]} to {str(high)[:10]}"


def _warn_of_twins(
    columns: dict[str, ColumnProfile], table: Table, codes: dict[str, NDArray[np.int64]], target: str
) -> None:
    """Warn of a column that equals another one, or has the same categories under other names."""
    first: dict[bytes, str] = {}
    for name, column in table.columns.items():
        distinct = columns[name].distinct
        if distinct < 2 or (column.kind == "category" and distinct > len(column.values) / 2):
            continue
        same = codes[name] if column.kind in ("category", "boolean") else column.values
        twin = first.setdefault(same.tobytes(), name)
        if twin != name:
            what = "tells the target" if target in (name, twin) else f"tells the same as column {twin!r}"
            columns[name if name != target else twin].warnings.append(what)


def _classes(goal: Column, codes: NDArray[np.int64], task: str) -> dict[str, int]:
    """Return the number of rows of each class, largest first; nothing for regression."""
    values = goal.values[~goal.missing]
    distinct = int(codes.max(initial=-1)) + 1
    if goal.kind in ("date", "time") or not are_classes(replace(goal, values=values), distinct, task):
        return {}
    named = values if goal.kind == "category" else [f"{value:g}" for value in values]
    if goal.kind == "boolean":
        named = ["True" if value else "False" for value in values]
    return dict(Counter(map(str, named)).most_common())


def _warn_of_tellers(
    columns: dict[str, ColumnProfile], table: Table, codes: dict[str, NDArray[np.int64]], target: str, classes: bool
) -> None:
    """Warn of a column that tells the target nearly alone: it may not be known when the model is asked."""
    goal = table.columns[target]
    for name, column in table.columns.items():
        found = columns[name]
        if name == target or found.distinct < 2 or found.encoded == "left out":
            continue
        there = ~(goal.missing | column.missing)
        if there.sum() < LEAST_TO_TELL or any("tells the target" in warning for warning in found.warnings):
            continue
        values, wanted = column.values[there], goal.values[there] if not classes else codes[target][there]
        if column.kind in ("category", "boolean") or found.distinct <= len(values) / 5:
            tells = _category_tells(codes[name][there], wanted, classes)
        else:
            tells = _number_tells(values, wanted, classes)
        if tells:
            found.warnings.append("tells the target nearly alone: is it known beforehand?")


def _category_tells(groups: NDArray[np.int64], wanted: NDArray[Any], classes: bool) -> bool:
    """Tell if the target is nearly the same in all rows of each category."""
    import pandas as pd

    if len(np.unique(groups)) > len(groups) / 5:
        return False  # of categories with a few rows each, any target is told
    if classes:
        table = pd.crosstab(groups, wanted).to_numpy()
        wrong, blind = len(groups) - table.max(axis=1).sum(), len(groups) - table.sum(axis=0).max()
        return bool(wrong <= NEARLY_NONE * blind)
    if wanted.dtype.kind != "f":
        return False
    means = pd.Series(wanted).groupby(groups).transform("mean").to_numpy()
    return bool(np.square(wanted - means).mean() <= NEARLY_NONE * np.var(wanted))


def _number_tells(values: NDArray[Any], wanted: NDArray[Any], classes: bool) -> bool:
    """Tell if the target hardly changes from class to class, or grows or falls all along, in the order of the values."""
    if classes:
        in_order = wanted[np.lexsort((wanted, values))]
        changes, least = int((np.diff(in_order) != 0).sum()), len(np.unique(wanted)) - 1
        return changes <= least + NEARLY_NONE * len(wanted)
    if wanted.dtype.kind != "f" or values.dtype.kind != "f" or not np.isfinite(values).all():
        return False
    ranks = [np.argsort(np.argsort(part, kind="stable"), kind="stable") for part in (values, wanted)]
    return bool(abs(np.corrcoef(ranks[0], ranks[1])[0, 1]) > 1 - NEARLY_NONE)


def _proposed(
    settings: DataSettings, table: Table, columns: dict[str, ColumnProfile], target: str, classes: dict[str, int]
) -> dict[str, Any]:
    """Return settings with which the table can be learnt from as it is."""
    given = settings.model_dump(mode="json", exclude_unset=True, exclude={"name", "target"})
    proposed: dict[str, Any] = {"name": settings.name, "target": target, **given}
    bad = [name for name in table.names if name in table.faults and name != target]
    bad += [name for name, column in columns.items() if name != target and _is_no_input(column)]
    if bad:
        proposed["ignore"] = [*given.get("ignore", []), *dict.fromkeys(bad)]
    left_out = {*bad, target}
    kept = [column for name, column in columns.items() if name not in left_out]
    holes = columns[target].missing or any(column.missing for column in kept if column.encoded != "left out")
    if "missing" not in given and holes:
        proposed["missing"] = "fill"
    if "scale" not in given and any("far from the others" in warning for column in kept for warning in column.warnings):
        proposed["scale"] = "quantile"
    if classes and "stratify" not in given and min(classes.values()) >= LEAST_OF_A_CLASS:
        proposed["stratify"] = True
    return proposed


def _is_no_input(column: ColumnProfile) -> bool:
    if column.encoded == "left out":
        return not ({"constant", "empty", "row numbers"} & set(column.warnings))  # these are left out without a setting
    return any(said in warning for said in ("identifier", "tells the same as") for warning in column.warnings)
