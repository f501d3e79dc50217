"""journal.jsonl: the append-only truth about a run, one checksummed line an event; reading it executes nothing.

A line is one strict-JSON object whose last member is the CRC-32 of the object without it. Whatever follows the last newline is a write
that was cut short, and is left out; any other line that isn't as it was written is refused.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar, get_args

from tune_mlp.errors import RunFolderError
from tune_mlp.records import EpochRecord, Mode, Task, TrialState

MAX_TRIALS = 10**9
"""Files are named by a trial's number."""

Scalar = str | int | float | bool | None
Param = Scalar | Sequence[Scalar]


@dataclass(frozen=True, slots=True)
class Started:
    """The first line: what the tables need to know of the study."""

    study_name: str
    task: Task
    metric: str
    mode: Mode
    epochs: int
    engine: str
    classes: int
    seed: int
    dataset: str
    """What was really learnt."""
    stand_in_for: str
    """The dataset that was asked for and couldn't be had; empty where `dataset` is it."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """The search chose a trial's parameters."""

    trial: int
    params: Mapping[str, Param]
    seed: int


@dataclass(frozen=True, slots=True)
class Trained:
    """A trial trained some epochs, each of one or more folds."""

    trial: int
    epochs: tuple[EpochRecord, ...]
    node: str
    weights: int


@dataclass(frozen=True, slots=True)
class Ended:
    """A trial is over; `error` is empty unless it failed."""

    trial: int
    state: TrialState
    seconds: float
    error: str


@dataclass(frozen=True, slots=True)
class Tested:
    """The winner met the test part, once."""

    trial: int
    metrics: Mapping[str, float]
    """`test_*`; of several seeds also `test_*_std`, and of a net trained anew on all samples `retrained_*`."""


Event = Started | Drawn | Trained | Ended | Tested

EVENTS: dict[str, type[Event]] = {
    "started": Started,
    "drawn": Drawn,
    "trained": Trained,
    "ended": Ended,
    "tested": Tested,
}
_NAMES = {kind: name for name, kind in EVENTS.items()}

# Only metrics may be non-finite, and a metric is never text: so these words can't be mistaken for a parameter that reads "nan".
_NON_FINITE = {repr(value): value for value in (math.nan, math.inf, -math.inf)}
_CHECKSUM = b',"crc":"%08x"}'
_CHECKSUM_LENGTH = len(_CHECKSUM % 0)

_T = TypeVar("_T")


def _exactly(*kinds: type) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if type(value) not in kinds:  # not isinstance: True is no int here
            raise ValueError(f"must be {' or '.join(kind.__name__ for kind in kinds)}, got {value!r:.40}")
        return value

    return check


def _one_of(names: tuple[str, ...]) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if value not in names:
            raise ValueError(f"must be one of {', '.join(names)}, got {value!r:.40}")
        return value

    return check


def _read_int(value: Any) -> int:
    if not -(2**63) <= _exactly(int)(value) < 2**63:
        raise ValueError("must have 64 bits at most")
    return int(value)


def _read_float(value: Any) -> float:
    return float(_exactly(float, int)(value))


def _read_metric(value: Any) -> float:
    return _NON_FINITE[value] if isinstance(value, str) and value in _NON_FINITE else _read_float(value)


def _write_metric(value: float) -> float | str:
    value = float(value)
    return value if math.isfinite(value) else repr(value)


def _read_param(value: Any) -> Param:
    scalar = _exactly(str, int, float, bool, type(None))
    return [scalar(item) for item in value] if isinstance(value, list) else scalar(value)


def _read_map(read_value: Callable[[Any], _T]) -> Callable[[Any], dict[str, _T]]:
    def read_all(value: Any) -> dict[str, _T]:
        return {name: read_value(item) for name, item in _exactly(dict)(value).items()}

    return read_all


@dataclass(frozen=True, slots=True)
class _Codec:
    read: Callable[[Any], Any]
    write: Callable[[Any], Any]


