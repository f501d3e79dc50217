"""Every searcher and scheduler over the tables of learning curves: what each has found, by wall time and by trained epochs."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import islice
from multiprocessing import get_context
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from threadpoolctl import threadpool_limits

from benchmarks.curves.curve_table import CurveTable
from benchmarks.curves.make import HERE
from benchmarks.curves.played import Played, play
from benchmarks.machine import ROOT
from benchmarks.search_figure import draw, regrets, spent
from benchmarks.tables import Table, Target
from tune_mlp.records import TrialState
from tune_mlp.results.journal import Drawn, Ended
from tune_mlp.runs.history import History
from tune_mlp.space.domains import Domain
from tune_mlp.space.parsing import parse_space
from tune_mlp.space.space import Constant
from tune_mlp.study.study import BoundStudy, Study
from tune_mlp.tuning.searchers import NumberedSearcher

SEEDS = 50
TRIALS = 200
WORKERS = (2, 16)
CLOSE = 0.001
"""A net this close to the table's best counts as found: 0.1 points."""
SHARES = (1 / 9, 1 / 3, 1.0)
"""The parts of the time and of the epochs of stop-only ASHA with random draws at which the methods are compared."""
FIGURES = ROOT / "docs"
BASE = "random + asha"
SCHEDULERS: dict[str, Any] = {
    "fifo": "fifo",
    "asha": "asha",
    "asha, factor 3": {"asha": {"reduction_factor": 3}},
    "promotion_asha": "promotion_asha",
    "promotion_asha, factor 2": {"promotion_asha": {"reduction_factor": 2}},
    "pasha": "pasha",
    "top_k": "top_k",
    "top_k after 3": {"top_k": {"after": 3}},
    "hyperband": "hyperband",
    "median": "median",
}
SEARCHERS = ("random", "qmc", "tpe")
"""The searchers that are played. For 200 draws a Gaussian process thinks longer than a whole search on MNIST takes, and CMA-ES
can't search choices: see `thinking`."""
THINKERS = (*SEARCHERS, "gp", "cmaes")
DEFAULT = "qmc + promotion_asha"
COMBINED = ("asha", "promotion_asha")
"""The schedulers that each searcher is combined with."""


@dataclass(frozen=True)
class Task:
    """A table of curves, and the space that is searched over it."""

    table: str
    space: Mapping[str, Any]
    held_out: bool = False
    """True if the task had no say in what became the default."""


RATE = {"log": [1e-4, 0.3]}
OPEN: dict[str, Any] = {
    "depth": {"int": [0, 3]},
    "loss": {"choice": ["cross_entropy", "mse"]},
    "activation": {"choice": ["relu", "tanh"]},
    "optimizer": {"choice": ["sgd", "adam"]},
}
TASKS = {
    "digits": Task(
        "digits", {"lr": RATE, "batch_size": {"choice": [1, 8, 32, 128]}, "width": {"choice": [16, 48, 128]}, **OPEN}
    ),
    "mnist": Task(
        "mnist",
        {"lr": {"log": [1e-4, 0.1]}, "batch_size": {"choice": [1, 16, 128]}, "width": {"choice": [32, 96]}, **OPEN},
    ),
    "cancer": Task(
        "cancer",
        {"lr": RATE, "batch_size": {"choice": [1, 8, 32, 128]}, "width": {"choice": [8, 32, 96]}, **OPEN},
        held_out=True,
    ),
    "digits, SGD alone": Task(
        "digits",
        {
            "lr": RATE,
            "batch_size": {"choice": [8, 32, 128]},
            "depth": {"int": [1, 3]},
            "width": {"choice": [16, 48, 128]},
            "activation": {"choice": ["relu", "tanh"]},
            "loss": "mse",
            "optimizer": "sgd",
        },
        held_out=True,
    ),
}


def methods() -> dict[str, tuple[Any, Any]]:
    """Return the searcher and the scheduler of each method, by its name."""
    found = {f"random + {name}": ("random", scheduler) for name, scheduler in SCHEDULERS.items()}
    for searcher in SEARCHERS:
        found |= {f"{searcher} + {name}": (searcher, SCHEDULERS[name]) for name in COMBINED}
    return found


