"""Prints a plan: the forecast, where the time goes, and how many trials with how many threads are best."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tune_mlp.console.formatting import clock, count, described
from tune_mlp.planning.plan import Layout, Plan, fold_sizes
from tune_mlp.space.domains import Domain
from tune_mlp.space.space import Constant, to_config

ROWS = 6
"""The table shows this many batch sizes: those that take most of the time."""
AS_GOOD = 1.05
"""A layout whose speed is less than this factor above another is taken as equal, since so short a measurement can't tell."""


def show_plan(console: Console, plan: Plan) -> None:
    """Print the plan."""
    study, dataset = plan.study, plan.problem.dataset
    train, validation = fold_sizes(plan.problem)
    of = "all" if plan.measured == study.number_of_trials else f"{plan.measured} of the"
    console.print(
        Text(
            f"{study.name}: {dataset.name}, {train:,} to train on and {validation:,} to validate; {study.search.name} "
            f"search, {study.scheduler.name}, {plan.engine} engine"
        ),
        soft_wrap=True,
    )
    console.print(
        Text(
            f"measured {of} {count(study.number_of_trials, 'draw')} for a moment each, in {plan.calibration:.0f} s",
            "dim",
        )
    )
    console.print()
    for word, line in forecast_lines(plan):
        console.print(Text(f"{word:11}{line}", "bold" if word == "wall time" else ""), soft_wrap=True)
    console.print()
    console.print(batch_table(plan))
    for line in remarks(plan):
        console.print(Text(line), soft_wrap=True)
    if len(plan.layouts) > 1:
        console.print()
        console.print(layout_table(plan))
        console.print(Text(advice(plan.layouts), "bold"), soft_wrap=True)


def forecast_lines(plan: Plan) -> list[tuple[str, str]]:
    """Return the forecast: a word and a line for each part."""
    seconds, memory = plan.trials_seconds, plan.memory
    low, high = (float(np.percentile(seconds, part)) + plan.start + plan.end for part in (10, 90))
    between = f", in 8 of 10 simulations {clock(low)} to {clock(high)}" if high - low >= 1 else ""
    lines = [
        (
            "wall time",
            f"about {clock(plan.seconds)}{between}: start {clock(plan.start)}, trials {clock(float(np.mean(seconds)))} "
            f"with {plan.slots} at a time, end {clock(plan.end)}",
        ),
        ("epochs", _epochs(plan)),
    ]
    total = memory.worker * plan.slots + memory.others
    per = f"{plan.slots} x {size(memory.worker)} for the trials' processes"
    rest = "this command and Ray's own processes" if memory.here else "this command"
    data = f"; the data, {size(memory.data)}, are held once a node"
    lines.append(("memory", f"about {size(total)}: {per}, {size(memory.others)} for {rest}{data}"))
    lines.append(("disk", f"about {size(plan.disk[0])} while it runs, {size(plan.disk[1])} afterwards"))
    return lines


def _epochs(plan: Plan) -> str:
    study = plan.study
    most = study.number_of_trials * study.epochs
    said = f"about {plan.epochs:,.0f} of {most:,}"
    if study.scheduler.name not in ("fifo", "pbt"):
        said += f": {study.scheduler.name} ends the others early"
    if study.patience:
        said += f"; patience={study.patience} can only make it less, and isn't foreseen"
    if study.until.plateau:
        said += "; until=plateau can only make it less, and isn't foreseen"
    scale = study.number_of_trials / len(plan.draws)
    without = scale * float(np.mean([way.seconds for way in plan.ways]))
    if study.time_budget and without > study.time_budget:
        said = f"as many as fit: the time budget of {clock(study.time_budget)} ends the trials, which would take {clock(without)}"
    return said


@dataclass(frozen=True)
class _Batch:
    """The draws that have one batch size."""

    size: int
    draws: int
    updates: int
    epoch: float
    """The seconds of an epoch, on average."""
    share: float
    """The share of all training time."""


def by_batch(plan: Plan) -> list[_Batch]:
    """Return a row for each batch size that was drawn, the smallest first."""
    train, _ = fold_sizes(plan.problem)
    groups: dict[int, list[int]] = defaultdict(list)
    for number, params in enumerate(plan.draws):
        groups[to_config(params).batch_size].append(number)
    shares = plan.shares
    return [
        _Batch(
            size,
            len(numbers),
            updates(train, size),
            float(np.mean([plan.costs[i].epoch for i in numbers])),
            sum(shares[i] for i in numbers),
        )
        for size, numbers in sorted(groups.items())
    ]


