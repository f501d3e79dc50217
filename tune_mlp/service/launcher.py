"""The launcher is the one seam between the service and what runs a study's process: this machine, or Ray Jobs on a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol


@dataclass(frozen=True)
class DriverOrder:
    """A driver that is to be begun."""

    token: str
    """The driver's name for ever. The ledger has it before the driver is begun, so a service that is killed finds it again."""
    study: str
    """The study's name."""
    words: tuple[str, ...]
    """The command line, without the program: `("search", "--space", ...)` or `("resume", ...)`."""


class DriverState(StrEnum):
    """What is known of a driver."""

    ABSENT = "absent"
    """It was never begun: a service was killed before it could."""
    STARTING = "starting"
    RUNNING = "running"
    ENDED = "ended"
    """It ended by itself, with a status."""
    LOST = "lost"
    """It ended without a status, or was killed."""
    UNKNOWN = "unknown"
    """Whoever runs it can't be asked now; it counts as running."""


@dataclass(frozen=True)
class DriverReport:
    """What a launcher knows of a driver."""

    state: DriverState
    status: int | None = None
    """The exit status of a driver that ended by itself."""
    detail: str = ""
    """What the driver said last, in one line, or why it can't be asked, or begun, at the moment."""


class Unreached(NamedTuple):
    """A driver that can't be asked about, begun or stopped at the moment."""

    why: str
    begun: bool
    """False if it waits to be begun."""


class Launcher(Protocol):
    """Begins drivers, looks at them and stops them. All facts about a driver follow from its token, also after a restart.

    The service begins and stops drivers from one thread, and forgets those that are long over from another. A launcher that can't reach
    its machines raises a RunError, and is asked again later.
    """

    def launch(self, order: DriverOrder) -> None:
        """Begin a driver. A token that was launched before is left as it is: no order is carried out twice."""

    def report(self, token: str) -> DriverReport:
        """Say where a driver stands."""

    def stop(self, token: str, firmly: bool) -> None:
        """Ask a driver to save and end; `firmly` asks again, in a way that can't be overheard. A driver that ended is left alone."""

    def log(self, token: str, most_bytes: int = 20_000) -> str:
        """Return the end of what a driver said."""

    def answer(self, token: str, most_bytes: int = 10_000_000) -> str:
        """Return what a driver wrote to its standard output, with what else it said where that isn't kept apart."""

    def kept(self) -> Mapping[str, float]:
        """Return the tokens of all drivers of which something is kept on this machine, each with the time at which that changed last."""

    def forget(self, token: str) -> None:
        """Remove what is kept of a driver that ended."""
