"""Builders of small studies for tests, and a display that remembers what it was told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tune_mlp.console.board import Board, Display, Running
from tune_mlp.records import TrialState
from tune_mlp.study.study import Study

SPACE: dict[str, Any] = {
    "lr": {"log": [1e-3, 1e-1]},
    "batch_size": {"choice": [16, 64]},
    "depth": {"int": [0, 2]},
    "width": {"choice": [8, 16]},
    "dropout": {"choice": [0.0, 0.2]},
}


def study(**settings: Any) -> Study:
    """Return a study of digits that takes a second or two.

    It trains one trial at a time unless it has a scheduler of its own, since the start of a worker is most of its time.
    """
    if "resources" not in settings:
        settings.setdefault("concurrent", None if isinstance(settings.get("scheduler"), dict) else 1)
    data = {"name": "digits", **settings.pop("data", {})}
    return Study.model_validate({"name": "small", "data": data, "space": SPACE, "trials": 4, "epochs": 3, **settings})


class Memory(Display):
    """A display that keeps what a person would have seen."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.states: dict[int, TrialState] = {}
        self.most_at_once = 0

    def say(self, line: str, style: str = "") -> None:
        self.lines.append(line)

    def begin(self, board: Board) -> None:
        super().begin(board)
        self.lines.append(board.title)

    def trial_started(self, trial: int, params: Mapping[str, Any]) -> None:
        super().trial_started(trial, params)
        self.most_at_once = max(self.most_at_once, sum(not running.paused for running in self.board.running.values()))

    def trial_ended(self, trial: int, state: TrialState, error: str) -> Running:
        self.states[trial] = state
        return super().trial_ended(trial, state, error)
