"""Run folders whose journals and manifests were changed, with checksums made right, are read or refused in one line."""

from __future__ import annotations

import functools
import json
import os
import random
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.fuzz.runner import CASES, ODD_NUMBERS, ODD_TEXT, damaged, run_cases
from tests.results.journals import a_study, lines_of
from tune_mlp.results.export import export
from tune_mlp.results.journal_reader import read
from tune_mlp.results.results import Results
from tune_mlp.runs.history import history_of
from tune_mlp.runs.manifest import Manifest

OLD_RUN = Path(__file__).parents[1] / "fixtures" / "run_format_1"
WORDS = ["finished", "failed", "val_accuracy", "eager", "compiled", "max", "exploit", "scheduler", "lr", "trial"]
OTHERS: list[Any] = [None, True, False, [], {}, [1, "a"], {"a": {}}, [[[[]]]]]


def sealed(event: dict[str, Any]) -> bytes:
    """Return a line of the journal with the checksum of its content."""
    body = json.dumps(event, separators=(",", ":")).encode()
    return body[:-1] + b',"crc":"%08x"}' % zlib.crc32(body)


@functools.cache
def journals() -> tuple[str, ...]:
    """Good journals of both formats; each event as JSON without its checksum."""
    old = (OLD_RUN / "journal.jsonl").read_bytes().splitlines()
    new = b"".join(lines_of(a_study())).splitlines()
    return tuple(
        json.dumps([{name: value for name, value in json.loads(line).items() if name != "crc"} for line in lines])
        for lines in (old, new, new, new)
    )


def odd(rng: random.Random) -> Any:
    return rng.choice(rng.choice([ODD_NUMBERS, ODD_TEXT, WORDS, OTHERS]))


def changed(rng: random.Random, value: Any) -> Any:
    """Return the value with one place in it changed, removed or added."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        name = rng.choice(list(value))
        match rng.randrange(12):
            case 0:
                return {key: inner for key, inner in value.items() if key != name}
            case 1:
                return value | {str(odd(rng)): odd(rng)}
            case _:
                return value | {name: changed(rng, value[name])}
    if isinstance(value, list) and value and rng.random() < 0.85:
        at = rng.randrange(len(value))
        return [*value[:at], *rng.choice([[], [changed(rng, value[at])] * rng.choice([1, 1, 1, 2])]), *value[at + 1 :]]
    if isinstance(value, int | float) and not isinstance(value, bool) and rng.random() < 0.4:
        return rng.choice([value + 1, value - 1, -value, value * 10, float(value), str(value)])
    return odd(rng)


def write_journal(rng: random.Random, path: Path) -> None:
    events = json.loads(rng.choice(journals()))
    for _ in range(rng.choice([0, 1, 1, 1, 2, 5])):
        at = rng.randrange(len(events))
        match rng.randrange(8):
            case 0:
                events.insert(rng.randrange(len(events)), events[at])
            case 1:
                events.insert(rng.randrange(len(events)), events.pop(at))
            case 2 if len(events) > 1:
                events.pop(at)
            case _:
                events[at] = changed(rng, events[at])
    if rng.random() < 0.5:  # so that only what the lines say is wrong with them
        for number, event in enumerate(events, start=1):
            if isinstance(event, dict) and "n" in event:
                event["n"] = number
    lines = [sealed(event) if isinstance(event, dict) and event else b"{}" for event in events]
    content = b"\n".join(lines) + (b"" if rng.random() < 0.1 else b"\n")
    path.write_bytes(damaged(rng, content) if rng.random() < 0.1 else content)


def write_manifest(rng: random.Random, path: Path) -> None:
    manifest = json.loads(path.read_text(encoding="utf-8"))
    for _ in range(rng.choice([0, 0, 1, 1, 3])):
        manifest = changed(rng, manifest)
    content = json.dumps(manifest).encode("utf-8", "surrogatepass")
    path.write_bytes(damaged(rng, content) if rng.random() < 0.1 else content)


def read_an_odd_run(rng: random.Random, folder: Path) -> Callable[[], None]:
    run = folder / "run"
    shutil.copytree(OLD_RUN, run)
    write_journal(rng, run / "journal.jsonl")
    write_manifest(rng, run / "run.json")
    if rng.random() < 0.03:
        name = rng.choice(["journal.jsonl", "study.yaml", "run.json"])
        (run / name).unlink()
        os.mkfifo(run / name) if rng.random() < 0.5 else (run / name).symlink_to("/dev/zero")
    kind = rng.choice(["csv", "parquet", "json", "xlsx", "markdown"])

    def read_it() -> None:
        results = Results.load(run)
        for what in (results.trials, results.epochs, results.changes):
            export(what, folder / f"table.{kind}", kind)
        for text in (repr(results), results.summary):
            assert text.isprintable()
        assert results._repr_html_()
        for column in results.trials.columns:
            for cell in results.trials[column]:
                assert not (isinstance(cell, str) and cell.startswith(("=", "+", "-", "@"))), "a formula"
        history_of(read(run / "journal.jsonl"))  # what a resume goes by
        Manifest.load(run).other_versions()

    return read_it


@CASES
def test_odd_runs_are_read_or_refused_in_one_line(cases: int, tmp_path: Path) -> None:
    statuses = run_cases(read_an_odd_run, cases, tmp_path)
    assert min(statuses[0], statuses[2]) > cases / 20, "too few of either kind to prove anything"
