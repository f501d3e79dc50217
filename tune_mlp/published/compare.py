"""Compares a run's tables with published claims: each measure gives figures in words, and whether the claim is met."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd

from tune_mlp.errors import RunError
from tune_mlp.published.experiments import Claim, Falls, Gradients, Less, Order, Rows, Value
from tune_mlp.published.figures import (
    SLACK,
    Measurement,
    Tables,
    check_column,
    distance,
    figure,
    figure_of,
    matching,
    published_text,
    said,
    shown,
    signed,
    text_of,
)
from tune_mlp.results.state import RANKED


class Verdict(StrEnum):
    """The outcome of one claim."""

    MET = "met"
    MISSED = "missed"
    REPORTED = "reported"
    """The claim has no tolerance, so its figures are only shown."""
    SCALED_DOWN = "scaled down"
    """The experiment was run with --quick, in a smaller form than was published."""
    STAND_IN = "stand-in"
    """Another dataset stood in for the published one."""
    FAILED = "failed"
    """There is no figure, because the experiment or the measure ended with an error."""


@dataclass(frozen=True)
class Comparison:
    """One line of the table of claims, before its verdict."""

    claim: str
    published: str
    ours: str
    difference: str = ""
    allowed: str = ""
    """The tolerance as text."""
    met: bool | None = None
    """None where the claim has no tolerance."""
    published_number: float = math.nan
    our_number: float = math.nan


def verdict(finding: Comparison, *, quick: bool, stand_in: bool) -> Verdict:
    """Return the verdict. `quick` says that the experiment was scaled down. A claim is never met on data that stand in for the published ones."""
    if stand_in:
        return Verdict.STAND_IN
    if finding.met is None:
        return Verdict.REPORTED
    if quick:
        return Verdict.SCALED_DOWN
    return Verdict.MET if finding.met else Verdict.MISSED


def measure(claim: Claim, evidence: Any) -> list[Comparison]:
    """Measure a claim on the tables of its run or of its check."""
    return MEASURES[claim.measure](claim, getattr(claim, claim.measure), evidence)


def value(claim: Claim, how: Value, results: Tables) -> list[Comparison]:
    rows = matching(results, how.where)
    figures = [figure(results, row, how.column, how.epoch) for _, row in rows.iterrows()]
    picked = PICKS[how.pick](figures)
    if math.isnan(picked.number) and rows["state"].isin(RANKED).all():
        raise RunError(f"{said(how.where)} has no {how.column}: it is empty for trial {rows['trial'].iloc[0]}")
    met, allowed = _judged(claim, picked.number)
    return [replace(_line(claim.claim, how.column, picked, claim.published), met=met, allowed=allowed)]


PICKS: dict[str, Callable[[list[Measurement]], Measurement]] = {
    "best": lambda figures: figures[0],
    "max": lambda figures: max(_known(figures), key=lambda one: one.number),
    "min": lambda figures: min(_known(figures), key=lambda one: one.number),
    "mean": lambda figures: Measurement(float(np.mean([one.number for one in figures]))),
}
"""The ways to make one figure of several trials' figures, which are ordered from the best trial on."""


def _known(figures: list[Measurement]) -> list[Measurement]:
    return [one for one in figures if not math.isnan(one.number)] or figures[:1]


def rows(claim: Claim, how: Rows, results: Tables) -> list[Comparison]:
    found: list[Comparison] = []
    for key, line in how.values.items():
        ours = figure_of(results, {**how.where, how.by: key}, how.column, line.epoch)
        found.append(_line(f"{claim.claim}: {key}", how.column, ours, line.published))
    mean = float(np.mean([abs(line.our_number - line.published_number) for line in found]))
    met, allowed = _judged(claim, mean)
    label = f"{claim.claim}: mean absolute difference of {len(found)}"
    last = _line(label, how.column, Measurement(mean), claim.published)
    return [*found, replace(last, ours=distance(how.column, mean), difference="", met=met, allowed=allowed)]


