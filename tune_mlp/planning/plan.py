"""The plan: a short calibration of a study's own draws, and from it what the search will take. Nothing is written."""

from __future__ import annotations

import itertools
import math
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tune_mlp.console.board import Display
from tune_mlp.data.dataset import Problem
from tune_mlp.errors import RunError
from tune_mlp.planning import forecast
from tune_mlp.planning.calibration import CalibrationJob, Draw, Measured, Workers
from tune_mlp.planning.memory import family, proportional
from tune_mlp.runs.phases import Phases
from tune_mlp.seeds import trial_seed
from tune_mlp.space.space import Params, to_config
from tune_mlp.study.settings import Resources
from tune_mlp.study.study import BoundStudy, Study
from tune_mlp.tuning.cluster import Cluster
from tune_mlp.tuning.preparation import announce, cluster_for, prepare
from tune_mlp.tuning.simulation import Cost, Simulated

CALIBRATING_SECONDS = 5.0
"""For all draws together, by the clock."""
MOST_SECONDS, LEAST_SECONDS = 0.5, 0.05
"""For one draw."""
MEASURED, DRAWS = 32, 2000
"""So many draws are measured at most, and so many are looked at; what is above goes by them."""
PROBES, PROBE_SECONDS, PASSES = 3, 0.15, 2
"""How layouts are compared: by so many draws, the most costly, and all layouts in turn so many times."""
TABLES_SECONDS = 0.5
"""The run's folder, the winner's files and the tables."""
EPOCH_BYTES = 700
"""In the journal and the tables, by a run of mnist_asha."""


@dataclass(frozen=True)
class Layout:
    """So many trials at once, with so many threads each."""

    slots: int
    threads: int
    speed: float = 1.0
    """Work done in a second, by that of the study's own layout."""


@dataclass(frozen=True)
class Memory:
    """Bytes while the search runs."""

    worker: int
    others: int
    """This command's process, and Ray's own where it is started here."""
    data: int
    """Held once a node; part of the others where Ray is started here."""
    here: bool
    """Is all of it on this machine?"""


@dataclass(frozen=True)
class Plan:
    """What is known of a study before it is run."""

    study: BoundStudy
    problem: Problem
    engine: str
    slots: int
    draws: tuple[Params, ...]
    """The first of the study's, all of them if they are not too many."""
    measured: int
    calibration: float
    """Seconds that this took, from the start of the process."""
    costs: tuple[Cost, ...]
    failures: tuple[tuple[int, str], ...]
    """Draws that can't be trained, and why."""
    start: float
    """Seconds until the first trial begins."""
    ways: tuple[Simulated, ...]
    """How the trials may go."""
    end: float
    """Seconds from the last trial's end."""
    layouts: tuple[Layout, ...]
    """The study's own first."""
    memory: Memory
    disk: tuple[int, int]
    """Bytes while it runs, and afterwards."""

    @property
    def trials_seconds(self) -> list[float]:
        """Of each way, the time budget kept."""
        scale = self.study.number_of_trials / len(self.draws)
        return [min(way.seconds * scale, self.study.time_budget or math.inf) for way in self.ways]

    @property
    def seconds(self) -> float:
        """The whole command's."""
        return self.start + float(np.mean(self.trials_seconds)) + self.end

    @property
    def epochs(self) -> float:
        """Of all trials together, without a time budget."""
        scale = self.study.number_of_trials / len(self.draws)
        return scale * float(np.mean([sum(way.epochs) for way in self.ways]))

    @property
    def shares(self) -> list[float]:
        """Each draw's part of all training."""
        return shares(self.costs, self.ways)


def shares(costs: Sequence[Cost], ways: Sequence[Simulated]) -> list[float]:
    """Each draw's part of all training, on average."""
    epochs = np.mean([way.epochs for way in ways], axis=0)
    seconds = epochs * [cost.epoch for cost in costs]
    return list(seconds / max(seconds.sum(), 1e-12))


