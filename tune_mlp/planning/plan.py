"""The plan: a short calibration of a study's own draws, and a forecast of the search made from it. Nothing is written."""

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
from tune_mlp.tuning.cluster import Cluster, fewer_than_asked
from tune_mlp.tuning.preparation import announce, cluster_for, prepare
from tune_mlp.tuning.simulation import Cost, Simulation

CALIBRATING_SECONDS = 5.0
"""The wall time for measuring all draws."""
MOST_SECONDS, LEAST_SECONDS = 0.5, 0.05
"""The limits of the time for measuring one draw."""
MEASURED, DRAWS = 32, 2000
"""At most so many draws are measured, and at most so many are considered; a longer study is scaled up from these."""
PROBES, PROBE_SECONDS, PASSES, MOST_PASSES = 3, 0.15, 2, 6
"""How layouts are compared: by so many draws, the most costly, and all layouts in turn so many times; more often where what
was measured can't be."""
CACHE_GAIN = 3.0
"""So many times as fast as its number of cores a layout may be, since each core brings a cache of its own."""
TABLES_SECONDS = 0.5
"""The seconds for writing the run's folder, the winner's files and the tables."""
EPOCH_BYTES = 700
"""The bytes that an epoch adds to the journal and the tables, measured in a run of mnist_asha."""


@dataclass(frozen=True)
class Layout:
    """A number of trials that run at once, and the threads of each."""

    slots: int
    threads: int
    speed: float = 1.0
    """The work done in a second, relative to the study's own layout."""


@dataclass(frozen=True)
class Memory:
    """The memory that the search uses, in bytes."""

    worker: int
    others: int
    """The driver's process, and Ray's processes if Ray is started by this command."""
    data: int
    """The dataset, held once on each node; it is part of `others` if Ray is started by this command."""
    here: bool
    """True if all processes are on this machine."""


@dataclass(frozen=True)
class Plan:
    """The forecast of a study, made before the study is run."""

    study: BoundStudy
    problem: Problem
    engine: str
    slots: int
    draws: tuple[Params, ...]
    """The study's first draws: all of them, unless they are too many."""
    measured: int
    calibration: float
    """Seconds that planning took, from the start of the process."""
    costs: tuple[Cost, ...]
    failures: tuple[tuple[int, str], ...]
    """The draws that can't be trained, with the reasons."""
    start: float
    """Seconds until the first trial begins."""
    ways: tuple[Simulation, ...]
    """The simulations of the search."""
    end: float
    """Seconds from the end of the last trial to the end of the command."""
    layouts: tuple[Layout, ...]
    """The layouts that were compared; the study's own is the first."""
    memory: Memory
    disk: tuple[int, int]
    """The bytes on disk while the search runs, and afterwards."""

    @property
    def trials_seconds(self) -> list[float]:
        """The seconds of the trials in each simulation, at most the time budget."""
        scale = self.study.number_of_trials / len(self.draws)
        return [min(way.seconds * scale, self.study.time_budget or math.inf) for way in self.ways]

    @property
    def seconds(self) -> float:
        """The seconds of the whole command."""
        return self.start + float(np.mean(self.trials_seconds)) + self.end

    @property
    def epochs(self) -> float:
        """The epochs of all trials together, without a time budget."""
        scale = self.study.number_of_trials / len(self.draws)
        return scale * float(np.mean([sum(way.epochs) for way in self.ways]))

    @property
    def shares(self) -> list[float]:
        """The share of all training time that each draw takes."""
        return shares(self.costs, self.ways)


def shares(costs: Sequence[Cost], ways: Sequence[Simulation]) -> list[float]:
    """Return the share of all training time that each draw takes, as a mean over simulations."""
    epochs = np.mean([way.epochs for way in ways], axis=0)
    seconds = epochs * [cost.epoch for cost in costs]
    return list(seconds / max(seconds.sum(), 1e-12))


def plan_study(study: Study, address: str | None, data_dir: Path | None, display: Display) -> Plan:
    """Calibrate where the search would run, and forecast it."""
    before = time.process_time()  # a search, too, spends this on imports and the study file
    clock, phases = time.monotonic(), Phases()
    prepared = prepare(study, data_dir, display)
    announce(prepared, display)
    bound, problem, engine = prepared.study, prepared.problem, prepared.engine
    params = tuple(itertools.islice(bound.draws(), min(bound.number_of_trials, DRAWS)))
    draws = [Draw(i, to_config(drawn), trial_seed(bound.seed, i)) for i, drawn in enumerate(params)]
    phases.over("data")
    with cluster_for(bound, address, engine, display, phases) as cluster, display.waiting("Calibrating"):
        slots = cluster.slots(bound.resources, bound.concurrent)
        if line := fewer_than_asked(cluster, bound.resources, bound.concurrent):
            display.say(f"warning: {line}", "yellow")
        busy = min(slots, bound.number_of_trials)
        layouts = candidates(bound, cluster, busy)
        count = max(layout.slots for layout in layouts)
        cpu = bound.resources.cpu if count == busy else 1.0
        metric, mode = bound.ranking
        task = CalibrationJob(problem, engine, metric, mode, bound.further, bound.resources.gpu > 0)
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
        if not plausible(layouts):
            display.say(
                "warning: other work keeps this machine too busy to compare ways of running the trials", "yellow"
            )
            layouts = layouts[:1]
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
    """Return the layouts to compare: the study's own, one trial alone, and for CPU studies also those that fill each node
    with trials of one thread, of half its cores, and of all its cores."""
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
    chosen = [draws[i] for i in forecast.evenly_spaced(rough, MEASURED)]
    seconds = min(max(CALIBRATING_SECONDS * own.slots / len(chosen), LEAST_SECONDS), MOST_SECONDS)
    results = workers.shared_out(chosen, own.slots, own.threads, seconds)
    return {draw.number: result for draw, result in zip(chosen, results, strict=True)}


