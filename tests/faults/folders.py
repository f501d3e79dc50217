"""Builders of what is to be damaged: a run's folder as a killed driver leaves it, made without Ray, and a canary that sings if it is unpickled."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from tests.results.journals import drawn, ended, record, trained
from tests.studies import study
from tune_mlp import cli
from tune_mlp.data.sources import load_dataset
from tune_mlp.data.split import make_problem
from tune_mlp.results.journal import Event, Started
from tune_mlp.results.run_cache import JOURNAL
from tune_mlp.runs.journal_writer import Journal
from tune_mlp.runs.manifest import Manifest, RunFacts
from tune_mlp.runs.run_folder import create
from tune_mlp.training import checkpoint
from tune_mlp.tuning.trial_files import state_file, weights_file

KB = 1024


def events(trials: int) -> Iterator[Event]:
    """Return the events of a study whose last trial isn't finished."""
    yield Started("small", "classification", "val_accuracy", "max", 3, "eager", 10, 0, "digits", "")
    for number, params in enumerate(islice(study().draws(), trials)):
        yield drawn(number, params)
        yield trained(number, *(record(epoch, 1 / epoch, 0.5, 1.0, 0.5 + epoch / 100) for epoch in (1, 2)))
        if number < trials - 1:
            yield ended(number)


def write_journal(path: Path, trials: int) -> bytes:
    with Journal.create(path) as journal:
        for event in events(trials):
            journal.append(event)
    return path.read_bytes()


def left_behind(out: Path, trials: int = 2, **settings: Any) -> Path:
    """Write a run of some trials, the last of which isn't finished."""
    its = study(**settings)
    dataset = load_dataset(its.data, None, None)
    its = its.bound(dataset.task)
    problem = make_problem(dataset, its.data, its.seed)
    run = create(out, "cut", its.name)
    Manifest.begin(run, RunFacts(its, problem.dataset, problem.inputs(), "eager", "", ({"CPU": 4.0},), 2), (), 0.0)
    write_journal(run / JOURNAL, trials)
    checkpoint.save(run / "checkpoints" / weights_file(0, 2), weights(2))
    checkpoint.save(run / "checkpoints" / state_file(trials - 1), {"config": {}, "trainer": weights(2), "records": []})
    return run


def weights(epoch: int) -> dict[str, Any]:
    """Return weights of some kilobytes."""
    generator = torch.Generator().manual_seed(0)
    layers = [torch.rand(shape, generator=generator) for shape in ((40, 64), (40,), (10, 40), (10,))]
    return {"epoch": epoch, "folds": [{str(i): layer for i, layer in enumerate(layers)}]}


def contents(folder: Path) -> dict[str, bytes]:
    """Return the contents of all files in a folder, by name."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def flipped(content: bytes, at: int) -> bytes:
    """Return the bytes with one bit of one byte changed."""
    return content[:at] + bytes([content[at] ^ 0x04]) + content[at + 1 :]


def kilobytes(content: bytes) -> range:
    """Return the positions of a byte in each kilobyte."""
    return range(len(content) % 97, len(content), KB)


def refused_by_resume(run: Path, capsys: Any, status: int = 2) -> str:
    """Return the one line that `tune-mlp resume` ends with."""
    capsys.readouterr()
    code = cli.main(["resume", str(run)])
    out, err = capsys.readouterr()
    assert (code, out, err.count("\n")) == (status, "", 1), (code, out, err)
    return str(err).removeprefix("tune-mlp: ").strip()


class Canary:
    """An object that writes a file if it is unpickled."""

    def __init__(self, nest: Path) -> None:
        self.nest = nest

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.nest,)

    def song(self) -> bytes:
        return pickle.dumps(self)