def plan_study(study: Study, address: str | None, data_dir: Path | None, display: Display) -> Plan:
    """Calibrate where the search would run, and forecast it."""
    before = time.process_time()  # what a search, too, computes until it gets here: imports, the study file
    clock, phases = time.monotonic(), Phases()
    prepared = prepare(study, data_dir, display)
    announce(prepared, display)
    bound, problem, engine = prepared.study, prepared.problem, prepared.engine
    params = tuple(itertools.islice(bound.draws(), min(bound.number_of_trials, DRAWS)))
    draws = [Draw(i, to_config(drawn), trial_seed(bound.seed, i)) for i, drawn in enumerate(params)]
    phases.over("data")
    with cluster_for(bound, address, engine, display, phases) as cluster, display.waiting("Calibrating"):
        slots = cluster.slots(bound.resources, bound.concurrent)
        busy = min(slots, bound.number_of_trials)
        layouts = candidates(bound, cluster, busy)
        count = max(layout.slots for layout in layouts)
        cpu = bound.resources.cpu if count == busy else 1.0
        metric, mode = bound.ranking
        task = CalibrationJob(problem, engine, metric, mode, bound.resources.gpu > 0)
        workers = Workers(task, count, cpu, bound.resources.gpu, draws[0])
        measured = _calibrated(draws, problem, workers, layouts[0])
        memory = _memory(workers, busy, dataset_bytes(problem), here=address is None)
        good = {i: one for i, one in measured.items() if isinstance(one, Measured)}
        if not good:
            raise RunError(f"no draw can be trained; the first, {next(iter(measured.values()))}")
        costs = costs_of(bound, problem, draws, measured)
        seen = {i: one.metric for i, one in good.items() if one.metric is not None}
        ways = forecast.simulations(bound, costs, slots, seen)
        layouts = _compared(draws, problem, workers, layouts, shares(costs, ways), good)
        phases.over("calibration")
    phases.over("ray")
    whole = phases.seconds
    return Plan(
        study=bound,
        problem=problem,
        engine=engine,
        slots=slots,
        draws=params,
        measured=len(measured),
        calibration=before + time.monotonic() - clock,
        costs=tuple(costs),
        failures=tuple((i, one) for i, one in measured.items() if isinstance(one, str)),
        start=before + whole["data"] + whole["ray"] + workers.seconds,
        ways=tuple(ways),
        end=_end(bound, problem, workers, list(good.values()), costs, ways),
        layouts=tuple(layouts),
        memory=memory,
        disk=_disk(bound, slots, list(good.values()), ways, len(problem.folds) * bound.seeds),
    )