def sizes(draws: Sequence[Draw], problem: Problem) -> tuple[list[float], list[int]]:
    """Return the multiply-adds for each sample and the batch size of each draw."""
    data = problem.dataset
    products = [forecast.products(draw.config, problem.inputs(), data.outputs, data.shape) for draw in draws]
    return products, [draw.config.batch_size for draw in draws]


def fold_sizes(problem: Problem) -> tuple[int, int]:
    """Return the mean number of training and of validation samples of a fold."""
    folds = problem.folds
    return tuple(round(sum(len(getattr(f, part)) for f in folds) / len(folds)) for part in ("train", "validation"))  # type: ignore[return-value]


def costs_of(
    study: BoundStudy, problem: Problem, draws: Sequence[Draw], measured: dict[int, Measured | str]
) -> list[Cost]:
    """Return the cost of each draw; a trial trains all folds with all seeds. A draw that can't be trained costs nothing,
    and neither does a draw that diverged within a part of an epoch."""
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
        costs[i] = Cost(0.0, begin, last_epoch=1)
    return costs


def _compared(
    draws: Sequence[Draw],
    problem: Problem,
    workers: Workers,
    layouts: Sequence[Layout],
    parts: Sequence[float],
    good: dict[int, Measured],
) -> list[Layout]:
    """Measure the same work in each layout: the most expensive draws, weighted by their share of the study."""
    if len(layouts) == 1:
        return list(layouts)
    probes = sorted(good, key=lambda i: (-parts[i], i))[:PROBES]
    some = [draws[i] for i in probes]
    weights = [max(parts[i], 1e-9) / max(good[i].epoch_seconds(*fold_sizes(problem)), 1e-9) for i in probes]
    best = [math.inf] * len(layouts)
    """The seconds of each layout's quickest pass: what else runs on the machine only makes a pass longer."""
    found = list(layouts)
    for done in range(1, MOST_PASSES + 1):
        for place, layout in enumerate(layouts):
            seconds = 0.0
            for results in workers.all_of_them(some, layout.slots, layout.threads, PROBE_SECONDS):
                took = [r.epoch_seconds(*fold_sizes(problem)) if isinstance(r, Measured) else 0.0 for r in results]
                seconds += sum(w * t for w, t in zip(weights, took, strict=True)) / layout.slots
            best[place] = min(best[place], seconds)
        rates = [layout.slots / max(seconds, 1e-12) for layout, seconds in zip(layouts, best, strict=True)]
        found = [replace(layout, speed=rate / rates[0]) for layout, rate in zip(layouts, rates, strict=True)]
        if done >= PASSES and plausible(found):
            break
    return found


def plausible(layouts: Sequence[Layout]) -> bool:
    """Say whether no layout is measured as much faster than another than its cores can make it."""
    return all(one.speed <= CACHE_GAIN * one.slots * one.threads * other.speed for one in layouts for other in layouts)


def _end(
    study: BoundStudy,
    problem: Problem,
    workers: Workers,
    good: Sequence[Measured],
    costs: Sequence[Cost],
    ways: Sequence[Simulation],
) -> float:
    """Estimate the seconds from the last trial to the end: imports, the test of the winner or of all trials, the tables."""
    tested = study.number_of_trials if study.tested == "all" else 1
    runs = len(problem.folds) * study.seeds
    seconds = tested * runs * len(problem.dataset.x_test) * float(np.mean([one.evaluate for one in good]))
    if study.retrain:  # the best epoch isn't known yet: half of the epochs are assumed
        epochs = [cost.epoch for cost, count in zip(costs, ways[0].epochs, strict=True) if count]
        seconds += tested * int(study.retrain) * study.epochs / 2 * float(np.mean(epochs)) / len(problem.folds)
    return TABLES_SECONDS + seconds + (0.0 if "torch" in sys.modules else workers.imports)


def dataset_bytes(problem: Problem) -> int:
    """Return the bytes of the dataset's arrays."""
    data = problem.dataset
    return sum(array.nbytes for array in (data.x, data.y, data.x_test, data.y_test))


def _memory(workers: Workers, busy: int, data: int, here: bool) -> Memory:
    each = workers.memory()
    own = os.getpid()
    others = sum(map(proportional, family(own))) - sum(each) if here else proportional(own)
    return Memory(int(np.mean(each)), max(others, 0), data, here)


def _disk(
    study: BoundStudy, slots: int, good: Sequence[Measured], ways: Sequence[Simulation], runs: int
) -> tuple[int, int]:
    """Estimate the bytes on disk; checkpoints are taken to be as large as those of the largest draws."""
    best, state = (max(getattr(one, part) for one in good) * runs for part in ("best_bytes", "state_bytes"))
    alive = forecast.may_set_aside(study, slots)
    kept = study.number_of_trials if study.tested == "all" else alive + 1
    tables = int(np.mean([sum(way.epochs) for way in ways])) * runs * EPOCH_BYTES
    return kept * best + alive * state + tables, best // runs * max(1, int(study.retrain)) + tables
