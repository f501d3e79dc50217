"""The journal, journal.jsonl, is the append-only truth about a run: one checksummed line an event. Reading it executes nothing.

A line is one strict-JSON object. Its members are `event`, the event's fields, `n` (the line's number in the file, from 1), `at` (when the
line was written, in seconds since 1970) and `crc` (the CRC-32 of the object without this last member). Text after the last newline is a
write that was cut short, and is left out. Any other line that was changed, deleted, doubled or moved is refused with its number. Lines
that are missing at the end can't be noticed.

This is format 2. Lines of format 1 had neither `n` nor `at`; a journal that begins with such may go on with lines of format 2.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal, NamedTuple, get_args

from tune_mlp.records import ENGINE_NAMES, EpochRecord, Goal, Mode, Task, TrialState, usual_goal
from tune_mlp.results.journal_values import (
    DICT,
    INT,
    SCALAR,
    STR,
    exactly,
    one_of,
    read_float,
    read_int,
    read_map,
    read_metric,
    read_optional,
    write_metric,
    write_optional,
)
from tune_mlp.results.limits import FORMAT, LIMITS
from tune_mlp.results.plain_text import checked, escaped, escaped_error
from tune_mlp.results.sealed_lines import sealed, unsealed
from tune_mlp.results.usual_records import record_reader

Decision = Literal["continue", "stop", "pause", "promote", "exploit"]
"""What a scheduler can decide: `promote` lets a paused trial go on, and `exploit` takes over the weights and settings of a better one."""
TrainedBy = str
"""One of ENGINE_NAMES."""
ErrorText = str
"""Text from anywhere; its control characters and text direction marks, but line breaks and tabs, are read as escapes."""
Reason = Literal["", "scheduler", "time budget", "interruption", "patience"]
"""What ended a trial early; empty where it trained all its epochs, diverged or failed, or where it isn't known."""

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
    engine: TrainedBy
    classes: int
    seed: int
    dataset: str
    """What was really learnt."""
    stand_in_for: str
    """The dataset that was asked for and couldn't be had; empty where `dataset` is it."""
    format: int = FORMAT
    """The format of the journal's first lines."""
    further: tuple[str, ...] = ()
    """The scores that were measured beside those of the task, such as `roc_auc`."""
    further_goals: tuple[str, ...] = ()
    """The goals of the study beside its metric, such as `weights`; empty where the metric is the only one."""

    @property
    def goals(self) -> tuple[Goal, ...]:
        """All goals of the study, the metric first."""
        return Goal(self.metric, self.mode), *map(usual_goal, self.further_goals)


@dataclass(frozen=True, slots=True)
class Resumed:
    """A new driver goes on with the run. Its scheduler knows what came before by the lines above."""

    trials_before: int
    """How many trials the run was to have until here."""
    trials: int
    """How many it is to have from here on."""
    rebuilt: bool = False
    """True if its scheduler knew all of that; in earlier versions HyperBand and population-based training began anew."""
    draws_on: bool = False
    """True if it was asked to draw further trials, also where an estimate had ended the draws."""


@dataclass(frozen=True, slots=True)
class Told:
    """The search was told of a trial of an earlier run, at its warm start."""

    params: Mapping[str, Param]
    value: float
    """The trial's score by the metric of both runs."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """The search chose a trial's parameters."""

    trial: int
    params: Mapping[str, Param]
    seed: int
    again: int | None = None
    """The trial of the run that a follow-up trains again; None of a search's own trial."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A trial trained some epochs, each of one or more folds."""

    trial: int
    epochs: tuple[EpochRecord, ...]
    node: str
    weights: int
    """How many numbers the model trains."""
    weights_digest: str = ""
    """The SHA-256 of the weights after the last of these epochs, as hexadecimal text; empty where it isn't known."""


