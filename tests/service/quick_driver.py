"""A driver that trains nothing: it writes a run's folder as a real one does, in a moment, and is stopped and goes on like one.

The service begins it in place of `python -m tune_mlp`. A trial takes $QUICK_SECONDS.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from itertools import islice
from pathlib import Path

from tests.results.journals import drawn, ended, record, started, trained
from tune_mlp.results.journal import Resumed
from tune_mlp.results.journal_reader import read
from tune_mlp.results.state import RunState
from tune_mlp.runs.journal_writer import Journal
from tune_mlp.runs.run_folder import create, write_text
from tune_mlp.study.study import Study

BEGUN = ".begun"
"""In the root: a line for each driver that was begun."""


class Stopped(Exception):
    """A signal asked the driver to end."""


def stop(number: int, frame: object) -> None:
    raise Stopped(number)


def main() -> int:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    parser = argparse.ArgumentParser()
    parser.add_argument("word")
    parser.add_argument("run", nargs="*")
    for option in ("space", "out", "name", "trials", "top", "seeds", "to", "data-dir", "time-budget"):
        parser.add_argument(f"--{option}")
    args = parser.parse_args()
    run = Path(args.out) / args.name if args.word == "search" else Path(args.run[0])
    with open(run.parent / BEGUN, "a") as file:
        file.write(f"{run.name} {args.word} {os.getpid()}\n")
    try:
        if args.word == "search":
            return search(args)
        if args.word == "resume":
            return resume(run, args.trials)
        print(json.dumps({"word": args.word, "run": run.name}))
        return 0
    except Stopped as stopped:
        manifest(run, "interrupted")
        return 128 + int(stopped.args[0])


def search(args: argparse.Namespace) -> int:
    study = Study.load(args.space)
    if study.description == "refuse":
        print("quick: this study is refused", file=sys.stderr)
        return 2
    run = create(Path(args.out), args.name, study.name)
    write_text(run / "study.yaml", study.bound("classification").dump())
    manifest(run, "running")
    with Journal.create(run / "journal.jsonl") as journal:
        journal.append(started(epochs=study.epochs, dataset=study.data.name, study_name=study.name))
        train(run, study, journal)
    return finished(run)


def resume(run: Path, trials: str | None) -> int:
    study = Study.load(run / "study.yaml")
    before = study.number_of_trials
    if trials is not None:
        study = Study.load(run / "study.yaml", trials=int(trials))
    manifest(run, "running")
    write_text(run / "study.yaml", study.bound("classification").dump())
    with Journal.resume(run / "journal.jsonl") as journal:
        journal.append(Resumed(before, study.number_of_trials))
        train(run, study, journal)
    return finished(run)


def train(run: Path, study: Study, journal: Journal) -> None:
    seconds = float(os.environ.get("QUICK_SECONDS", "0.01"))
    state = RunState.of(read(run / "journal.jsonl"))
    for number, params in enumerate(islice(study.draws(), study.number_of_trials)):
        known = state.trials.get(number)
        if known is not None and known.ended is not None:
            continue
        if known is None:
            journal.append(drawn(number, params))
        done = max(known.epochs, default=0) if known else 0
        for epoch in range(done + 1, study.epochs + 1):
            accuracy = 0.5 + number / 1000 + epoch / 100
            journal.append(trained(number, record(epoch, 1 / epoch, accuracy, 1 / epoch, accuracy)))
            time.sleep(seconds / study.epochs)
        journal.append(ended(number))


def finished(run: Path) -> int:
    write_text(run / "trials.csv", "trial\n")
    manifest(run, "finished")
    return 0


def manifest(run: Path, state: str) -> None:
    facts = {"state": state, "dataset": {"name": "digits", "samples": 1000}}
    write_text(run / "run.json", json.dumps(facts))


if __name__ == "__main__":
    sys.exit(main())
