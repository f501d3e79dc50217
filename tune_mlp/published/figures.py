"""Takes figures from a run's tables, and writes a figure or the difference of two for people to read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd

from tune_mlp.errors import RunError, did_you_mean
from tune_mlp.published.experiments import is_share
from tune_mlp.records import Mode
from tune_mlp.results.state import RANKED
from tune_mlp.results.tables import rank

SLACK = 1e-9
"""The rounding error that is allowed for a figure exactly at its tolerance."""


class MissingRow(LookupError):
    """The table lacks a trial or an epoch. That is a fault of the claim, unless the run was scaled down."""


class Tables(Protocol):
    """The tables that figures are taken from: a `Results`, or another object with the same tables."""

    @property
    def trials(self) -> pd.DataFrame: ...
    @property
    def epochs(self) -> pd.DataFrame: ...
    @property
    def metric(self) -> str: ...
    @property
    def mode(self) -> Mode: ...


@dataclass(frozen=True)
class Measurement:
    """A number, with its standard deviation where it is the mean of several seeds."""

    number: float
    std: float = math.nan
    seeds: int = 0

    def shown(self, column: str) -> str:
        """Write the figure and the number of seeds that it is the mean of."""
        return f"{self.spread(column)} ({self.seeds} seeds)" if self._spreads else self.spread(column)

    def spread(self, column: str) -> str:
        """Write the figure, with its deviation where there is one."""
        if not self._spreads:
            return shown(column, self.number)
        if is_share(column):
            return f"{100 * self.number:.2f} ± {100 * self.std:.2f} %"
        return f"{shown(column, self.number)} ± {self.std:.2g}"

    @property
    def _spreads(self) -> bool:
        return self.seeds > 1 and not math.isnan(self.std)


def matching(results: Tables, where: Mapping[str, Any]) -> pd.DataFrame:
    """Return the trials with these parameters, best first. Trials that are not ranked come last."""
    trials = results.trials
    for column in where:
        check_column(trials, column)
    ranked = list(rank(trials, results.metric, results.mode)["trial"])
    numbers = [*ranked, *(number for number in trials["trial"] if number not in ranked)]
    by_number = trials.set_index("trial", drop=False)
    fits = [
        number
        for number in numbers
        if all(_same(by_number.at[number, column], wanted) for column, wanted in where.items())
    ]
    if not fits:
        raise MissingRow(f"no trial has {said(where)}" if where else "there are no trials")
    found: pd.DataFrame = by_number.loc[fits]
    return found


def _same(cell: Any, wanted: Any) -> bool:
    """Write a value as the table holds it: a list is JSON text, and a key may be a number written as text."""
    if wanted is None or pd.isna(cell):
        return wanted is None and bool(pd.isna(cell))
    if isinstance(cell, bool | np.bool_) or isinstance(wanted, bool):
        return str(cell).lower() == str(wanted).lower()
    if isinstance(cell, str):
        return cell == text_of(wanted)
    try:
        return math.isclose(float(cell), float(wanted), rel_tol=SLACK)
    except (TypeError, ValueError):
        return False


def text_of(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def said(where: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={text_of(wanted)}" for name, wanted in where.items()) or "the best trial"


def figure_of(results: Tables, where: Mapping[str, Any], column: str, epoch: int | None) -> Measurement:
    """Return the figure of the best trial with these parameters."""
    row = matching(results, where).iloc[0]
    found = figure(results, row, column, epoch)
    if math.isnan(found.number) and row["state"] in RANKED:
        raise RunError(f"{said(where)} has no {column}: it is empty for trial {row['trial']}")
    return found


def figure(results: Tables, row: pd.Series[Any], column: str, epoch: int | None) -> Measurement:
    """Return a trial's figure. It is NaN where the trial has none, for example because it diverged."""
    own = results.epochs[results.epochs["trial"] == row["trial"]]
    seeds = own["repeat"].nunique() if "repeat" in own.columns else 0
    if epoch is None:
        check_column(results.trials, column)
        return Measurement(_number(row[column], column), _number(row.get(f"{column}_std", math.nan), column), seeds)
    check_column(own, column)
    then = own[own["epoch"] == epoch]
    if then.empty:
        if row["state"] not in RANKED:
            return Measurement(math.nan)
        raise MissingRow(f"trial {row['trial']} has no epoch {epoch}: it ended after {row['epochs']}")
    std = float(then.groupby("repeat")[column].mean().std()) if seeds > 1 else math.nan
    return Measurement(float(then[column].mean(skipna=False)), std, seeds)


def _number(cell: Any, column: str) -> float:
    try:
        return math.nan if pd.isna(cell) else float(cell)
    except ValueError:
        raise RunError(f"{column} holds no numbers, got {cell!r}") from None


def check_column(table: pd.DataFrame, column: str) -> None:
    if column not in table.columns:
        raise RunError(f"the table has no column {column!r}{did_you_mean(column, map(str, table.columns))}")


def published_text(column: str, published: float | str) -> str:
    return published if isinstance(published, str) else shown(column, published)


def shown(column: str, number: float) -> str:
    """Write an accuracy as percent, and any other figure with four digits."""
    if not math.isfinite(number):
        return "not finite"
    if is_share(column):
        return f"{100 * number:.2f} %"
    return f"{number:,.0f}" if number.is_integer() and abs(number) < 1e12 else f"{number:.4g}"


def distance(column: str, number: float) -> str:
    """Write a difference; that of two accuracies is in percentage points."""
    if not math.isfinite(number):
        return "not finite"
    return f"{100 * number:.2f} points" if is_share(column) else f"{number:.3g}"


def signed(column: str, difference: float) -> str:
    if not math.isfinite(difference):
        return ""
    return f"{'−' if difference < 0 else '+'}{distance(column, abs(difference))}"
