"""The board holds where a running study stands, and a display is told of each change of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from tune_mlp.records import Mode, TrialState

STYLES = {
    TrialState.FINISHED: "green",
    TrialState.STOPPED: "yellow",
    TrialState.DIVERGED: "magenta",
    TrialState.FAILED: "red",
}
NEVER_BEST = (TrialState.DIVERGED, TrialState.FAILED)
"""Trials that end in these states are not ranked, so the board forgets their values."""


@dataclass
class Running:
    """One trial in training."""

    params: Mapping[str, Any]
    epoch: int = 0
    value: float | None = None
    paused: bool = False
    """True while the scheduler has paused the trial."""


@dataclass
class Board:
    """The state of a study: the trials that run, how many have ended, and the best so far."""

    title: str
    metric: str
    mode: Mode
    trials: int
    epochs: int
    time_budget: float | None = None
    """The seconds that all trials together may take."""
    started: float = field(default_factory=time.monotonic)
    first_trial: float | None = None
    """When the first trial began; the time budget counts from here."""
    running: dict[int, Running] = field(default_factory=dict)
    ended: Counter[TrialState] = field(default_factory=Counter)
    epochs_trained: int = 0
    values: dict[int, tuple[float, Mapping[str, Any]]] = field(default_factory=dict)
    """Each trial's best value so far and its parameters, for the trials that may be the winner."""

    @property
    def best(self) -> tuple[int, float, Mapping[str, Any]] | None:
        """Return the best trial so far: its number, value and parameters. Of equal values the lowest number leads."""
        if not self.values:
            return None
        sign = 1 if self.mode == "min" else -1
        trial = min(self.values, key=lambda number: (sign * self.values[number][0], number))
        return (trial, *self.values[trial])

    @property
    def done(self) -> float:
        """Return the work that is done, counted in whole trials."""
        return sum(self.ended.values()) + sum(trial.epoch / self.epochs for trial in self.running.values())

    def seconds_left(self) -> float | None:
        """Estimate the seconds that the trials still take: at the pace so far, and never more than the time budget leaves.
        None while no pace is known."""
        now = time.monotonic()
        elapsed = now - (self.first_trial or self.started)
        left = elapsed * (self.trials - self.done) / self.done if self.done >= 0.5 else None
        budget = self.budget_left()
        if budget is None:
            return left
        return budget if left is None else min(left, budget)

    def budget_left(self) -> float | None:
        """Return the seconds that the time budget still allows; None where there is no budget."""
        if self.time_budget is None:
            return None
        elapsed = time.monotonic() - self.first_trial if self.first_trial is not None else 0.0
        return max(0.0, self.time_budget - elapsed)


class Display:
    """Shows nothing: the quiet display, and the base class of those that show something."""

    board: Board

    def say(self, line: str, style: str = "") -> None:
        """Show one line of text."""

    def waiting(self, what: str) -> AbstractContextManager[object]:
        """Show that the user has to wait while the context is open."""
        return nullcontext()

    def begin(self, board: Board) -> None:
        """Start to show this board."""
        self.board = board

    def trial_started(self, trial: int, params: Mapping[str, Any]) -> None:
        """Note that a trial begins, or goes on with these parameters."""
        board = self.board
        if board.first_trial is None:
            board.first_trial = time.monotonic()
        if trial in board.values and board.values[trial][1] != params:
            del board.values[trial]  # population-based training gave it other settings
        before = board.running.get(trial)
        board.running[trial] = (
            Running(params, before.epoch, before.value) if before and before.paused else Running(params)
        )

    def trial_trained(self, trial: int, epoch: int, epochs_trained: int, value: float, best: float | None) -> None:
        """Note a trial's last epoch, how many epochs it trained since the last note, its value, and its best value."""
        board = self.board
        running = board.running.setdefault(trial, Running({}))
        running.epoch, running.value = epoch, value
        board.epochs_trained += epochs_trained
        board.values.pop(trial, None)
        if best is not None:
            board.values[trial] = (best, running.params)

    def trial_paused(self, trial: int) -> None:
        """Note that a trial gives its worker away until it may go on."""
        self.board.running.setdefault(trial, Running({})).paused = True

    def trial_ended(self, trial: int, state: TrialState, error: str) -> Running:
        """Note how a trial ended, and return what was known of it."""
        board = self.board
        board.ended[state] += 1
        if state in NEVER_BEST:
            board.values.pop(trial, None)
        return board.running.pop(trial, Running({}))

    def finish(self) -> None:
        """End the board: no trial runs any more."""
