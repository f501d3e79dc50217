"""What there must be before a study's first trial: its data, split, an engine, a Ray that can run it, and compiled kernels."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tune_mlp.data.dataset import Dataset, Problem
from tune_mlp.data.sources import load_dataset
from tune_mlp.data.split import make_problem
from tune_mlp.engines.choose import choose_engine, load_engine, must_compile
from tune_mlp.errors import StudyError
from tune_mlp.imports import import_ahead
from tune_mlp.tuning.cluster import NEEDED, Cluster, connected
from tune_mlp.tuning.phases import Phases
from tune_mlp.tuning.progress import Display
from tune_mlp.tuning.study import Study


@dataclass(frozen=True)
class Ready:
    """A study that is bound to its data."""

    study: Study
    dataset: Dataset
    problem: Problem
    engine: str
    why: str
    """This engine and no other."""


def prepare(study: Study, data_dir: Path | None, display: Display) -> Ready:
    """Read the data, and refuse what can't be trained on them."""
    dataset = read_data(study, data_dir, display)
    try:
        study = study.bound(dataset.task)
        study.check_models(dataset)
    except StudyError as error:
        raise study.located(error) from None
    engine, why = choose_engine(study.engine, gpu=study.resources.gpu > 0, eager_only=study.eager_only())
    problem = make_problem(dataset, study.data, study.seed)
    announce(study, dataset, display)
    return Ready(study, dataset, problem, engine, why)


def read_data(study: Study, data_dir: Path | None, display: Display) -> Dataset:
    """Ray Tune, which comes next, is imported meanwhile."""
    import_ahead(*NEEDED)
    return load_dataset(study.data, data_dir, None, say=display.say)


def announce(study: Study, dataset: Dataset, display: Display) -> None:
    """What a person must know ahead of the results."""
    if dataset.stand_in_for:
        display.say(
            f"!!! {dataset.stand_in_for} was not found and can't be downloaded: {dataset.name} STANDS IN for it. These "
            f"results are not {dataset.stand_in_for}'s. Give --data-dir or set TUNE_MLP_DATA for the real data.",
            "bold red",
        )
    for note in dataset.notes:
        display.say(note, "dim")
    for warning in study.warnings():
        display.say(f"warning: {warning}", "yellow")


@contextlib.contextmanager
def cluster_for(study: Study, address: str | None, engine: str, display: Display, phases: Phases) -> Iterator[Cluster]:
    """A Ray that can run a trial, and the kernels that it will need."""
    with contextlib.ExitStack() as stack:
        with display.waiting("Starting Ray" if address is None else f"Joining Ray at {address}"):
            cluster = stack.enter_context(connected(study, address))
        cluster.slots(study.resources, study.concurrent)  # refuses what no node can run, ahead of the compiling
        phases.over("ray")
        _compile_ahead(engine, display)
        phases.over("kernels")
        yield cluster


def _compile_ahead(engine: str, display: Display) -> None:
    """The compiled engine's kernels, where this machine hasn't any yet: on disk, before workers ask for them at once."""
    if not must_compile(engine):
        return
    start = time.perf_counter()
    with display.waiting("Compiling the kernels, once for this machine"):
        load_engine(engine)
    display.say(
        f"compiled the kernels in {time.perf_counter() - start:.0f} s, once for this machine and version", "dim"
    )
