"""The messages that the service and its clients exchange, as typed and frozen models; the HTTP API and the Python client share them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from tune_mlp.records import Mode
from tune_mlp.results.journal import Param
from tune_mlp.space.files import plain_tree

MOST_STUDY_CHARACTERS = 256_000
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
"""The names that a study's folder may have."""


class Message(BaseModel):
    """The base class of all messages: frozen, and without members that nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _whole(raw: Any) -> Any:
    return int(raw) if isinstance(raw, float) and raw.is_integer() else raw


WHOLE = BeforeValidator(_whole)
"""Takes 3.0 for a strict whole number, too, as JSON Schema has it; "3" and true aren't any."""


class StudyState(StrEnum):
    """Where a study in the service stands."""

    QUEUED = "queued"
    """The study waits for its turn; without a position, for a cluster that can't be reached or can't begin it."""
    RUNNING = "running"
    STOPPING = "stopping"
    """Somebody asked it to stop, and it saves what it has."""
    STOPPED = "stopped"
    """Somebody stopped it; it can be resumed."""
    FINISHED = "finished"
    INTERRUPTED = "interrupted"
    """Its process was lost; it can be resumed."""
    FAILED = "failed"


Job = Literal["search", "resume", "confirm", "replay"]
"""What a study's process does, or did last."""


class Submission(Message):
    """A study that somebody submits or wants to be checked."""

    study: (
        Annotated[str, Field(max_length=MOST_STUDY_CHARACTERS)]
        | Annotated[Mapping[str, Any], AfterValidator(plain_tree)]
    )
    """The name of a shipped space, a study's YAML text, or the same as a JSON object."""
    name: Annotated[str, Field(pattern=NAME_PATTERN)] | None = None
    """The name of the study's folder; left out, it is the study's own name and the time."""
    changes: Annotated[tuple[Annotated[str, Field(max_length=1000)], ...], Field(max_length=100)] = ()
    """Changed settings, each as PATH=VALUE, such as `trials=10`."""


class Extension(Message):
    """How much longer a study is to go on."""

    trials: Annotated[int, Field(strict=True, ge=1, le=1_000_000), WHOLE]
    """The number of trials to add."""
    time_budget: Annotated[str, Field(max_length=40)] | None = None
    """The time after which no trial goes on, such as 10m."""


class Confirmation(Message):
    """Which configurations are to be trained again, and how often."""

    top: Annotated[int, Field(strict=True, ge=1, le=100), WHOLE] = 5
    seeds: Annotated[int, Field(strict=True, ge=1, le=100), WHOLE] = 5
    front: Annotated[bool, Field(strict=True)] = False
    """True for all trials of the Pareto front, of a study with several goals, in place of the best."""


class Fault(Message):
    """What was wrong with a request, in one line."""

    error: str
    line: int | None = None
    """The line of the study's text."""
    path: str | None = None
    """The setting of the study, such as `space.lr`."""


class BestTrial(Message):
    """The best trial of a study so far."""

    trial: int
    value: float
    low: float | None = None
    """The lower end of the 95 % interval of the value, where it is an accuracy."""
    high: float | None = None
    params: Mapping[str, Param]


class StudySummary(Message):
    """A study in a list."""

    name: str
    space: str
    """The name that the study's file gives."""
    description: str = ""
    state: StudyState
    job: Job
    owner: str
    """Who submitted it; empty for a run that was begun without the service."""
    submitted: float | None = None
    """When it was submitted, in seconds since 1970."""
    started: float | None = None
    ended: float | None = None
    position: int | None = None
    """The place in the queue, from 1, while it waits."""
    detail: str = ""
    """What it waits for, or why it failed, in one line."""
    restarts: int = 0
    """How often the service resumed it after its process was lost."""
    trials: int | None = None
    """The number of trials asked for."""
    ended_trials: int = 0
    running_trials: int = 0
    states: Mapping[str, int] = {}
    """How many trials ended in each state."""
    epochs_trained: int = 0
    metric: str = ""
    mode: Mode | None = None
    goals: tuple[str, ...] = ()
    """The goals of a study that has several; the first is its metric."""
    best: BestTrial | None = None
    seconds_left: float | None = None
    dataset: str = ""
    stand_in_for: str = ""
    """The dataset that was asked for and couldn't be had."""
    offset: int = 0
    """How many bytes of the journal this summary knows of; following goes on from here."""


class StudyList(Message):
    """A page of the list of studies."""

    total: int
    """The number of studies that the filter leaves."""
    studies: tuple[StudySummary, ...]


class Forecast(Message):
    """What a study would take, made before it is run."""

    study: str
    """The study's YAML as it would be run."""
    trials: int
    seconds: float | None = None
    memory_bytes: int | None = None
    disk_bytes: int | None = None
    concurrent: int | None = None
    lines: tuple[str, ...] = ()
    """The forecast in words."""


class ServiceFacts(Message):
    """How a service does, for `tune-mlp doctor --server`."""

    now: float
    """The clock of its machine, in seconds since 1970."""
    root: str
    unwritable: str = ""
    """Why the root can't be written; empty where it can."""
    free_bytes: int
    queued: int
    running: int
    concurrent: int
    """How many studies may run at once."""
    queue_seconds: float | None = None
    """How long ago the queue was last looked at; None where nothing has looked at it yet."""
    fault: str = ""
    """Why no study can be begun at the moment; empty if all is well."""
    unknown: Mapping[str, str] = {}
    """The running studies whose processes can't be asked about, and why."""


class Health(Message):
    """That the service answers."""

    status: Literal["ok"]
    version: str
    facts: ServiceFacts | None = None
    """How it does; None for somebody without a token, where one is needed."""


class Me(Message):
    """Who sent the request."""

    name: str
    admin: bool


class Replay(Message):
    """Which trials are to be trained again from their recorded seeds."""

    trials: Annotated[
        tuple[Annotated[int, Field(strict=True, ge=0, le=1_000_000_000), WHOLE], ...],
        Field(min_length=1, max_length=100),
    ]


class ShippedSpace(Message):
    """A study that ships with the service."""

    name: str
    description: str


class SpaceText(Message):
    """The file of a study that ships with the service."""

    name: str
    text: str
    """Its YAML."""


class AuditEntry(Message):
    """A change that somebody asked for."""

    at: float
    """When, in seconds since 1970."""
    user: str
    address: str
    """Where the request came from."""
    action: str
    study: str
    detail: str


class TrashEntry(Message):
    """A study in the trash, which can be restored."""

    name: str
    owner: str
    deleted: float
    """When it was deleted, in seconds since 1970."""
    by: str
