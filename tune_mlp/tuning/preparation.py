"""Preparation of a study before its first trial: data, split, engine, a Ray that can run it, and compiled kernels."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tune_mlp.console.board import Display
from tune_mlp.data.dataset import Dataset, Problem
from tune_mlp.data.sources import load_dataset
from tune_mlp.data.split import make_problem
from tune_mlp.engines.choose import choose_engine, load_engine, must_compile
from tune_mlp.errors import StudyError, UsageError
from tune_mlp.imports import import_ahead
from tune_mlp.runs.phases import Phases
from tune_mlp.study.study import BoundStudy, Study
from tune_mlp.study.warm_start import WarmStart, read_warm_start, warmed
from tune_mlp.tuning.cluster import Cluster
from tune_mlp.tuning.ray_compat.cluster_start import NEEDED, connected
from tune_mlp.tuning.ray_compat.versions import doubts_about_the_installed_ray


@dataclass(frozen=True)
class PreparedStudy:
    """A study that has met its data, with the engine that trains it."""

    study: BoundStudy
    dataset: Dataset
    problem: Problem
    engine: str
    why: str
    """Why this engine was chosen."""
    warm: WarmStart | None = None
    """What a new run takes over from an earlier one; a resumed run has it in its study and its journal."""


def prepare(study: Study, data_dir: Path | None, display: Display, engine: str | None = None) -> PreparedStudy:
    """Read the data, and refuse what can't be trained on them. A resumed run names the `engine` that it began with."""
    dataset = read_data(study, data_dir, display)
    try:
        bound, warm = study.bound(dataset.task), None
        if bound.warm_start and engine is None:
            warm = read_warm_start(bound)
            bound = warmed(bound, warm)
        bound.check_models(dataset)
    except StudyError as error:
        raise study.located(error) from None
    if bound.search.cmaes and find_spec("cmaes") is None:
        raise UsageError("the search cmaes needs the package cmaes: pip install 'tune-mlp[cmaes]'")
    name, why = choose_engine(engine or bound.engine, gpu=bound.resources.gpu > 0, eager_only=bound.eager_only())
    problem = make_problem(dataset, bound.data, bound.seed)
    return PreparedStudy(bound, dataset, problem, name, why, warm)


def read_data(study: Study, data_dir: Path | None, display: Display) -> Dataset:
    """Read the dataset; Ray Tune, which is needed next, is imported in the meantime."""
    import_ahead(*NEEDED)
    return load_dataset(study.data, data_dir, None, say=display.say)


def announce(prepared: PreparedStudy, display: Display) -> None:
    """Show what a user must know before the results: a stand-in for the data, changes to a table, warnings."""
    study, dataset = prepared.study, prepared.dataset
    if dataset.stand_in_for:
        display.say(
            f"!!! {dataset.stand_in_for} was not found and can't be downloaded: {dataset.name} STANDS IN for it. These "
            f"results are not {dataset.stand_in_for}'s. Give --data-dir or set TUNE_MLP_DATA for the real data.",
            "bold red",
        )
    for note in dataset.notes:
        display.say(note, "dim")
    if prepared.warm:
        display.say(prepared.warm.line)
    for warning in study.warnings():
        display.say(f"warning: {warning}", "yellow")


@contextlib.contextmanager
def cluster_for(
    study: BoundStudy, address: str | None, engine: str, display: Display, phases: Phases
) -> Iterator[Cluster]:
    """Start or join a Ray that can run a trial, and compile the kernels that it will need."""
    with contextlib.ExitStack() as stack:
        with display.waiting("Starting Ray" if address is None else f"Joining Ray at {address}"):
            cluster = stack.enter_context(connected(study, address))
        if doubt := doubts_about_the_installed_ray():
            display.say(f"warning: {doubt}", "yellow")
        cluster.slots(study.resources, study.concurrent)  # refuses what no node can run, ahead of the compiling
        phases.over("ray")
        _compile_ahead(engine, display)
        phases.over("kernels")
        yield cluster


def _compile_ahead(engine: str, display: Display) -> None:
    """Compile the kernels of the compiled engine if this machine has none on disk, before several workers ask for them."""
    if not must_compile(engine):
        return
    display.say("compiling the kernels, once for this machine and version: this takes about half a minute", "dim")
    start = time.monotonic()
    with display.waiting("Compiling the kernels"):
        load_engine(engine)
    seconds = time.monotonic() - start
    display.say(f"compiled the kernels in {seconds:.0f} s, once for this machine and version", "dim")