@dataclass(frozen=True, slots=True)
class Decided:
    """The scheduler decided what a trial does after an epoch."""

    trial: int
    epoch: int
    scheduler: str
    rung: str
    """Where the decision was made, such as `bracket 0, epoch 3`."""
    value: float | None
    """The trial's metric; None where it has none."""
    cutoff: float | None
    """The value that the trial had to reach; None where nothing was compared."""
    competed: int
    """How many trials were compared, this one included."""
    decision: Decision
    donor: int | None = None
    """The trial whose weights and settings were taken over; None unless the decision is `exploit`."""
    place: int | None = None
    """The trial's place among those compared, from 1, where several goals decide; else None."""
    kept: int | None = None
    """How many of those compared go on, where several goals decide; else None."""


@dataclass(frozen=True, slots=True)
class Estimated:
    """The search estimated what as many trials again would bring, and whether it draws any more. Gains are in the metric's unit."""

    trials: int
    """How many trials had come to rest and were judged."""
    gain: float
    """The gain in the best value that is expected."""
    low: float
    """The lower end of the gain's interval."""
    high: float
    """The upper end of the gain's interval."""
    latest: float
    """What the later half of these trials brought."""
    small: float
    """The gain that the user calls small."""
    ends: bool
    """True if no further trial is drawn."""


@dataclass(frozen=True, slots=True)
class WorkerLost:
    """A trial's worker was lost, and the trial waits for another; the scheduler is given it once more."""

    trial: int
    added: int
    """How many trials this driver had given to its scheduler by then."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A trial is over; `error` is empty unless it failed."""

    trial: int
    state: TrialState
    seconds: float
    error: ErrorText
    reason: Reason = ""


@dataclass(frozen=True, slots=True)
class Tested:
    """The winner met the test part, once."""

    trial: int
    metrics: Mapping[str, float]
    """`test_*`; of several seeds also `test_*_std`, and of a net trained anew on all samples `retrained_*`."""


@dataclass(frozen=True, slots=True)
class Looked:
    """A follow-up measured nets of a trial's settings on the test part, which is one more look at it."""

    trial: int
    metrics: Mapping[str, float]
    """`test_*` is the mean over the nets, and `test_*_std` their standard deviation."""
    followup: str
    """The follow-up, such as `confirm`."""
    nets: int
    """How many nets were measured, each trained from a seed of its own."""


Event = Started | Resumed | Told | Drawn | Trained | Decided | Estimated | WorkerLost | Ended | Tested | Looked
RunEvent = Started | Resumed | Told | Estimated
"""The events that tell of no trial."""


class Line(NamedTuple):
    """A line of the journal: an event, and what the line says beside it."""

    event: Event
    number: int | None
    """The line's number in the file, from 1; None in a line of format 1."""
    at: float | None
    """When the line was written, in seconds since 1970; None in a line of format 1."""


EVENTS: dict[str, type[Event]] = {
    "started": Started,
    "resumed": Resumed,
    "told": Told,
    "drawn": Drawn,
    "trained": Trained,
    "decided": Decided,
    "estimated": Estimated,
    "worker_lost": WorkerLost,
    "ended": Ended,
    "tested": Tested,
    "looked": Looked,
}
EVENT_NAMES = {kind: name for name, kind in EVENTS.items()}

_DIGEST = re.compile("([0-9a-f]{64})?")


def _read_param(value: Any) -> Param:
    return [_read_scalar(item) for item in value] if isinstance(value, list) else _read_scalar(value)


def _read_scalar(value: Any) -> Scalar:
    read: Scalar = SCALAR(value)
    return checked(read) if isinstance(read, str) else read


@dataclass(frozen=True, slots=True)
class _Codec:
    read: Callable[[Any], Any]
    write: Callable[[Any], Any]


def read_record_slowly(data: Any) -> EpochRecord:
    """Read a record field by field; a ValueError says what is wrong with it."""
    record: EpochRecord = _read_fields(EpochRecord, data)
    return record


_read_record = record_reader(LIMITS, read_record_slowly)