def order(claim: Claim, how: Order, results: Tables) -> list[Comparison]:
    sign = 1 if how.best == "max" else -1
    groups = [
        [(text_of(name), figure_of(results, {**how.where, how.by: name}, how.column, how.epoch)) for name in group]
        for group in how.names
    ]
    pairs = [
        (ahead, behind)
        for i, group in enumerate(groups)
        for ahead in group
        for later in groups[i + 1 :]
        for behind in later
    ]
    wrong = sum(not sign * (ahead.number - behind.number) > SLACK for (_, ahead), (_, behind) in pairs)
    members = [one for group in groups for one in group]
    ours = sorted(members, key=lambda one: (math.isnan(one[1].number), -sign * one[1].number))
    above = " > " if how.best == "max" else " < "
    several = {one.shown(how.column).removeprefix(one.spread(how.column)) for _, one in ours}
    seeds = several.pop() if len(several) == 1 else ""
    words = above.join(", ".join(name for name, _ in group) for group in groups)
    return [
        Comparison(
            claim.claim,
            words if claim.published is None else published_text(how.column, claim.published),
            above.join(f"{name} {one.spread(how.column)}" for name, one in ours) + seeds,
            f"{wrong} of {len(pairs)} pairs the other way" if wrong else "",
            "the order",
            not wrong,
        )
    ]


def less(claim: Claim, how: Less, results: Tables) -> list[Comparison]:
    low, high = (figure_of(results, how.where, column, None) for column in (how.low, how.high))
    met = low.number < high.number - SLACK
    return [
        Comparison(
            claim.claim,
            f"{how.low} < {how.high}" if claim.published is None else published_text(how.low, claim.published),
            f"{how.low} {low.shown(how.low)}, {how.high} {high.shown(how.high)}",
            signed(how.low, low.number - high.number),
            "less",
            met,
        )
    ]


def falls(claim: Claim, how: Falls, results: Tables) -> list[Comparison]:
    steps: pd.DataFrame | None = getattr(results, "steps", None)
    if steps is None or steps.empty:
        raise RunError("the run has no losses of single steps")
    best = matching(results, {})["trial"].iloc[0]
    own = steps[steps["trial"] == best]
    if own.empty:
        raise RunError(f"there are no losses of single steps of trial {best}, the best")
    check_column(own, how.column)
    by_epoch = own.groupby("epoch")[how.column]
    figures = by_epoch.mean() if how.statistic == "mean" else by_epoch.std(ddof=0)
    first, last = float(figures.iloc[0]), float(figures.iloc[-1])
    epochs = f"epoch {figures.index[0]} to {figures.index[-1]}"
    published = f"its {how.statistic} falls" if claim.published is None else claim.published
    return [
        Comparison(
            claim.claim,
            published_text(how.column, published),
            f"{shown(how.column, first)} → {shown(how.column, last)} ({epochs})",
            signed(how.column, last - first),
            "falls",
            last < first - SLACK,
        )
    ]


def gradients(claim: Claim, how: Gradients, table: pd.DataFrame) -> list[Comparison]:
    worst = float(table["difference"].max(skipna=False))
    met, allowed = _judged(claim, worst)
    engines = " and ".join(dict.fromkeys(table["engine"]))
    compared, kinks = int(table["compared"].sum()), int(table["skipped"].sum())
    left_out = f", {kinks} at kinks left out" if kinks else ""
    return [
        Comparison(
            claim.claim,
            "" if claim.published is None else published_text("", claim.published),
            f"{worst:.1e} at worst ({engines}: {compared:,} compared{left_out})",
            allowed=allowed,
            met=met,
            published_number=claim.published if isinstance(claim.published, float) else math.nan,
            our_number=worst,
        )
    ]


# Any: each measure takes its own settings, as `Claim` pairs them, and what its experiment left.
MEASURES: dict[str, Callable[[Claim, Any, Any], list[Comparison]]] = {
    "value": value,
    "rows": rows,
    "order": order,
    "less": less,
    "falls": falls,
    "gradients": gradients,
}


def _line(label: str, column: str, figure: Measurement, published: float | str | None) -> Comparison:
    number = published if isinstance(published, float) else math.nan
    return Comparison(
        label,
        "" if published is None else published_text(column, published),
        figure.shown(column),
        signed(column, figure.number - number),
        published_number=number,
        our_number=figure.number,
    )


def _judged(claim: Claim, ours: float) -> tuple[bool | None, str]:
    """Return whether the claim's tolerance holds, and the tolerance in words."""
    published = claim.published if isinstance(claim.published, float) else math.nan
    rules: Sequence[tuple[float | None, float, str]] = (
        (claim.below, published - ours, "{} below"),
        (claim.above, ours - published, "{} above"),
        (claim.within, abs(ours - published), "± {}"),
        (claim.at_most, ours, "≤ {}"),
    )
    for tolerance, miss, words in rules:
        if tolerance is not None:
            amount = distance if claim.measure == "rows" or claim.at_most is None else shown
            return bool(miss <= tolerance + SLACK), words.format(amount(claim.column, tolerance))
    return None, ""
