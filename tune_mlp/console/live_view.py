"""Displays of a running study: a live board on a terminal or in a notebook, plain lines elsewhere, or nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from rich.console import Console, ConsoleOptions, ConsoleRenderable, Group, RenderableType, RenderResult
from rich.control import Control
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.segment import ControlType, Segment
from rich.table import Table
from rich.text import Text

from tune_mlp.console.board import STYLES, Board, Display, Running
from tune_mlp.console.formatting import clock, count, described, score
from tune_mlp.console.notebook import in_notebook
from tune_mlp.records import TrialState

WIDE = 72
"""On a narrower terminal the board leaves out the parameters and shortens its bar."""


class PlainLines(Display):
    """Prints one line for each trial that ends: for logs and pipes."""

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
        best = ""
        if board.best:
            leader, figure, _ = board.best
            best = f"  best_{board.metric} {score(board.metric, figure)} (trial {leader})"
        budget = board.budget_left()
        left = f"  {clock(budget)} of the time budget left" if budget is not None else ""
        what = error or described(running.params)
        number = f"[{sum(board.ended.values())}/{board.trials}]"
        self.say(f"{number} trial {trial} {state} after {count(running.epoch, 'epoch')}  {value}{what}{best}{left}")
        return running


class Redrawn(Live):
    """Draws a picture anew twice a second, and erases the old one even where the terminal has become narrower since.

    A terminal that becomes narrower wraps the lines that it shows, so that the old picture takes more rows than it was
    drawn with. xterm and the Linux console cut them off instead.
    """

    def __init__(self, console: Console, draw: Callable[[], RenderableType]) -> None:
        self._draw = draw
        self._lengths: list[int] = []
        self._wraps = "XTERM_VERSION" not in os.environ and os.environ.get("TERM") != "linux"
        super().__init__(
            console=console,
            get_renderable=lambda: self,
            refresh_per_second=2,
            transient=True,
            redirect_stderr=False,
        )

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = console.render_lines(self._draw(), options, pad=False)
        self._lengths = [Segment.get_line_length(line) for line in lines][: options.size.height]
        for line in lines:
            yield from line
            yield Segment.line()

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        width = self.console.width
        more = sum((length - 1) // width for length in self._lengths if length) if self._wraps else 0
        rows = Control(
            ControlType.CARRIAGE_RETURN, *((ControlType.ERASE_IN_LINE, 2), (ControlType.CURSOR_UP, 1)) * more
        )
        return [rows, *super().process_renderables(renderables)] if more else super().process_renderables(renderables)


class LiveView(PlainLines):
    """Shows the board on a terminal and draws it anew twice a second."""

    def waiting(self, what: str) -> AbstractContextManager[object]:
        return self._console.status(Text(what, "dim"))

    def begin(self, board: Board) -> None:
        super().begin(board)
        self._live = Redrawn(self._console, lambda: picture(self.board, self._console.width))
        self._live.start()

    def trial_ended(self, trial: int, state: TrialState, error: str) -> Running:
        if error:
            self._console.print(Text(f"trial {trial} failed: {error}", "red"))
        return Display.trial_ended(self, trial, state, error)

    def finish(self) -> None:
        self._live.stop()


class NotebookView(LiveView):
    """Shows one board that updates itself under a notebook's cell. All text stays above and below it."""

    def waiting(self, what: str) -> AbstractContextManager[object]:
        return Display.waiting(self, what)

    def begin(self, board: Board) -> None:
        from tune_mlp.console.notebook import UpdatedOutput  # IPython is there in a notebook alone

        PlainLines.begin(self, board)
        self._output = UpdatedOutput(lambda: picture(board, self._console.width), self._console.width)

    def trial_trained(self, trial: int, epoch: int, epochs_trained: int, value: float, best: float | None) -> None:
        super().trial_trained(trial, epoch, epochs_trained, value, best)
        self._output.update()

    def trial_ended(self, trial: int, state: TrialState, error: str) -> Running:
        running = super().trial_ended(trial, state, error)
        self._output.update()
        return running

    def finish(self) -> None:
        self._output.update(at_once=True)


def picture(board: Board, width: int) -> RenderableType:
    """Draw the board as it is now."""
    narrow = width < WIDE
    head = Table.grid(padding=(0, 1))
    left = board.seconds_left()
    paused = sum(running.paused for running in dict(board.running).values())
    summary: list[RenderableType] = [
        "trials",
        ProgressBar(total=board.trials, completed=board.done, width=8 if narrow else 32),
        f"{sum(board.ended.values())}/{board.trials}",
        Text(count(board.epochs_trained, "epoch"), "dim"),
        *([Text(f"{paused} paused", "dim")] if paused else []),
        clock(time.monotonic() - board.started),
    ]
    if not narrow and left is not None:
        bound = "at most" if left == board.budget_left() else "about"
        summary.append(Text(f"{bound} {clock(left)} left", "dim"))
    head.add_row(*summary)
    rows = Table.grid(padding=(0, 2))

    def add(cells: tuple[Text, Text, Text], params: Text) -> None:
        rows.add_row(*cells, *(() if narrow else (params,)))

    for trial, running in sorted(dict(board.running).items()):
        if running.paused:
            continue
        value = "" if running.value is None else f"{board.metric} {score(board.metric, running.value)}"
        cells = (Text(f"trial {trial}", "cyan"), Text(f"epoch {running.epoch}/{board.epochs}"), Text(value))
        add(cells, Text(described(running.params), "dim", no_wrap=True, overflow="ellipsis"))
    if board.best:
        trial, best, params = board.best
        figure = f"best_{board.metric} {score(board.metric, best)}"
        cells = (Text(f"trial {trial}", "bold green"), Text("best so far", "bold green"), Text(figure, "bold green"))
        add(cells, Text(described(params), no_wrap=True, overflow="ellipsis"))
    ended = Text("  ").join(Text(f"{number} {state}", STYLES[state]) for state, number in dict(board.ended).items())
    return Group(head, rows, ended)


def make_display(console: Console, quiet: bool) -> Display:
    """Choose the display: none if `quiet`, a live board in a notebook or on a terminal, plain lines elsewhere."""
    if quiet:
        return Display()
    if in_notebook():
        return NotebookView(console)
    return LiveView(console) if console.is_terminal and not console.is_dumb_terminal else PlainLines(console)
