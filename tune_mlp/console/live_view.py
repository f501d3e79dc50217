"""Displays of a running study: a live picture on a terminal, plain lines elsewhere, or nothing."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tune_mlp.console.board import STYLES, Board, Display, Running
from tune_mlp.console.formatting import clock, count, described, score
from tune_mlp.records import TrialState


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
