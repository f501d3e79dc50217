"""Whole epochs of 48,000: a batch of 1 against 32, the validation pass, and two runs at once against one alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

from benchmarks.cells import NETS, Cell, engines, mlp, problem
from benchmarks.children import Child, Work
from benchmarks.machine import median, timed
from benchmarks.tables import Table, at_most
from tune_mlp.engines.base import FoldRun
from tune_mlp.engines.choose import engine

QUICK_SAMPLES = 6000


def best_engine() -> str:
    """Compiled where there is one."""
    return engines()[-1]


def samples(quick: bool) -> int | None:
    """Return how many samples of MNIST make an epoch; all of them by default."""
    return QUICK_SAMPLES if quick else None


def one_and_many(repeats: int, quick: bool) -> Table:
    """Time an epoch with a batch size of 1 and one with 32, and the validation pass of each."""
    its_problem = problem("mnist", samples(quick))
    fold, dataset = its_problem.folds[0], its_problem.dataset
    validation = fold.validation[: len(fold.train) // 4]
    name = best_engine()
    table = Table(
        f"Whole epochs of the {name} engine",
        [
            "net",
            "batch 1, us a sample",
            "batch 1, s",
            "batch 32, s",
            "1 / 32",
            "validation, s",
            "of an epoch at 1",
            "of an epoch at 32",
        ],
        notes=[
            f"Medians of {repeats} repetitions in turns; {len(fold.train):,} samples to train on and {len(validation):,} "
            "to validate, plain SGD, standardised."
        ],
    )
    for widths in NETS:
        runs = {batch: engine(name).start(mlp(widths, batch), its_problem, 0, seed=0) for batch in (1, 32)}
        trained: dict[int, list[float]] = {batch: [] for batch in runs}
        validated: list[float] = []
        for epoch in range(1, repeats + 2):  # the first isn't counted
            for batch, run in runs.items():
                trained[batch].append(timed(_epoch(run, epoch)))
                validated.append(timed(lambda run=run: run.evaluate(dataset.x, dataset.y, validation)))  # type: ignore[misc]
        one, many = (median(trained[batch][1:]) for batch in (1, 32))
        check = median(validated[2:])
        net = Cell("mnist", mlp(widths, 1)).net
        table.rows.append(
            [
                net,
                f"{one / len(fold.train) * 1e6:.2f}",
                f"{one:.3f}",
                f"{many:.3f}",
                f"{one / many:.2f}",
                f"{check:.4f}",
            ]
            + [f"{check / epoch_seconds:.1%}" for epoch_seconds in (one, many)]
        )
        if name == "compiled":
            table.targets.append(at_most(one / many, 1.5, f"{net}, an epoch at a batch of 1 over one at 32"))
            table.targets.append(at_most(check / one, 0.1, f"{net}, a validation pass over an epoch at a batch of 1"))
            table.targets.append(at_most(check / many, 0.1, f"{net}, a validation pass over an epoch at a batch of 32"))
    return table


def _epoch(run: FoldRun, number: int) -> Callable[[], None]:
    def work() -> None:
        assert math.isfinite(run.train_epoch(number).scores["loss"])

    return work


PAIRS = (((64,), 1), ((256, 256), 1), ((256, 256), 32))


def two_at_once(repeats: int, quick: bool) -> Table:
    """Two processes, a run each: the first alone, the second alone, then both."""
    name = best_engine()
    table = Table(
        "Two runs at once on two cores",
        ["net", "batch", "alone, s", "at once, s", "first", "second"],
        notes=[
            f"The {name} engine in two processes of one thread; medians of {repeats} repetitions of: the first alone, the "
            "second alone, both. `first` and `second` are each one's time at once over its time alone."
        ],
    )
    for widths, batch in PAIRS[:1] if quick else PAIRS:
        with Child(_epochs, name, widths, batch, quick) as first, Child(_epochs, name, widths, batch, quick) as second:
            alone: list[list[float]] = [[], []]
            both: list[list[float]] = [[], []]
            for _ in range(repeats):
                for i, child in enumerate((first, second)):
                    child.ask()
                    alone[i] += child.seconds()
                first.ask()
                second.ask()
                for i, child in enumerate((first, second)):
                    both[i] += child.seconds()
        ratios = [median(both[i]) / median(alone[i]) for i in range(2)]
        net = Cell("mnist", mlp(widths, batch)).net
        figures = [f"{median(times[0] + times[1]):.3f}" for times in (alone, both)]
        table.rows.append([net, str(batch), *figures, *(f"{ratio:.3f}" for ratio in ratios)])
        if name == "compiled":
            table.targets.append(at_most(max(ratios), 1.15, f"{net}, batch {batch}, at once over alone"))
    return table


def _epochs(name: str, widths: tuple[int, ...], batch: int, quick: bool) -> list[Work]:
    """Return the work of one child: so many epochs that both children run side by side for a while."""
    run = engine(name).start(mlp(widths, batch), problem("mnist", samples(quick)), 0, seed=0)
    numbers = itertools.count(1)
    timed(_epoch(run, next(numbers)))
    epochs = max(1, round(0.3 / timed(_epoch(run, next(numbers)))))
    return [lambda: [_epoch(run, next(numbers))() for _ in range(epochs)]]
