"""Cells: one net with one batch size and optimiser each, trained by every contender in turns."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

import numpy as np
from rich.console import Console

from benchmarks.machine import Limits, median, timed
from benchmarks.peers import dataloader, sklearn_mlp
from benchmarks.tables import Table, at_least, figure
from tune_mlp.config import TrialConfig
from tune_mlp.data.dataset import Problem
from tune_mlp.data.sources import load_dataset
from tune_mlp.data.split import make_problem
from tune_mlp.data_settings import DataSettings, Head
from tune_mlp.engines.choose import ENGINES, engine

Epoch = Callable[[], float]
"""A function that trains one more epoch and returns its loss."""
STEPS = 1500
"""The number of steps of an epoch of MNIST in a cell, doubled at a batch size of 1: 0.2 to 1 s for the slower contenders."""
DIGITS_EPOCHS = 20
"""The number of epochs of digits that are timed together, since one takes milliseconds."""


@dataclass(frozen=True)
class Cell:
    """A net, a batch size and an optimiser that are trained."""

    data: Literal["mnist", "digits"]
    config: TrialConfig
    target: float | None = None
    """The factor by which the compiled engine should be faster than eager."""

    @property
    def net(self) -> str:
        """The net's layers in short: `784-64x5-10`."""
        inputs = {"mnist": 784, "digits": 64}[self.data]
        hidden = self.config.hidden
        same = len(set(hidden)) == 1 and len(hidden) > 2
        middle = f"{hidden[0]}x{len(hidden)}" if same else "-".join(map(str, hidden))
        return f"{inputs}-{middle}-10"

    @property
    def method(self) -> str:
        """The optimiser, and the settings that make a step slower."""
        config = self.config
        name = config.optimizer.name if not getattr(config.optimizer, "momentum", 0) else "momentum"
        return f"{name}, batch norm, dropout" if config.batch_norm else name

    @property
    def matrices(self) -> list[int]:
        """The number of weights in each layer's matrix."""
        widths = [{"mnist": 784, "digits": 64}[self.data], *self.config.hidden, 10]
        return [a * b for a, b in itertools.pairwise(widths)]


def mlp(widths: tuple[int, ...], batch_size: int, optimizer: Mapping[str, Any] | None = None) -> TrialConfig:
    """ReLU, cross entropy, and a rate at which no net here diverges."""
    rate = 0.001 if batch_size == 1 or (optimizer or {}).get("name") == "adam" else 0.01
    settings = {"widths": widths, "batch_size": batch_size, "lr": rate, "optimizer": optimizer or {"name": "sgd"}}
    return TrialConfig.model_validate(settings)


NETS: dict[tuple[int, ...], tuple[float | None, float]] = {
    (64,): (40, 2),
    (256,): (25, 1.5),
    (256, 256): (15, 1.5),
    (64,) * 5: (None, 2),
}
"""The hidden layers of the nets on MNIST, and the targets at a batch of 1 and of 16 and 32."""


def cells() -> list[Cell]:
    """Return all cells."""
    found = [
        Cell("mnist", mlp(widths, batch), alone if batch == 1 else together)
        for widths, (alone, together) in NETS.items()
        for batch in (1, 16, 32)
    ]
    for optimizer in ({"name": "sgd", "momentum": 0.9}, {"name": "adam"}):
        found += [Cell("mnist", mlp(widths, 32, optimizer), 1.5) for widths in NETS]
    for widths in ((64,), (128, 128)):
        config = mlp(widths, 128, {"name": "adam"}).model_copy(update={"batch_norm": True, "dropout": 0.3})
        found.append(Cell("digits", config, 5))
    return found


@cache
def problem(data: str, samples: int | None = None) -> Problem:
    """MNIST as 48,000 and 12,000, standardised, or digits as 1,500 and 297; `samples` of the training part."""
    if samples is not None:
        whole = problem(data)
        fold = whole.folds[0]
        count = min(samples, len(fold.train))
        train = np.sort(np.random.default_rng(0).choice(fold.train, count, replace=False))
        return Problem(whole.dataset, (replace(fold, train=train),))
    validation: float | Head = 0.2 if data == "mnist" else Head(head=1500)
    settings = DataSettings(name=data, validation=validation, test=0.0)
    return make_problem(load_dataset(settings), settings, seed=0)


def engines() -> list[str]:
    """Return the engines of this version, eager first."""
    return [name for name in ("eager", "compiled") if name in ENGINES]


def _of_engine(name: str, cell: Cell, problem: Problem) -> Epoch:
    run = engine(name).start(cell.config, problem, 0, seed=0)
    numbers = itertools.count(1)
    return lambda: run.train_epoch(next(numbers)).scores["loss"]


def _of_peer(make: Callable[..., Epoch], cell: Cell, problem: Problem) -> Epoch:
    fold, dataset = problem.folds[0], problem.dataset
    return make(fold.inputs.apply(dataset.x[fold.train]), dataset.y[fold.train], cell.config)


