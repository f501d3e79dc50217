"""All errors that a user can meet, as one tree; each has the exit status that the command ends with.

TuneMlpError                 1  anything that we refuse or that went wrong, said in one line
├── UsageError               2  the request can't be met as it was written
│   ├── StudyError           2  a study file or an override of it: file, line and path, then the rule
│   ├── DataError            2  a dataset that isn't there, or isn't what it should be
│   ├── ResourceError        2  more CPUs or GPUs than any node has
│   ├── RunFolderError       2  a run's folder that exists already, is missing or can't be read
│   └── ServiceFault         2  a request that the service can't meet; service/faults.py has the classes below
│       ├── NotAllowed       2  the user may not do this
│       ├── UnknownStudy     2  no study has this name
│       ├── Conflict         2  the study isn't in a state for this, or a key was used for another request
│       ├── Refused          2  a value of the request breaks a rule
│       ├── TooMany          2  a limit of the service is reached
│       └── NoSpaceLeft      2  the service's disk is full
├── RunError                 1  a fault while the study ran
│   ├── NoTrialSucceeded     1  every trial diverged or failed
│   ├── StorageError         1  a file that can't be written: the disk is full, read-only or gone
│   │   └── StoreError       1  an object store that can't be reached, read or written
│   ├── ServiceUnreachable   1  no service answers at an address
│   ├── LostRun              1  another process has taken this run over
│   └── RayLost              1  Ray's own processes ended while a study ran
└── Interrupted        130/143  a signal ended the study; all that was learnt is saved
"""

from __future__ import annotations

import difflib
import signal
import unicodedata
from collections.abc import Collection, Iterable

from tune_mlp.synonyms import SYNONYMS

SHORT_LIST = 24
"""The largest number of known names that a message lists in full."""


class TuneMlpError(Exception):
    """The root of the tree: its text is one line that a user can act on, whatever names and values stand in it."""

    status = 1

    def __init__(self, text: str = "") -> None:
        super().__init__(escaped(text))


class UsageError(TuneMlpError):
    status = 2


class StudyError(UsageError):
    """An error in a study file: the value at `path` breaks a rule. `source` is `file:line`, or the option that gave the value."""

    def __init__(self, rule: str, path: tuple[str | int, ...] = (), source: str = "") -> None:
        self.rule = rule
        self.path = path
        self.source = source
        where = " ".join(part for part in (source, ".".join(clipped(str(part)) for part in path)) if part)
        super().__init__(f"{where}: {rule}" if where else rule)


class DataError(UsageError, ValueError):
    """A ValueError, too, which is what scikit-learn's tools expect where data can't be used."""


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


ENDING = tuple(
    getattr(signal, name)
    for name in ("SIGTERM", "SIGHUP", "SIGQUIT")
    if hasattr(signal, name)  # Windows lacks two
)
"""The signals, beside Ctrl-C's, that ask a process to end."""


class Interrupted(TuneMlpError):
    """A signal ended the work early; the shell's status is its number and 128."""

    def __init__(self, message: str, signal_number: int) -> None:
        self.status = 128 + signal_number
        super().__init__(message)


def escaped(text: str) -> str:
    """Write the text in one line: each character that isn't printable is replaced by its escape in Python, `\\n` or `\\u202e`.

    A line break in a name would make a second line, and a mark of text direction would show the text in another order.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def require_utf8(what: str, text: str) -> None:
    """Refuse a name that isn't UTF-8, such as a file's in an old encoding: Ray takes no such text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{what} {text!a} isn't UTF-8, as Ray needs it; choose another name") from None


def clipped(text: str, limit: int = 80) -> str:
    """Cut the text off where it is longer than `limit` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def one_line(error: BaseException, limit: int = 500) -> str:
    """Return the error's text in one line; an error that isn't one of ours begins with the name of its type."""
    text = escaped(" ".join(str(error).split()))
    if not isinstance(error, TuneMlpError):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return clipped(text, limit)


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the known name that was probably meant: one that other libraries call `name`, or one with nearly the same spelling."""
    by_spelling = {_spelling(one): one for one in known}
    spelling = _spelling(name)
    for ours, theirs in SYNONYMS.items():
        if ours in by_spelling and spelling in theirs.split():
            return by_spelling[ours]
    for one in by_spelling:
        if sorted(one) == sorted(spelling):  # the same letters in another order, as in `cvs`
            return by_spelling[one]
    near = difflib.get_close_matches(spelling, by_spelling, n=1, cutoff=cutoff)
    return by_spelling[near[0]] if near else None


def did_you_mean(name: str, known: Iterable[str], in_study: bool = False) -> str:
    """Return ` (did you mean 'x'?)` if a known name is near, the list of known names if it is short, or an empty text.

    With `in_study`, a name of another library is answered by ours even where ours belongs to another part of a study.
    """
    names = list(known)
    listed = 0 < len(names) <= SHORT_LIST
    near = nearest(name, names, 0.7 if listed else 0.6)  # the whole list is more useful than a doubtful guess
    if near is not None:
        return f" (did you mean {clipped(near)!r}?)"
    if in_study and (ours := nearest(name, SYNONYMS, cutoff=1.0)) not in (None, name):
        return f" (a study calls it {ours!r})"
    return f" (known: {', '.join(map(clipped, names))})" if listed else ""


def no_such_trial(trial: int, known: Collection[int]) -> str:
    """Say that a run lacks a trial, and which numbers it has."""
    has = f"it has {len(known)}, from {min(known)} to {max(known)}" if len(known) > 1 else ""
    has = has or (f"it has only trial {next(iter(known))}" if known else "it has none yet")
    return f"trial {trial}: the run has no such trial; {has}"


def _spelling(name: str) -> str:
    """Return the name in the form that is compared: without differences of case, of dashes and underscores, and of Unicode's forms."""
    return unicodedata.normalize("NFC", name).casefold().replace("-", "_").replace(" ", "_")
