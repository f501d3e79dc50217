"""Builders of events and journals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tune_mlp.records import EpochRecord, TrialState, metric_names
from tune_mlp.results.journal import (
    Decided,
    Drawn,
    Ended,
    Estimated,
    Event,
    Looked,
    Param,
    Resumed,
    Started,
    Tested,
    Told,
    Trained,
    WorkerLost,
    to_line,
)
from tune_mlp.runs.journal_writer import Journal


def started(**changes: Any) -> Started:
    values: dict[str, Any] = {
        "study_name": "mnist_asha",
        "task": "classification",
        "metric": "val_accuracy",
        "mode": "max",
        "epochs": 3,
        "engine": "eager",
        "classes": 10,
        "seed": 0,
        "dataset": "mnist",
        "stand_in_for": "",
    }
    return Started(**{**values, **changes})


def record(
    epoch: int, *values: float, fold: int = 0, task: Any = "classification", steps: int = 10, repeat: int = 0
) -> EpochRecord:
    """`values` are train_* and then val_*, in the order of the task's scores."""
    names = metric_names(task, "train") + metric_names(task, "val")
    return EpochRecord(epoch, fold, dict(zip(names, values, strict=True)), steps, 0.5, 0.75, repeat)


def drawn(trial: int, params: Mapping[str, Param] | None = None) -> Drawn:
    return Drawn(trial, {"lr": 0.1} if params is None else params, seed=2**62 + trial)


def trained(trial: int, *records: EpochRecord, node: str = "head", weights: int = 650, digest: str = "") -> Trained:
    return Trained(trial, records, node, weights, digest)


def decided(trial: int, epoch: int, **changes: Any) -> Decided:
    values: dict[str, Any] = {
        "scheduler": "asha",
        "rung": f"bracket 0, epoch {epoch}",
        "value": 0.5,
        "cutoff": 0.75,
        "competed": 2,
        "decision": "stop",
    }
    return Decided(trial, epoch, **{**values, **changes})


def ended(trial: int, state: str = "finished", seconds: float = 9.25, error: str = "", reason: Any = "") -> Ended:
    return Ended(trial, TrialState(state), seconds, error, reason)


def winner(trial: int, metrics: Mapping[str, float]) -> Tested:
    """Make the event of the winner's test. It isn't called `tested`, since pytest takes imported names in test* for tests."""
    return Tested(trial, metrics)


def trial(
    number: int, *accuracies: float, state: str = "finished", params: Mapping[str, Param] | None = None
) -> list[Event]:
    """Return the events of a trial with an epoch for each validation accuracy."""
    epochs = [record(i, 1 / i, 0.5, 2 / i, accuracy) for i, accuracy in enumerate(accuracies, start=1)]
    return [drawn(number, params), *(trained(number, epoch) for epoch in epochs), ended(number, state)]


def a_study() -> list[Event]:
    """Return the events of a study with every kind of event and every state."""
    return [
        started(),
        *trial(0, 0.5, 0.75, 0.7, params={"lr": 0.1, "optimizer": "sgd", "optimizer.sgd.momentum": 0.9}),
        *trial(1, 0.5, state="stopped", params={"lr": 1e-4, "optimizer": "adam", "widths": [64, 128]}),
        *trial(2, 0.9, float("nan"), state="diverged"),
        Resumed(trials_before=3, trials=4),
        Told({"lr": 0.1, "optimizer": "adam"}, 0.625),
        Estimated(3, 0.01, 0.0, 0.125, 0.0, 0.001, ends=False),
        drawn(3),
        WorkerLost(3, added=1),
        ended(3, "failed", error='RuntimeError: "a", b\nc\r\n| é 😀'),
        decided(1, 1),
        Tested(0, {"test_loss": 0.25, "test_accuracy": 0.8125}),
        Looked(1, {"test_loss": 0.5, "test_accuracy": 0.75}, "confirm", 5),
    ]


def write(path: Path, events: Iterable[Event]) -> Path:
    with Journal.create(path) as journal:
        for event in events:
            journal.append(event)
    return path


AT = 1.5e9
"""When the lines of `lines_of` were written."""


def lines_of(events: Iterable[Event]) -> list[bytes]:
    """Return the lines of a journal, each with its newline."""
    return [to_line(event, number, AT) for number, event in enumerate(events, start=1)]


def as_line(event: Event, number: int = 1) -> bytes:
    """Return one event as a line without its newline."""
    return to_line(event, number, AT)[:-1]
