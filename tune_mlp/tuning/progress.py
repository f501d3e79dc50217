"""What a person sees while a study runs: a board of where it stands, drawn live, as plain lines, or not at all."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

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


class PlainLines(Display):
    """A line a trial, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, line: str, style: str = "") -> None:
        self._console.print(Text(line, style), soft_wrap=True)

    def begin(self, board: Board) -> None:
        super().begin(board)
        self.say(board.title)

    def trial_ended(self, trial: int, state: TrialState, error: str) -> Running:
        running = super().trial_ended(trial, state, error)
        board = self.board
        value = "" if running.value is None else f"{board.metric} {score(board.metric, running.value)}  "
        best = f"  best {score(board.metric, board.best[1])} (trial {board.best[0]})" if board.best else ""
        what = error or described(running.params)
        number = f"[{sum(board.ended.values())}/{board.trials}]"
        self.say(f"{number} trial {trial} {state} after {count(running.epoch, 'epoch')}  {value}{what}{best}")
        return running


class LiveView(PlainLines):
    """A calm picture of the board, drawn anew twice a second."""

    def waiting(self, what: str) -> AbstractContextManager[object]:
        return self._console.status(Text(what, "dim"))

    def begin(self, board: Board) -> None:
        super().begin(board)
        self._live = Live(
            console=self._console,
            get_renderable=self.picture,
            refresh_per_second=2,
            transient=True,
            redirect_stderr=False,
        )
        self._live.start()

    def trial_ended(self, trial: int, state: TrialState, error: str) -> Running:
        if error:
            self._console.print(Text(f"trial {trial} failed: {error}", "red"))
        return Display.trial_ended(self, trial, state, error)

    def finish(self) -> None:
        self._live.stop()

    def picture(self) -> RenderableType:
        """The board as it is now."""
        board = self.board
        head = Table.grid(padding=(0, 1))
        left = board.seconds_left()
        head.add_row(
            "trials",
            ProgressBar(total=board.trials, completed=board.done, width=32),
            f"{sum(board.ended.values())}/{board.trials}",
            Text(f"{board.epochs_trained} epochs", "dim"),
            clock(time.monotonic() - board.started),
            Text(f"about {clock(left)} left" if left is not None else "", "dim"),
        )
        rows = Table.grid(padding=(0, 2))
        for trial, running in sorted(board.running.items()):
            rows.add_row(
                Text(f"trial {trial}", "cyan"),
                f"epoch {running.epoch}/{board.epochs}",
                "" if running.value is None else f"{board.metric} {score(board.metric, running.value)}",
                Text(described(running.params), "dim", no_wrap=True, overflow="ellipsis"),
            )
        if board.best:
            trial, value, params = board.best
            rows.add_row(
                Text(f"trial {trial}", "bold green"),
                Text("best", "bold green"),
                Text(f"{board.metric} {score(board.metric, value)}", "bold green"),
                Text(described(params), no_wrap=True, overflow="ellipsis"),
            )
        ended = Text("  ").join(Text(f"{count} {state}", STYLES[state]) for state, count in board.ended.items())
        return Group(head, rows, ended)


def make_display(console: Console, quiet: bool) -> Display:
    """Quiet, live on a terminal, plain lines elsewhere."""
    if quiet:
        return Display()
    return LiveView(console) if console.is_terminal and not console.is_dumb_terminal else PlainLines(console)


def described(params: Mapping[str, Any]) -> str:
    """A draw in a few words: `lr 0.00123, batch_size 32, optimizer sgd, momentum 0.9`."""
    return ", ".join(f"{path.split('.')[-1]} {shown(value)}" for path, value in params.items())


def shown(value: Any) -> str:
    """A value as short as it can be read."""
    return f"{value:.3g}" if isinstance(value, float) else str(list(value) if isinstance(value, tuple) else value)


def score(metric: str, value: float) -> str:
    """Accuracies with four decimals, all else with as many digits as tell it apart."""
    return f"{value:.4f}" if metric.endswith("accuracy") else f"{value:.4g}"


def count(number: int, noun: str) -> str:
    """`1 epoch`, `2 epochs`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def clock(seconds: float) -> str:
    """1:05 or 1:02:33."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
