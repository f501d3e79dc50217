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
from pathlib import Path
from typing import Any

import yaml

from tests.results.journals import drawn, ended, record, started, trained
from tune_mlp.results.journal import Resumed
from tune_mlp.results.journal_reader import read
from tune_mlp.results.state import RunState
from tune_mlp.runs.journal_writer import Journal

BEGUN = ".begun"
"""In the root: a line for each driver that was begun."""


class Stopped(Exception):
    """A signal asked the driver to end."""


def stop(number: int, frame: object) -> None:
    raise Stopped(number)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("word")
    parser.add_argument("run", nargs="*")
    for option in ("space", "out", "name", "trials", "top", "seeds", "to", "data-dir", "time-budget"):
        parser.add_argument(f"--{option}")
    parser.add_argument("--front", action="store_true")
    args = parser.parse_args()
    run = Path(args.out) / args.name if args.word == "search" else Path(args.run[0])
    with open(run.parent / BEGUN, "a") as file:
        file.write(f"{run.name} {args.word} {os.getpid()}\n")
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)  # a signal that comes earlier ends it as it would any process
        if args.word == "search":
            return search(args)
        if args.word == "resume":
            return resume(run, args.trials)
        if args.word == "replay":
            return replay(run, [int(trial) for trial in args.run[1:]])
        print(json.dumps({"word": args.word, "run": run.name} | ({"front": True} if args.front else {})))
        return 0
    except Stopped as stopped:
        if run.exists():
            manifest(run, "interrupted")
        return 128 + int(stopped.args[0])


def search(args: argparse.Namespace) -> int:
    study = read_study(Path(args.space))
    if study["description"] == "refuse":
        print("quick: this study is refused", file=sys.stderr)
        return 2
    run = Path(args.out) / args.name
    run.mkdir()
    write(run / "study.yaml", yaml.safe_dump(study))
    manifest(run, "running")
    with Journal.create(run / "journal.jsonl") as journal:
        about = {"epochs": study["epochs"], "dataset": study["data"]["name"], "study_name": study["name"]}
        journal.append(started(**about, further_goals=tuple(study.get("metrics", ())[1:])))
        train(run, study, journal)
    return finished(run)


def resume(run: Path, trials: str | None) -> int:
    study = read_study(run / "study.yaml")
    before = study["trials"]
    study["trials"] = int(trials or before)
    manifest(run, "running")
    write(run / "study.yaml", yaml.safe_dump(study))
    with Journal.resume(run / "journal.jsonl") as journal:
        journal.append(Resumed(before, study["trials"]))
        train(run, study, journal)
    return finished(run)


def replay(run: Path, trials: list[int]) -> int:
    """Say what a replay says; trial 1 differs."""
    if not trials:
        return 0
    rows: list[dict[str, Any]] = [{"trial": trial, "verdict": "the same", "first_epoch": None} for trial in trials]
    for row in rows:
        if row["trial"] == 1:
            row |= {"verdict": "differs", "first_epoch": 2, "what": "val_loss", "then": 0.5, "now": 0.25}
    said = {"sentence": f"{len(rows)} trials were compared.", "differs": [], "tolerance": 0.1, "rows": rows}
    print(json.dumps(said | {"notes": ["A note."], "method": ["A method,", "in two parts."]}, indent=1))
    if any(row["verdict"] == "differs" for row in rows):
        print("tune-mlp: trial 1 differs from epoch 2 on", file=sys.stderr)
        return 1
    return 0


def train(run: Path, study: dict[str, Any], journal: Journal) -> None:
    seconds = float(os.environ.get("QUICK_SECONDS", "0.01"))
    state = RunState.of(read(run / "journal.jsonl"))
    epochs = study["epochs"]
    for number in range(study["trials"]):
        known = state.trials.get(number)
        if known is not None and known.ended is not None:
            continue
        if known is None:
            journal.append(drawn(number, {"lr": 0.001 * (1 + number % 7), "width": 8 if number % 2 else 16}))
        for epoch in range(max(known.epochs, default=0) + 1 if known else 1, epochs + 1):
            accuracy = 0.5 + number / 10_000 + epoch / 100
            journal.append(trained(number, record(epoch, 1 / epoch, accuracy, 1 / epoch, accuracy)))
            time.sleep(seconds / epochs)
        journal.append(ended(number))


def finished(run: Path) -> int:
    write(run / "trials.csv", "trial\n")
    manifest(run, "finished")
    return 0


def read_study(path: Path) -> dict[str, Any]:
    """Read a study without the package's own checks, which take a second to import."""
    return {"description": "", "epochs": 3, "trials": 3, **yaml.safe_load(path.read_text())}


def write(path: Path, text: str) -> None:
    aside = path.with_name(f".{path.name}.tmp")
    aside.write_text(text)
    aside.replace(path)


def manifest(run: Path, state: str) -> None:
    dataset = {
        "name": "digits",
        "stand_in_for": "",
        "fingerprint": "f" * 32,
        "samples": 1000,
        "test_samples": 0,
        "features": 64,
    }
    facts = {
        "state": state,
        "name": run.name,
        "started": "2026-01-01T12:00:00+0000",
        "command": ["tune-mlp", "search"],
        "dataset": {**dataset, "classes": list("0123456789"), "notes": []},
        "engine": {"name": "eager", "why": "a test asked for it"},
        "resources": {"cpu": 1.0, "gpu": 0.0, "concurrent": 1, "nodes": [{"CPU": 2.0}]},
        "machine": {"host": "here", "system": "Linux", "processor": "", "cores": 2},
        "versions": {"tune_mlp": "0.1.0"},
    }
    write(run / "run.json", json.dumps(facts))


if __name__ == "__main__":
    sys.exit(main())
