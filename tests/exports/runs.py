"""Builders of runs to export: folders with a journal, a study.yaml and a run.json, without any training."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from tests.results.journals import AT, a_study
from tune_mlp.results.journal import Event, to_line
from tune_mlp.results.results import Results

SPACE = {
    "lr": {"log": [1e-4, 0.1]},
    "optimizer": {"choice": {"sgd": {"momentum": {"uniform": [0.0, 0.99]}}, "adam": {}}},
    "widths": {"list": {"choice": [64, 128]}, "length": {"int": [1, 3]}},
}
"""The space of the parameters of `a_study`."""


def a_run(folder: Path, events: Iterable[Event] | None = None, space: Any = SPACE) -> Results:
    """Write a run, by default one with every kind of event and every state, whose lines were written a second apart."""
    folder.mkdir()
    lines = [to_line(event, n, AT + n) for n, event in enumerate(a_study() if events is None else events, start=1)]
    (folder / "journal.jsonl").write_bytes(b"".join(lines))
    if space is not None:
        (folder / "study.yaml").write_text(yaml.safe_dump({"space": space}, sort_keys=False))
    (folder / "run.json").write_text(json.dumps({"dataset": {"fingerprint": "abc"}}))
    return Results.load(folder)
