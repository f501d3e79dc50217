"""The journal's reader: checks each line against those before it, and reads the whole file or what was added to it."""

from __future__ import annotations

from pathlib import Path

from tune_mlp.errors import RunFolderError
from tune_mlp.imports import garbage_waits
from tune_mlp.records import COSTS, FURTHER_SCORES, metric_names
from tune_mlp.regular_files import read_regular
from tune_mlp.results.journal import (
    EVENT_NAMES,
    Drawn,
    Event,
    Line,
    Looked,
    RunEvent,
    Started,
    Tested,
    Trained,
    from_line,
)

MOST_BYTES = 4 * 10**9
"""The largest size of a journal that is read."""


def read(path: str | Path) -> list[Event]:
    """Read all events. An incomplete last line is left out; any other line that isn't whole is refused."""
    return [line.event for line in read_lines(path)]


def read_lines(path: str | Path) -> list[Line]:
    """Read all lines, with the time at which each was written."""
    try:
        content = read_regular(path, MOST_BYTES)
    except OSError as error:
        raise RunFolderError(f"{path}: can't read the journal: {error.strerror or error}") from None
    return parse_lines(content, path)


def parse_events(content: bytes, path: str | Path) -> list[Event]:
    """Return the events of a journal's content; `path` is named in errors."""
    return [line.event for line in parse_lines(content, path)]


def parse_lines(content: bytes, path: str | Path) -> list[Line]:
    """Return the lines of a journal's content; `path` is named in errors."""
    with garbage_waits():  # a million lines make millions of objects and no garbage
        lines = LineReader(path).take(content)
    if not lines:
        raise RunFolderError(f"{path}: the journal is empty: the run ended before its first line was written")
    return lines


class LineReader:
    """Reads a journal piece by piece, and checks each line against those before it."""

    def __init__(self, path: str | Path) -> None:
        self._path = path
        self.lines = 0
        """How many lines were read."""
        self._numbered = False
        """A line of format 2 was read, so all that follow are of format 2."""
        self._drawn: set[int] = set()
        self._metrics: set[str] = set()
        """The names of the metrics of every epoch."""

    def take(self, content: bytes) -> list[Line]:
        """Return the whole lines at the start of `content`, which begins where a line begins."""
        *pieces, _torn = content.split(b"\n")
        return [self._line(piece) for piece in pieces]

    def _line(self, piece: bytes) -> Line:
        self.lines += 1
        try:
            line = from_line(piece)
            self._check(line)
        except (ValueError, OverflowError) as error:
            raise RunFolderError(f"{self._path}:{self.lines}: {' '.join(str(error).split())}") from None
        return line

    def _check(self, line: Line) -> None:
        event = line.event
        if self.lines == 1 and not isinstance(event, Started):
            raise ValueError(f"a journal begins with 'started', got {EVENT_NAMES[type(event)]!r}")
        if self.lines > 1 and isinstance(event, Started):
            raise ValueError("a journal has one 'started', in its first line")
        self._numbered = self._numbered or line.number is not None
        if self._numbered and line.number != self.lines:
            raise ValueError(
                f"line {self.lines} says that it is line {line.number}; a line was deleted, doubled or moved"
            )
        if isinstance(event, Started):
            for name in event.further:
                if name not in FURTHER_SCORES[event.task]:
                    known = ", ".join(FURTHER_SCORES[event.task])
                    raise ValueError(f"further: must be among {known}, got {name!r:.40}")
            self._metrics = {*metric_names(event.task, "train"), *metric_names(event.task, "val", event.further)}
            if event.metric not in self._metrics:
                raise ValueError(f"metric: must be one of {', '.join(sorted(self._metrics))}, got {event.metric!r:.40}")
            able = {*metric_names(event.task, "val", event.further), *COSTS}
            for name in event.further_goals:
                if name not in able:
                    raise ValueError(f"further_goals: must be among {', '.join(sorted(able))}, got {name!r:.40}")
        elif isinstance(event, RunEvent):
            return
        elif isinstance(event, Drawn):
            self._drawn.add(event.trial)
        elif event.trial not in self._drawn:
            raise ValueError(f"tells of trial {event.trial}, which was never drawn")
        elif isinstance(event, Trained):
            for record in event.epochs:
                if record.metrics.keys() != self._metrics:
                    raise ValueError(
                        f"metrics: must be {', '.join(sorted(self._metrics))}, got {', '.join(record.metrics):.80}"
                    )
        elif isinstance(event, Tested | Looked):
            for name in event.metrics:
                if not name.startswith(("test_", "retrained_")):
                    raise ValueError(f"metrics: a name begins with test_ or retrained_, got {name!r:.40}")