# By the type that a field is annotated with.
_CODECS: dict[str, _Codec] = {
    "int": _Codec(read_int, int),
    "float": _Codec(read_float, float),
    "bool": _Codec(exactly(bool), bool),
    "str": _Codec(lambda value: checked(STR(value)), escaped),
    "ErrorText": _Codec(lambda value: escaped_error(exactly(str)(value)), escaped_error),
    "Task": _Codec(one_of(get_args(Task)), str),
    "Mode": _Codec(one_of(get_args(Mode)), str),
    "TrainedBy": _Codec(one_of(ENGINE_NAMES), str),
    "TrialState": _Codec(TrialState, str),
    "Decision": _Codec(one_of(get_args(Decision)), str),
    "Reason": _Codec(one_of(get_args(Reason)), str),
    "int | None": _Codec(read_optional(read_int), write_optional(int)),
    "float | None": _Codec(read_optional(read_metric), write_optional(write_metric)),
    "tuple[str, ...]": _Codec(
        lambda items: tuple(checked(STR(item)) for item in exactly(list)(items)),
        lambda names: [escaped(name) for name in names],
    ),
    "Mapping[str, Param]": _Codec(read_map(_read_param), dict),
    "Mapping[str, float]": _Codec(
        read_map(read_metric), lambda metrics: {name: write_metric(value) for name, value in metrics.items()}
    ),
    "tuple[EpochRecord, ...]": _Codec(
        lambda items: tuple(map(_read_record, exactly(list)(items))),
        lambda records: [_write_fields(record) for record in records],
    ),
}


def _write_fields(owner: Event | EpochRecord) -> dict[str, Any]:
    return {field.name: _CODECS[str(field.type)].write(getattr(owner, field.name)) for field in fields(owner)}


class _Plan(NamedTuple):
    """How the fields of an event are read."""

    needed: frozenset[str]
    read: dict[str, Callable[[Any], Any]]


def _plan(kind: type[Any]) -> _Plan:
    needed = frozenset(field.name for field in fields(kind) if field.default is MISSING)
    return _Plan(needed, {field.name: _CODECS[str(field.type)].read for field in fields(kind)})


_PLANS = {kind: _plan(kind) for kind in (*EVENTS.values(), EpochRecord)}
"""The plan of each kind, made once, since a journal may have a million lines."""


def _read_fields(kind: type[Any], data: Any) -> Any:
    needed, plan = _PLANS[kind]
    given = DICT(data).keys()
    if not needed <= given <= plan.keys():
        name = min((needed - given) | (given - plan.keys()))
        raise ValueError(f"{'missing' if name in plan else 'unknown'} field {name!r:.40}")
    values = {}
    for name, value in data.items():
        try:
            values[name] = read = plan[name](value)
            if name in LIMITS and isinstance(read, int):
                low, high = LIMITS[name]
                if not low <= read <= high:
                    raise ValueError(f"must be {low} to {high}, got {read}")
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return kind(**values)


def to_line(event: Event, number: int, at: float) -> bytes:
    """Return the event as line `number` of the file, with its newline."""
    data = {"event": EVENT_NAMES[type(event)], **_write_fields(event), "n": number, "at": round(at, 3)}
    return sealed(data)


def from_line(line: bytes) -> Line:
    """Read a whole line without its newline; a ValueError says what is wrong with it."""
    data = unsealed(line)
    name = data.pop("event", None)
    if not isinstance(name, str) or name not in EVENTS:
        raise ValueError(f"unknown event {name!r:.40}")
    if "n" not in data and name == EVENT_NAMES[Started]:
        data.setdefault("format", 1)
    number, at = data.pop("n", None), data.pop("at", None)
    if (number is None) != (at is None):
        raise ValueError("a line has both n and at, or neither")
    if number is not None:
        number, at = INT(number), read_float(at)
    event: Event = _read_fields(EVENTS[name], data)
    if isinstance(event, Trained) and not event.epochs:
        raise ValueError("epochs: there must be one at least")
    if isinstance(event, Trained) and not _DIGEST.fullmatch(event.weights_digest):
        raise ValueError(f"weights_digest: must be empty or 64 digits of 0-9a-f, got {event.weights_digest!r:.70}")
    return Line(event, number, at)