def candidates(study: BoundStudy, cluster: Cluster, busy: int) -> list[Layout]:
    """The study's own; one trial alone; and where only CPUs are asked for, those that fill each node with trials of one
    thread, of as many as a node has cores, and of half as many."""
    own = Layout(busy, study.resources.threads)
    found = [own, Layout(1, own.threads)]
    if not study.resources.gpu:
        cores = max(1, math.floor(max(node.get("CPU", 0.0) for node in cluster.nodes)))
        for threads in dict.fromkeys((1, max(1, cores // 2), cores)):
            fits = cluster.slots(Resources(cpu=threads), study.concurrent)
            found.append(Layout(min(fits, study.number_of_trials), threads))
    return list(dict.fromkeys(found))


def _calibrated(draws: Sequence[Draw], problem: Problem, workers: Workers, own: Layout) -> dict[int, Measured | str]:
    rough = [forecast.roughly(products, batch) for products, batch in zip(*sizes(draws, problem), strict=True)]
    chosen = [draws[i] for i in forecast.spread(rough, MEASURED)]
    seconds = min(max(CALIBRATING_SECONDS * own.slots / len(chosen), LEAST_SECONDS), MOST_SECONDS)
    results = workers.shared_out(chosen, own.slots, own.threads, seconds)
    return {draw.number: result for draw, result in zip(chosen, results, strict=True)}


def sizes(draws: Sequence[Draw], problem: Problem) -> tuple[list[float], list[int]]:
    """Each draw's multiply-adds a sample, and its batch size."""
    data = problem.dataset
    products = [forecast.products(draw.config, int(data.x.shape[1]), data.outputs, data.shape) for draw in draws]
    return products, [draw.config.batch_size for draw in draws]


def fold_sizes(problem: Problem) -> tuple[int, int]:
    """Training and validation samples of a fold, on average."""
    folds = problem.folds
    return tuple(round(sum(len(getattr(f, part)) for f in folds) / len(folds)) for part in ("train", "validation"))  # type: ignore[return-value]


def costs_of(
    study: BoundStudy, problem: Problem, draws: Sequence[Draw], measured: dict[int, Measured | str]
) -> list[Cost]:
    """A trial trains all folds from all seeds. A draw that can't be trained costs nothing, and neither does one that had
    diverged after a part of an epoch."""
    runs = len(problem.folds) * study.seeds
    good = {i: one for i, one in measured.items() if isinstance(one, Measured)}
    fit = {i: one for i, one in good.items() if one.metric is not None} or good
    epochs = forecast.filled_in(
        {i: runs * one.epoch_seconds(*fold_sizes(problem)) for i, one in fit.items()}, *sizes(draws, problem)
    )
    begin, best, state = (
        runs * float(np.mean([getattr(one, part) for one in good.values()])) for part in ("begin", "best", "state")
    )
    costs = [Cost(epoch, begin, best, state) for epoch in epochs]
    for i in measured.keys() - fit.keys():
        costs[i] = Cost(0.0, begin, ends_at_once=True)
    return costs


def _compared(
    draws: Sequence[Draw],
    problem: Problem,
    workers: Workers,
    layouts: Sequence[Layout],
    parts: Sequence[float],
    good: dict[int, Measured],
) -> list[Layout]:
    """The same work in each layout: the measured draws that cost most, each as often as it weighs in the study."""
    if len(layouts) == 1:
        return list(layouts)
    probes = sorted(good, key=lambda i: (-parts[i], i))[:PROBES]
    some = [draws[i] for i in probes]
    weights = [max(parts[i], 1e-9) / max(good[i].epoch_seconds(*fold_sizes(problem)), 1e-9) for i in probes]
    seconds = [0.0] * len(layouts)
    for _ in range(PASSES):
        for place, layout in enumerate(layouts):
            for results in workers.all_of_them(some, layout.slots, layout.threads, PROBE_SECONDS):
                took = [r.epoch_seconds(*fold_sizes(problem)) if isinstance(r, Measured) else 0.0 for r in results]
                seconds[place] += sum(w * t for w, t in zip(weights, took, strict=True)) / layout.slots
    rates = [layout.slots / max(took, 1e-12) for layout, took in zip(layouts, seconds, strict=True)]
    return [replace(layout, speed=rate / rates[0]) for layout, rate in zip(layouts, rates, strict=True)]


def _end(
    study: BoundStudy,
    problem: Problem,
    workers: Workers,
    good: Sequence[Measured],
    costs: Sequence[Cost],
    ways: Sequence[Simulated],
) -> float:
    """The test of the winner, or of all; what a test needs is imported here unless reading the data has done so."""
    tested = study.number_of_trials if study.tested == "all" else 1
    runs = len(problem.folds) * study.seeds
    seconds = tested * runs * len(problem.dataset.x_test) * float(np.mean([one.evaluate for one in good]))
    if study.retrain:  # as long as the best epoch says, which nobody knows: half of them
        epochs = [cost.epoch for cost, count in zip(costs, ways[0].epochs, strict=True) if count]
        seconds += tested * study.epochs / 2 * float(np.mean(epochs)) / len(problem.folds)
    return TABLES_SECONDS + seconds + (0.0 if "torch" in sys.modules else workers.imports)


def dataset_bytes(problem: Problem) -> int:
    """Of the arrays."""
    data = problem.dataset
    return sum(array.nbytes for array in (data.x, data.y, data.x_test, data.y_test))


def _memory(workers: Workers, busy: int, data: int, here: bool) -> Memory:
    each = workers.memory()
    own = os.getpid()
    others = sum(map(proportional, family(own))) - sum(each) if here else proportional(own)
    return Memory(int(np.mean(each)), max(others, 0), data, here)


def _disk(
    study: BoundStudy, slots: int, good: Sequence[Measured], ways: Sequence[Simulated], runs: int
) -> tuple[int, int]:
    """Checkpoints are those of the largest draws, to be safe."""
    best, state = (max(getattr(one, part) for one in good) * runs for part in ("best_bytes", "state_bytes"))
    alive = forecast.may_set_aside(study, slots)
    kept = study.number_of_trials if study.tested == "all" else alive + 1
    tables = int(np.mean([sum(way.epochs) for way in ways])) * runs * EPOCH_BYTES
    return kept * best + alive * state + tables, best // runs + tables
