"""Every error that a user can meet, as one tree; each carries the exit status it ends the command with.

TuneMlpError                 1  anything that we refuse or that went wrong, said in one line
├── UsageError               2  the request can't be met as it was written
│   ├── StudyError           2  a study file or an override of it: file, line and path, then the rule
│   ├── DataError            2  a dataset that isn't there, or isn't what it should be
│   ├── ResourceError        2  more CPUs or GPUs than any node has
│   └── RunFolderError       2  a run's folder that exists already, is missing or can't be read
├── RunError                 1  a fault while the study ran
│   ├── NoTrialSucceeded     1  every trial diverged or failed
│   ├── StorageError         1  a file that can't be written: the disk is full, read-only or gone
│   │   └── StoreError       1  an object store that can't be reached, read or written
│   └── LostRun              1  another process has taken this run over
└── Interrupted        130/143  a signal ended the study; all that was learnt is saved
"""

from __future__ import annotations

import difflib
import signal
from collections.abc import Iterable


class TuneMlpError(Exception):
    """The root: its text is one line that a user can act on."""

    status = 1


class UsageError(TuneMlpError):
    status = 2


class StudyError(UsageError):
    """A rule of the study file that was broken, at `path` in it; `source` is `file:line` or the option that said it."""

    def __init__(self, rule: str, path: tuple[str | int, ...] = (), source: str = "") -> None:
        self.rule = rule
        self.path = path
        where = " ".join(part for part in (source, ".".join(map(str, path))) if part)
        super().__init__(f"{where}: {rule}" if where else rule)


class DataError(UsageError):
    pass


class ResourceError(UsageError):
    pass


class RunFolderError(UsageError):
    pass


class RunError(TuneMlpError):
    pass


class NoTrialSucceeded(RunError):
    pass


class StorageError(RunError):
    pass


class StoreError(StorageError):
    pass


class LostRun(RunError):
    pass


ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""The signals, beside Ctrl-C's, that ask a process to end."""


class Interrupted(TuneMlpError):
    """A signal ended the work early; the shell's status is its number and 128."""

    def __init__(self, message: str, signal_number: int) -> None:
        self.status = 128 + signal_number
        super().__init__(message)


def one_line(error: BaseException, limit: int = 500) -> str:
    """The error's text without line breaks, led by its kind when it isn't one of ours."""
    text = " ".join(str(error).split())
    if not isinstance(error, TuneMlpError):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text if len(text) <= limit else text[: limit - 1] + "…"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)` for a near name, or the whole list when it is short, or nothing."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return f" (did you mean {near[0]!r}?)"
    return f" (known: {', '.join(names)})" if 0 < len(names) <= 24 else ""