def updates(samples: int, batch_size: int) -> int:
    """Return the number of steps in an epoch."""
    return math.ceil(samples / batch_size)


def batch_table(plan: Plan) -> Table:
    """Return a table of the training time by batch size."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for heading in ("batch_size", "draws", "updates an epoch", "seconds an epoch", "share of the training time"):
        table.add_column(heading, justify="right", no_wrap=True)
    rows = by_batch(plan)
    most = sorted(rows, key=lambda row: -row.share)[:ROWS]
    for row in rows:
        if row in most:
            cells = (f"{row.size:,}", str(row.draws), f"{row.updates:,}", f"{row.epoch:.2g}", f"{row.share:.0%}")
            table.add_row(*cells)
    return table


def remarks(plan: Plan) -> list[str]:
    """Return remarks on what may surprise: the smallest batch, the most costly draw, and draws that can't be trained."""
    found = [smallest_batch(plan)]
    shares = plan.shares
    top = max(range(len(shares)), key=lambda i: shares[i])
    found.append(f"The most costly draw is number {top}, {shares[top]:.0%} of the time: {described(plan.draws[top])}.")
    diverged = sum(cost.last_epoch == 1 for cost in plan.costs) - len(plan.failures)
    if diverged:
        found.append(f"{count(diverged, 'draw')} diverged within moments, and will cost next to nothing.")
    if plan.failures:
        number, why = plan.failures[0]
        found.append(f"{count(len(plan.failures), 'draw')} can't be trained; the first, {number}: {why}")
    if plan.study.search.learns:
        found.append(
            f"The draws of {plan.study.search.name} depend on results, so this plan takes random draws in their place."
        )
    if plan.study.scheduler.pbt:
        found.append("pbt changes settings while trials train; this plan takes the settings that trials begin with.")
    return found


def smallest_batch(plan: Plan) -> str:
    """Say what the smallest batch costs."""
    train, _ = fold_sizes(plan.problem)
    row = by_batch(plan)[0]
    said = f"batch_size {row.size} means {row.updates:,} updates an epoch: {row.draws} of the {count(len(plan.draws), 'draw')}"
    said += f", {row.share:.0%} of the training time."
    least = _least_batch(plan)
    if least is not None and least < row.size:
        said += f" The space allows {least}, {updates(train, least):,} updates; none of these draws has it."
    return said


def _least_batch(plan: Plan) -> int | None:
    found: list[int] = []
    for path, node in plan.study.parsed.walk():
        if path.split(".")[-1] == "batch_size" and isinstance(node, Constant | Domain):
            value = node.value if isinstance(node, Constant) else node.extremes()[0]
            if isinstance(value, int):
                found.append(value)
    return min(found, default=None)


def layout_table(plan: Plan) -> Table:
    """Return a table of the layouts: trials at once, threads of each, and their speed."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for heading in ("trials at once", "threads each", "work done in a second"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    for place, layout in enumerate(plan.layouts):
        note = "the study's" if place == 0 else ""
        table.add_row(str(layout.slots), str(layout.threads), f"{layout.speed:.2f}", note)
    return table


def advice(layouts: tuple[Layout, ...]) -> str:
    """Say which layout is best, and the options that ask for it."""
    own, best = layouts[0], max(layouts, key=lambda layout: layout.speed)
    if best.speed < AS_GOOD:
        alone = next(layout for layout in layouts if layout.slots == 1) if own.slots > 1 else None
        gain = f", {own.speed / alone.speed:.1f} times as fast as one alone" if alone else ""
        return f"Best as it is: {own.slots} at a time with {count(own.threads, 'thread')} each{gain}."
    options = f"--cpus {best.threads} --concurrent {best.slots}"
    return (
        f"Best: {best.slots} at a time with {count(best.threads, 'thread')} each ({options}), "
        f"{best.speed:.1f} times as fast as the study's own."
    )


def size(amount: float) -> str:
    """Write a size: `52 MiB`, `1.3 GiB`."""
    return (
        f"{amount / 2**30:.1f} GiB"
        if amount >= 2**30
        else f"{max(amount / 2**20, 0.1):.{0 if amount >= 2**20 else 1}f} MiB"
    )