def contenders(cell: Cell, problem: Problem) -> dict[str, Epoch]:
    """Return all contenders that can train the cell, by name, in the order in which they take turns."""
    found = {name: _of_engine(name, cell, problem) for name in engines()}
    found["DataLoader"] = _of_peer(dataloader.make, cell, problem)
    if sklearn_mlp.can(cell.config):
        found["scikit-learn"] = _of_peer(sklearn_mlp.make, cell, problem)
    return found


def in_turns(work: Mapping[str, Epoch], repeats: int, epochs: int = 1) -> dict[str, list[float]]:
    """Return the seconds of an epoch in each repetition. The contenders take turns, after one epoch each that isn't counted."""

    def some(name: str) -> None:
        for _ in range(epochs):
            loss = work[name]()
            assert math.isfinite(loss), f"{name} diverged"

    seconds: dict[str, list[float]] = {name: [] for name in work}
    for name in work:
        some(name)
    for _ in range(repeats):
        for name in work:
            seconds[name].append(timed(lambda name=name: some(name)) / epochs)  # type: ignore[misc]
    return seconds


def measure(limits: Limits, repeats: int, quick: bool, console: Console) -> list[Table]:
    """Time the peers side by side, and compare the compiled engine's speed with the machine's limits."""
    names = [*engines(), "DataLoader", "scikit-learn"]
    peers = Table(
        "Microseconds a step, side by side",
        ["net", "batch", "optimiser", "samples", *(f"{name} us" for name in names)]
        + [f"eager / {name}" for name in names[1:]],
        notes=[
            f"Medians of {repeats} repetitions in turns, one thread each, in one process; a ratio above 1 is faster than "
            f"eager. `samples` is an epoch's length in that row, the same for all; digits rows time {DIGITS_EPOCHS} epochs at once.",
            "MNIST is standardised: beforehand for the peers, within the epoch for the engines. Cross entropy, ReLU.",
        ],
    )
    near = Table(
        "How near to the machine's limits",
        ["net", "batch", "optimiser", "us a step", "GFLOP/s", "of the multiply-add limit", "GB/s", "of its cache"],
        notes=[
            f"Measured in the same run, one core: {limits.fma_gflops:.0f} GFLOP/s multiply-add ({limits.blas_gflops:.0f} "
            f"from BLAS on square matrices), {limits.l2_gbs:.0f} GB/s read from L2, {limits.l3_gbs:.0f} GB/s from L3.",
            "Counted as if dense, 6 flops a weight and sample less the first layer's gradient by its inputs; bytes are "
            "the weights read forward, and read and written in the update with the optimiser's state. Pixels that are "
            "zero may be skipped, so a share can exceed 100%.",
        ],
    )
    for cell in cells():
        steps = STEPS // 5 if quick else STEPS
        samples = steps * max(2, cell.config.batch_size)
        its_problem = problem(cell.data, samples if cell.data == "mnist" else None)
        samples = len(its_problem.folds[0].train)
        epochs = 1 if cell.data == "mnist" else DIGITS_EPOCHS
        console.print(f"{cell.net}, batch {cell.config.batch_size}, {cell.method}", style="dim", highlight=False)
        seconds = in_turns(contenders(cell, its_problem), repeats, epochs)
        count = math.ceil(samples / cell.config.batch_size)
        us = {name: median(values) / count * 1e6 for name, values in seconds.items()}
        ratios = {name: us["eager"] / us[name] for name in us if name != "eager"}
        what = [cell.net, str(cell.config.batch_size), cell.method]
        peers.rows.append(
            [*what, f"{samples:,}"]
            + [figure(us[name]) if name in us else "" for name in names]
            + [figure(ratios[name]) if name in ratios else "" for name in names[1:]]
        )
        if "compiled" in us:
            near.rows.append([*what, *_shares(cell, us["compiled"] * 1e-6, limits)])
            if cell.target is not None:
                peers.targets.append(
                    at_least(ratios["compiled"], cell.target, ", batch ".join(what[:2]) + f", {what[2]}")
                )
    return [peers, near] if near.rows else [peers]


PASSES = {"sgd": 3, "momentum": 5, "adam": 7}
"""The number of times that a step reads or writes each weight, or a number that the optimiser keeps for it."""


def _shares(cell: Cell, seconds: float, limits: Limits) -> list[str]:
    weights = sum(cell.matrices)
    flops = cell.config.batch_size * (6 * weights - 2 * cell.matrices[0])
    passes = PASSES[cell.method.partition(",")[0]]
    held = 4 * weights * (1 + (passes - 3) // 2)
    level, gbs = ("L2", limits.l2_gbs) if held <= limits.l2_bytes else ("L3", limits.l3_gbs)
    reached, moved = flops / seconds / 1e9, 4 * weights * passes / seconds / 1e9
    return [
        figure(seconds * 1e6),
        figure(reached),
        f"{reached / limits.fma_gflops:.0%}",
        figure(moved),
        f"{moved / gbs:.1%} of {level}",
    ]
