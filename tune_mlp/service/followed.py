"""A followed run: one reader of a study's journal, however many look at it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tune_mlp.service.messages import StudySummary

EventName = Literal["trial", "epochs", "decided", "ended", "summary", "gone"]


class StreamEvent(NamedTuple):
    """One event of a study's stream."""

    name: EventName
    data: str
    """The event as JSON, written once for all who look."""
    offset: int
    """The journal's offset after the event; a stream that is cut goes on from here."""


@dataclass(frozen=True)
class Curve:
    """The metrics of a trial by epoch, of the epochs that all seeds and folds have trained."""

    trial: int
    params: Mapping[str, Any]
    state: str
    """`running`, or the state in which the trial ended."""
    epochs: NDArray[np.int64]
    values: NDArray[np.float64]


class FollowedRun:
    """What a study's journal says so far, kept small, and who waits for more of it."""

    name: str
    folder: Path
    offset: int

    @property
    def summary(self) -> StudySummary:
        """The study's summary, as of the offset."""
        raise NotImplementedError

    def curves(self, metric: str | None = None, best: int | None = None) -> list[Curve]:
        """Return the curves of all trials in one metric (default: the study's), or those of the best and of the open ones."""
        raise NotImplementedError

    def events(self, offset: int | None = None) -> AsyncIterator[StreamEvent]:
        """Yield the events after an offset (default: from now on), and wait for more until the study is gone or at rest.

        The first event is a `summary`. A reader that falls behind gets what it missed from the file."""
        raise NotImplementedError