@cache
def table_of(task: str) -> CurveTable:
    """Return the curves of a task: of the nets that its space can draw."""
    table = CurveTable.read(HERE / f"{TASKS[task].table}.parquet")
    nodes = parse_space(dict(TASKS[task].space)).nodes
    fixed = {name: (node.value,) for name, node in nodes.items() if isinstance(node, Constant)}
    drawn = {name: values for name, node in nodes.items() if isinstance(node, Domain) and (values := node.values())}
    return table.only({**fixed, **drawn})


def _study(task: str, searcher: Any, scheduler: Any, seed: int) -> BoundStudy:
    table = table_of(task)
    settings = {
        "data": {"name": "digits"},  # nothing is read of it
        "space": dict(TASKS[task].space),
        "epochs": table.study.epochs,
        "trials": TRIALS,
        "metric": "val_accuracy",
        "search": searcher,
        "scheduler": scheduler,
        "seed": seed,
    }
    return Study.from_dict(settings).bound("classification")


def _alone() -> None:
    threadpool_limits(1)
    import torch

    torch.set_num_threads(1)


def _played(job: tuple[str, str, int, int]) -> Played:
    task, method, workers, seed = job
    return play(_study(task, *methods()[method], seed), table_of(task), workers)


def middle(values: Sequence[float]) -> float:
    """Return the median, which is the lower of two in the middle: half-way to infinity there is no number."""
    return float(sorted(values)[(len(values) - 1) // 2])


@dataclass(frozen=True)
class Shown:
    """How a method did: the median over the seeds, and a 95 % interval for that median."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Shown:
        """Return the median of some values, and its interval from their ranks, which assumes nothing of their distribution."""
        ordered = np.sort(np.asarray(values, dtype=float))
        count = len(ordered)
        reach = 1.96 * np.sqrt(count) / 2
        low, high = int(max(0, np.floor(count / 2 - reach))), int(min(count - 1, np.ceil(count / 2 + reach)))
        return cls(middle(list(ordered)), float(ordered[low]), float(ordered[high]))

    def points(self) -> str:
        """Return it in points of accuracy."""
        return f"{100 * self.median:.2f} ({100 * self.low:.2f} to {100 * self.high:.2f})"


def time_until_near(found: Played) -> float:
    """Return from when on the regret is at most CLOSE above what training all nets gives; infinite if it never is."""
    regret = found.least + CLOSE
    since = math.inf
    for at, value in zip(found.seconds, found.regrets, strict=True):
        since = min(since, at) if value <= regret else math.inf
    return since


def measure(console: Console) -> list[Table]:
    """Play all methods on all tasks."""
    tables = []
    with ProcessPoolExecutor(2, mp_context=get_context("forkserver"), initializer=_alone) as pool:
        for task in TASKS:
            frames = []
            for workers in WORKERS:
                jobs = [(task, method, workers, seed) for method in methods() for seed in range(SEEDS)]
                found = list(
                    track(
                        pool.map(_played, jobs, chunksize=5),
                        total=len(jobs),
                        description=f"{task}, {workers} workers",
                        console=console,
                    )
                )
                by_method: dict[str, list[Played]] = {}
                for (_, method, _, _), one in zip(jobs, found, strict=True):
                    by_method.setdefault(method, []).append(one)
                tables.append(_table(task, workers, by_method))
                tables[-1].show(console)
                frames.append(regrets(by_method, BASE, workers))
            draw(frames, BASE, f"Searches over the curves of {task}", FIGURES / f"search_{_word(task)}.svg")
    return [*tables, thinking()]


def _table(task: str, workers: int, played: Mapping[str, Sequence[Played]]) -> Table:
    base = played[BASE]
    seconds, epochs = spent(base)
    held = ", kept apart from the choice" if TASKS[task].held_out else ""
    table = Table(
        f"Searches over the curves of {task}, {workers} workers",
        [
            "method",
            "its own end",
            *(f"regret at {_share(share)} of the time" for share in SHARES),
            *(f"regret after {_share(share)} of the epochs" for share in SHARES),
            "0.1 points near",
            "thinking a draw",
        ],
        notes=[
            f"{len(base)} seeds, {TRIALS} trials at most{held}. The regret is in points below the table's best net: the median, and its 95 % interval. "
            f"Its own end, time and epochs are shares of what {BASE} takes for all its trials: {seconds:.1f} s and {epochs:,.0f} epochs.",
            f"A search sees each net from one seed, and a net owes some of its score to luck: the best of all nets by one seed has a regret of {100 * float(np.mean([one.least for one in base])):.2f} points in the mean. "
            "“0.1 points near” is the share of that time after which a search stays within 0.1 points of that, in the median.",
        ],
    )
    medians = {}
    for method, runs in sorted(
        played.items(), key=lambda item: middle([one.regret_at(seconds / 3) for one in item[1]])
    ):
        at_time = [Shown.of([one.regret_at(seconds * share) for one in runs]) for share in SHARES]
        at_epochs = [Shown.of([one.regret_after(round(epochs * share)) for one in runs]) for share in SHARES]
        near = middle([time_until_near(one) for one in runs]) / seconds
        medians[method] = (at_time[-1].median, near)
        thought = np.median([one.thinking / max(1, one.draws) for one in runs])
        ended = float(np.median([one.ended for one in runs])) / seconds
        cells = [shown.points() for shown in (*at_time, *at_epochs)]
        table.rows.append(
            [
                method,
                f"{ended:.2f}",
                *cells,
                "never" if np.isinf(near) else f"{near:.2f}",
                f"{1000 * float(thought):.1f} ms",
            ]
        )
    if DEFAULT in medians:
        near, base_near = medians[DEFAULT][1], medians[BASE][1]
        table.targets.append(
            Target(
                f"{DEFAULT}, which auto stands for, is 0.1 points near after {near:.2f}, and {BASE} after {base_near:.2f}: at most a third wanted",
                bool(np.isfinite(near)) and near <= base_near / 3,
            )
        )
    if "random + promotion_asha" in medians:
        promoted, stopped = medians["random + promotion_asha"][0], medians[BASE][0]
        table.targets.append(
            Target(
                f"promotion_asha has a regret of {100 * promoted:.2f} points when asha ends, which has {100 * stopped:.2f}: at least as good wanted",
                promoted <= stopped,
            )
        )
    return table


def _word(task: str) -> str:
    return task.replace(", ", "_").replace(" ", "_").lower()


def _share(share: float) -> str:
    return "the end" if share == 1 else f"1/{round(1 / share)}"


COUNTS, DRAWS = (10, 100, 1000), 5


def thinking() -> Table:
    """Return what each searcher thinks before a draw, by the number of trials that have ended."""
    table = Table(
        "What a searcher thinks for one draw",
        ["searcher", *(f"after {count:,} trials" for count in COUNTS)],
        notes=[
            "The space of the curves on MNIST, for CMA-ES its numbers alone; the median of five draws in seconds of processor time, of a process with one thread."
        ],
    )
    space = TASKS["mnist"].space
    numbers = {name: domain for name, domain in space.items() if isinstance(domain, Mapping) and "choice" not in domain}
    for searcher in THINKERS:
        thought = [_thought(searcher, numbers if searcher == "cmaes" else space, count) for count in COUNTS]
        table.rows.append([searcher, *(f"{1000 * seconds:.1f} ms" for seconds in thought)])
    return table


def _thought(searcher: Any, space: Mapping[str, Any], count: int) -> float:
    """Return the processor time of a draw after so many random trials, which the searcher is told of as in a run that is resumed."""
    settings = {"data": {"name": "digits"}, "space": dict(space), "trials": count + DRAWS, "metric": "val_accuracy"}
    draws = islice(Study.from_dict(settings).bound("classification").draws(), count)
    scores = np.random.default_rng(0).uniform(0.5, 1, count + DRAWS).tolist()
    history = History(
        drawn={number: Drawn(number, params, 0) for number, params in enumerate(draws)},
        ended={number: Ended(number, TrialState.FINISHED, 1.0, "") for number in range(count)},
        curves={number: {1: scores[number]} for number in range(count)},
        bests=dict(enumerate(scores[:count])),
    )
    source = NumberedSearcher(Study.from_dict({**settings, "search": searcher}).bound("classification"), history)
    seconds = []
    for number in range(count, count + DRAWS):
        began = time.process_time()
        source.suggest(str(number))
        seconds.append(time.process_time() - began)
        result = {"curve": [(1, scores[number])], "state": TrialState.FINISHED.value, "best": scores[number]}
        source.on_trial_complete(str(number), result)
    return float(np.median(seconds))
