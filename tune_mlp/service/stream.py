"""The stream of a study: journal events as the deltas that a live page needs, and who waits for them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from tune_mlp.records import mean_metrics
from tune_mlp.results.journal import Decided, Drawn, Ended, Event, Trained

EventName = Literal["trial", "epochs", "decided", "ended", "summary", "gone"]
MOST_KEPT = 2_000_000
"""The characters of events that are kept for readers who are a little behind; others read the file."""


class StreamEvent(NamedTuple):
    """One event of a study's stream."""

    name: EventName
    data: str
    """The event as JSON, written once for all who look."""
    offset: int
    """The journal's offset from which a stream that is cut here goes on. An event may then come twice, and says the same."""


class Batch(NamedTuple):
    """What one look at the journal brought."""

    start: int
    end: int
    events: tuple[StreamEvent, ...]


def batch_of(events: Iterable[Event], runs: int, best: Callable[[int], float | None], start: int, end: int) -> Batch:
    """Translate the journal's events between two offsets, each into a message of `study_events`.

    `runs` is the number of seeds times folds of each trial, and `best` returns a trial's best value so far. The epochs of a trial come
    in one event, since a page draws them together.
    """
    made: list[tuple[EventName, dict[str, Any]]] = []
    open_epochs: dict[int, list[dict[str, Any]]] = {}
    for event in events:
        if isinstance(event, Trained):
            epochs = _whole_epochs(event, runs)
            if epochs and event.trial in open_epochs and epochs[0]["epoch"] > open_epochs[event.trial][-1]["epoch"]:
                open_epochs[event.trial] += epochs
            elif epochs:
                open_epochs[event.trial] = epochs
                made.append(("epochs", {"trial": event.trial, "epochs": epochs, "best": best(event.trial)}))
        elif isinstance(event, Drawn):
            open_epochs.pop(event.trial, None)
            made.append(("trial", {"trial": event.trial, "params": dict(event.params)}))
        elif isinstance(event, Decided):
            names = ("trial", "epoch", "decision", "rung", "value", "cutoff")
            made.append(("decided", {name: getattr(event, name) for name in names}))
        elif isinstance(event, Ended):
            open_epochs.pop(event.trial, None)
            facts = {"trial": event.trial, "state": event.state.value, "error": event.error}
            made.append(("ended", {**facts, "best": best(event.trial)}))
    last = len(made) - 1
    return Batch(
        start,
        end,
        tuple(StreamEvent(name, to_json(data), end if i == last else start) for i, (name, data) in enumerate(made)),
    )


def _whole_epochs(event: Trained, runs: int) -> list[dict[str, Any]]:
    by_epoch: dict[int, list[Any]] = {}
    for record in event.epochs:
        by_epoch.setdefault(record.epoch, []).append(record)
    return [
        {"epoch": epoch, "metrics": mean_metrics(records)}
        for epoch, records in sorted(by_epoch.items())
        if len(records) == runs
    ]


def to_json(data: Any) -> str:
    """Write JSON that every reader takes: what isn't a finite number is null."""
    return json.dumps(_finite(data), ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value


@dataclass(eq=False)
class Waiter:
    """A reader of a stream that waits in an event loop; any thread wakes it."""

    loop: asyncio.AbstractEventLoop
    woken: asyncio.Event


class Stream:
    """The last batches of a study's events, and who waits for more. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._batches: deque[Batch] = deque()
        self._kept = 0
        self._waiters: set[Waiter] = set()

    def put(self, batch: Batch) -> None:
        """Add a batch that follows the last one."""
        with self._lock:
            self._batches.append(batch)
            self._kept += _size(batch)
            while self._kept > MOST_KEPT and len(self._batches) > 1:
                self._kept -= _size(self._batches.popleft())
        self.wake()

    def after(self, offset: int) -> Batch | None:
        """Return the batch that begins at an offset, or None if it isn't kept."""
        with self._lock:
            for batch in reversed(self._batches):
                if batch.start == offset:
                    return batch
                if batch.end <= offset:
                    return None
        return None

    def wake(self) -> None:
        """Let all readers look again."""
        waiting: dict[asyncio.AbstractEventLoop, list[asyncio.Event]] = {}
        with self._lock:
            for waiter in self._waiters:
                waiting.setdefault(waiter.loop, []).append(waiter.woken)
        for (
            loop,
            events,
        ) in waiting.items():  # one call for each loop, since a call from another thread is a write to a socket
            with contextlib.suppress(RuntimeError):  # the loop has ended, and its readers with it
                loop.call_soon_threadsafe(_set_all, events)

    def join(self, waiter: Waiter) -> None:
        """Let a reader be woken."""
        with self._lock:
            self._waiters.add(waiter)

    def leave(self, waiter: Waiter) -> None:
        """Forget a reader."""
        with self._lock:
            self._waiters.discard(waiter)

    @property
    def readers(self) -> int:
        """The number of readers."""
        with self._lock:
            return len(self._waiters)


def _set_all(events: Iterable[asyncio.Event]) -> None:
    for event in events:
        event.set()


def _size(batch: Batch) -> int:
    return 100 + sum(len(event.data) + 100 for event in batch.events)