# By the type that a field is annotated with.
_CODECS: dict[str, _Codec] = {
    "int": _Codec(_read_int, int),
    "float": _Codec(_read_float, float),
    "str": _Codec(_exactly(str), str),
    "Task": _Codec(_one_of(get_args(Task)), str),
    "Mode": _Codec(_one_of(get_args(Mode)), str),
    "TrialState": _Codec(TrialState, str),
    "Mapping[str, Param]": _Codec(_read_map(_read_param), dict),
    "Mapping[str, float]": _Codec(
        _read_map(_read_metric), lambda metrics: {name: _write_metric(value) for name, value in metrics.items()}
    ),
    "tuple[EpochRecord, ...]": _Codec(
        lambda items: tuple(_read_fields(EpochRecord, item) for item in _exactly(list)(items)),
        lambda records: [_write_fields(record) for record in records],
    ),
}


def _write_fields(owner: Event | EpochRecord) -> dict[str, Any]:
    return {field.name: _CODECS[str(field.type)].write(getattr(owner, field.name)) for field in fields(owner)}


def _read_fields(kind: type[Any], data: Any) -> Any:
    types = {field.name: str(field.type) for field in fields(kind)}
    needed = {field.name for field in fields(kind) if field.default is MISSING}
    given = _exactly(dict)(data).keys()
    if unlike := (needed - given) | (given - types.keys()):
        name = min(unlike)
        raise ValueError(f"{'missing' if name in types else 'unknown'} field {name!r:.40}")
    values = {}
    for name, value in data.items():
        try:
            values[name] = _CODECS[types[name]].read(value)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return kind(**values)


def to_line(event: Event) -> bytes:
    """The event as it stands in the file, newline and all."""
    data = {"event": _NAMES[type(event)], **_write_fields(event)}
    return _seal(json.dumps(data, allow_nan=False, separators=(",", ":")).encode()) + b"\n"


def from_line(line: bytes) -> Event:
    """The event of a whole line without its newline; a ValueError says what is wrong with any other."""
    body = line[:-_CHECKSUM_LENGTH] + b"}"
    if _seal(body) != line:
        raise ValueError("the checksum doesn't fit; the line was changed or damaged")
    try:
        data = _exactly(dict)(json.loads(body.decode()))
    except RecursionError:
        raise ValueError("nested too deep") from None
    name = data.pop("event", None)
    if not isinstance(name, str) or name not in EVENTS:
        raise ValueError(f"unknown event {name!r:.40}")
    event: Event = _read_fields(EVENTS[name], data)
    if not isinstance(event, Started) and not 0 <= event.trial < MAX_TRIALS:
        raise ValueError(f"trial: must be 0 to {MAX_TRIALS - 1}, got {event.trial}")
    if isinstance(event, Trained) and not event.epochs:
        raise ValueError("epochs: there must be one at least")
    return event


def _seal(body: bytes) -> bytes:
    return body[:-1] + _CHECKSUM % zlib.crc32(body)


def read(path: str | Path) -> list[Event]:
    """All events; a torn last line is left out, any other that isn't whole is refused."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise RunFolderError(f"{path}: can't read the journal: {error.strerror or error}") from None
    return parse_events(content, path)


def parse_events(content: bytes, path: str | Path) -> list[Event]:
    *lines, _torn = content.split(b"\n")
    if not lines:
        raise RunFolderError(f"{path}: the journal is empty: the run ended before its first line was written")
    events: list[Event] = []
    drawn: set[int] = set()
    for number, line in enumerate(lines, start=1):
        try:
            event = from_line(line)
            if isinstance(event, Drawn):
                drawn.add(event.trial)
            elif not isinstance(event, Started) and event.trial not in drawn:
                raise ValueError(f"tells of trial {event.trial}, which was never drawn")
            events.append(event)
        except ValueError as error:
            raise RunFolderError(f"{path}:{number}: {' '.join(str(error).split())}") from None
    if not isinstance(events[0], Started):
        raise RunFolderError(f"{path}:1: a journal begins with 'started', got {_NAMES[type(events[0])]!r}")
    return events
