"""A terminal for tests and pictures: runs a command on a pseudo-terminal and keeps its screen."""

from __future__ import annotations

import io
import os
import pty
import select
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyte
from rich.color import ANSI_COLOR_NAMES
from rich.console import Console
from rich.style import Style
from rich.text import Text


class Terminal:
    """A screen with so many columns and lines, as a person would see it."""

    def __init__(self, columns: int, lines: int) -> None:
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)

    def run(
        self,
        command: Sequence[str],
        cwd: Path,
        env: Mapping[str, str] | None = None,
        watch: Callable[[list[str]], None] = lambda lines: None,
        timeout: float = 600,
    ) -> int:
        """Run to the end, calling `watch` with the screen's lines after each change; returns the exit status."""
        ours, theirs = pty.openpty()
        size = {"COLUMNS": str(self.screen.columns), "LINES": str(self.screen.lines), "TERM": "xterm-256color"}
        environment = {**os.environ, **(env or {}), **size}
        process = subprocess.Popen(
            command, cwd=cwd, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)
        end = time.monotonic() + timeout
        try:
            while time.monotonic() < end:
                ready, _, _ = select.select([ours], [], [], 0.2)
                if ready:
                    try:
                        data = os.read(ours, 65536)
                    except OSError:  # the other side has closed
                        break
                    if not data:
                        break
                    self._stream.feed(data)
                    watch(self.lines)
                elif process.poll() is not None:
                    break
            return process.wait(timeout=max(1.0, end - time.monotonic()))
        finally:
            os.close(ours)
            if process.poll() is None:
                process.kill()

    @property
    def lines(self) -> list[str]:
        """The screen's text, without the empty lines at its end."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip().splitlines()

    def svg(self, title: str) -> str:
        """Return the screen as a picture."""
        count = len(self.lines)
        console = Console(width=self.screen.columns, record=True, file=io.StringIO(), force_terminal=True)
        for y in range(count):
            text = Text(no_wrap=True)
            for x in range(self.screen.columns):
                cell = self.screen.buffer[y][x]
                text.append(cell.data, Style(color=_colour(cell.fg), bold=cell.bold))
            text.rstrip()
            console.print(text)
        return console.export_svg(title=title)


def _colour(name: str) -> str | None:
    if name == "default":
        return None
    known = name.replace("bright", "bright_").replace("brown", "yellow")
    return known if known in ANSI_COLOR_NAMES else f"#{name}"
