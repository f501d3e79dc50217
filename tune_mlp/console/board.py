"""The board: where a running study stands, and the display that is told of each change."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from tune_mlp.records import Mode, TrialState, better

STYLES = {
    TrialState.FINISHED: "green",
    TrialState.STOPPED: "yellow",
    TrialState.DIVERGED: "magenta",
    TrialState.FAILED: "red",
}


@dataclass
class Running:
    """One trial in training."""

    params: Mapping[str, Any]
    epoch: int = 0
    value: float | None = None


@dataclass
class Board:
    """Where a study stands."""

    title: str
    metric: str
    mode: Mode
    trials: int
    epochs: int
    started: float = field(default_factory=time.monotonic)
    running: dict[int, Running] = field(default_factory=dict)
    ended: Counter[TrialState] = field(default_factory=Counter)
    epochs_trained: int = 0
    best: tuple[int, float, Mapping[str, Any]] | None = None

    @property
    def done(self) -> float:
        """How many trials' worth of work is behind us."""
        return sum(self.ended.values()) + sum(trial.epoch / self.epochs for trial in self.running.values())

    def seconds_left(self) -> float | None:
        """At the pace so far; None while there is none."""
        elapsed = time.monotonic() - self.started
        return elapsed * (self.trials - self.done) / self.done if self.done >= 0.5 else None


class Display:
    """Shows nothing. The base of those that show something, and the quiet one."""

    board: Board

    def say(self, line: str, style: str = "") -> None:
        """One line for the person, before or after the trials."""

    def waiting(self, what: str) -> AbstractContextManager[object]:
        """For the seconds in which nothing else can be shown."""
        return nullcontext()

    def begin(self, board: Board) -> None:
        self.board = board

    def trial_started(self, trial: int, params: Mapping[str, Any]) -> None:
        self.board.running[trial] = Running(params)

    def trial_trained(self, trial: int, epoch: int, epochs_trained: int, value: float, best: float | None) -> None:
        board = self.board
        running = board.running.setdefault(trial, Running({}))
        running.epoch, running.value = epoch, value
        board.epochs_trained += epochs_trained
        if best is not None and better(best, board.best[1] if board.best else None, board.mode):
            board.best = (trial, best, running.params)

    def trial_ended(self, trial: int, state: TrialState, error: str) -> Running:
        self.board.ended[state] += 1
        return self.board.running.pop(trial, Running({}))

    def finish(self) -> None:
        """The trials are over, one way or another."""
