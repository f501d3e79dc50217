"""A followed run: one reader of a study's journal, however many look at it. It keeps what summaries, curves and tables need."""

from __future__ import annotations

import asyncio
import math
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tune_mlp.errors import RunFolderError, TuneMlpError, no_such_trial, one_line
from tune_mlp.records import metric_names
from tune_mlp.regular_files import open_regular
from tune_mlp.results.journal import Drawn, Ended, Event, Param, Started, Tested, Trained, from_line
from tune_mlp.results.journal_reader import MOST_BYTES, LineReader
from tune_mlp.results.run_cache import JOURNAL
from tune_mlp.results.state import RunState
from tune_mlp.results.tables import trial_row, trials_table
from tune_mlp.service.epoch_store import EpochStore
from tune_mlp.service.faults import Refused, UnknownStudy
from tune_mlp.service.messages import StudySummary
from tune_mlp.service.run_summaries import RunSummary
from tune_mlp.service.stream import Batch, Stream, StreamEvent, Waiter, batch_of, to_json

CHUNK = 1 << 20
"""The bytes of a journal that are read at once, so that a long one doesn't hold up the others."""
BEHIND = 1 << 18
"""The bytes that a reader who is behind gets at once."""
SUMMARY_SECONDS = 1.0
"""A stream has a summary at most so often."""


@dataclass(frozen=True)
class Curve:
    """The metric of a trial by epoch, of the epochs that all seeds and folds have trained."""

    trial: int
    params: Mapping[str, Param]
    state: str
    """`running`, or the state in which the trial ended."""
    epochs: NDArray[np.int64]
    values: NDArray[np.float64]


class FollowedRun:
    """What a study's journal says so far. One thread at a time reads more of it; all may look."""

    def __init__(self, name: str, folder: Path, summary: Callable[[], StudySummary]) -> None:
        self.name, self.folder = name, folder
        self.gone = False
        """The study was deleted."""
        self._path = folder / JOURNAL
        self._summary = summary
        self._lock = threading.RLock()
        self._stream = Stream()
        self._said = (-math.inf, "")
        self._forget()

    def _forget(self) -> None:
        self._inode = 0
        self.offset = 0
        """How many bytes of the journal are known."""
        self._lines = LineReader(self._path)
        self._state = RunState()
        self._epochs: EpochStore | None = None
        self._trained = 0
        self._rows: dict[int, dict[str, Any]] = {}
        """The rows of the trials that have ended."""
        self._first: float | None = None
        self._last: float | None = None
        self._fault = ""
        self._tables: dict[str, tuple[int, pd.DataFrame]] = {}

    # What is known.

    @property
    def summary(self) -> StudySummary:
        """The study's summary as it stands now."""
        return self._summary()

    def run_summary(self) -> RunSummary:
        """Return what the journal says, in few figures."""
        with self._lock:
            found = RunSummary.of(self._state, self._trained, self.offset, self._first, self._last)
            return found if not self._fault else RunSummary(**{**vars(found), "fault": self._fault})

    @property
    def started(self) -> Started | None:
        """The journal's first line, or None while there is none."""
        return self._state.started

    @property
    def looks(self) -> int:
        """How often the run's test part was looked at."""
        return self._state.looks

    def params(self) -> dict[int, dict[str, Param]]:
        """Return each trial's parameters, as it had them last."""
        with self._lock:
            return {number: dict(trial.drawn.params) for number, trial in self._state.trials.items()}

    @property
    def watched(self) -> bool:
        """Say whether anybody follows the stream."""
        return self._stream.readers > 0

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the metrics of every epoch."""
        return self._epochs.metrics if self._epochs else ()

    def curves(self, metric: str | None = None, most: int | None = None) -> list[Curve]:
        """Return the curves of one metric (default: the study's) in the order of the trials. With `most`, only the open trials and the
        best of the others, so many in all."""
        with self._lock:
            started, store = self._state.started, self._epochs
            if started is None or store is None:
                return []
            name = metric or started.metric
            if name not in store.metrics:
                raise Refused(f"metric: must be one of {', '.join(store.metrics)}, got {name!r:.40}")
            numbers = sorted(self._state.trials)
            if most is not None and len(numbers) > most:
                best_first = sorted(numbers, key=lambda n: (n not in self._state.open, self._state.known_order(n)))
                numbers = sorted(best_first[:most])
            runs = self._state.folds * self._state.repeats
            return [
                Curve(
                    number,
                    self._state.trials[number].drawn.params,
                    ended.state.value if (ended := self._state.trials[number].ended) else "running",
                    *store.curve(number, name, runs),
                )
                for number in numbers
            ]

    def curve(self, trial: int, metric: str | None = None) -> Curve:
        """Return one trial's curve."""
        with self._lock:
            if trial not in self._state.trials:
                raise UnknownStudy(f"{self.name}: {no_such_trial(trial, self._state.trials)}")
        return next(curve for curve in self.curves(metric) if curve.trial == trial)

    def trials(self) -> tuple[int, pd.DataFrame]:
        """Return the table of trials, and the offset as of which it is made. Nobody may change it."""
        return self._table("trials", self._trials_table)

    def epochs(self) -> tuple[int, pd.DataFrame]:
        """Return the table of epochs, and the offset as of which it is made. Nobody may change it."""
        return self._table("epochs", self._epochs_table)

    def _table(self, name: str, make: Callable[[], pd.DataFrame]) -> tuple[int, pd.DataFrame]:
        with self._lock:
            if self._fault:
                raise RunFolderError(self._fault)
            if self._state.started is None:
                raise UnknownStudy(f"{self.name}: there is no table yet: the study has written nothing so far")
            known = self._tables.get(name)
            if known is None or known[0] != self.offset:
                known = self._tables[name] = (self.offset, make())
            return known

    def _trials_table(self) -> pd.DataFrame:
        rows = [self._rows.get(number) or trial_row(self._state, number) for number in sorted(self._state.trials)]
        return trials_table(self._state, rows)

    def _epochs_table(self) -> pd.DataFrame:
        assert self._epochs is not None
        return self._epochs.table(self._state.folds > 1, self._state.repeats > 1)

    # Reading on.

    def catch_up(self, wait: bool = True) -> bool:
        """Read what was added to the journal; return whether there was anything. Without `wait`, only a part is read, and nothing
        while another thread reads."""
        if not self._lock.acquire(blocking=wait):
            return False
        try:
            found = False
            while self._read_part():
                found = True
                if not wait:
                    break
            return found
        finally:
            self._lock.release()

    def _read_part(self) -> bool:
        if self._fault:
            return self._replaced() and self._read_part()
        try:
            with open_regular(self._path, MOST_BYTES) as file:
                facts = os.fstat(file.fileno())
                if facts.st_ino != self._inode or facts.st_size < self.offset:
                    self._begin_again(facts.st_ino)
                if facts.st_size == self.offset:
                    return False
                file.seek(self.offset)
                content = file.read(CHUNK)
                while b"\n" not in content and (more := file.read(CHUNK)):
                    content += more
        except OSError as error:
            if not self._path.exists():
                return False
            self._fault = f"{self._path}: can't read the journal: {error.strerror or error}"
            return True
        whole = content[: content.rfind(b"\n") + 1]
        if not whole:
            return False
        try:
            lines = self._lines.take(whole)
        except RunFolderError as error:
            self._fault = one_line(error)
            return True
        for line in lines:
            self._take(line.event)
        times = [line.at for line in lines if line.at is not None]
        if times:
            self._first = self._first or times[0]
            self._last = times[-1]
        start, self.offset = self.offset, self.offset + len(whole)
        self._stream.put(self._batch([line.event for line in lines], start, self.offset))
        return True

    def _batch(self, events: Sequence[Event], start: int, end: int) -> Batch:
        return batch_of(events, self._state.folds * self._state.repeats, self._best_value, start, end)

    def _best_value(self, trial: int) -> float | None:
        """Return a trial's best value so far; None where it can't be best."""
        state = self._state
        ranked = state.known_order(trial)[0] if trial in state.trials else math.inf
        if state.started is None or not math.isfinite(ranked):
            return None
        return -ranked if state.started.mode == "max" else ranked

    def _replaced(self) -> bool:
        """Begin again where another file has taken a damaged journal's place."""
        try:
            facts = os.stat(self._path)
        except OSError:
            return False
        if facts.st_ino == self._inode:
            return False
        self._begin_again(facts.st_ino)
        return True

    def _begin_again(self, inode: int) -> None:
        self._forget()
        self._inode = inode

    def _take(self, event: Event) -> None:
        state = self._state
        known = state.trials.get(event.trial) if isinstance(event, Drawn | Trained | Ended) else None
        if known is not None and known.ended and not known.epochs and self._epochs:
            # An ended trial goes on: what was dropped is needed again.
            state.remember_epochs(known.drawn.trial, self._epochs.records(known.drawn.trial))
        state.apply(event)
        if isinstance(event, Started):
            names = (*metric_names(event.task, "train"), *metric_names(event.task, "val", event.further))
            self._epochs = EpochStore(event, names)
        elif isinstance(event, Trained) and self._epochs:
            self._trained += self._epochs.add(event.trial, event.epochs)
        if isinstance(event, Drawn | Trained | Ended) and state.trials[event.trial].ended:
            self._rows[event.trial] = trial_row(state, event.trial)
            state.forget_epochs(event.trial)
        elif isinstance(event, Tested) and event.trial in self._rows:
            self._rows[event.trial] |= event.metrics

    # The stream.

    async def events(self, offset: int | None = None) -> AsyncIterator[StreamEvent]:
        """Yield the events after an offset (default: from now on), and wait for more until the study is gone.

        The first event is a `summary`, and there is another one at most once a second while something changes. A reader who is
        behind gets what was missed from the file.
        """
        waiter = Waiter(asyncio.get_running_loop(), asyncio.Event())
        self._stream.join(waiter)
        try:
            at = self.offset if offset is None else await asyncio.to_thread(self._checked, offset)
            said = ""
            last = -SUMMARY_SECONDS
            while not self.gone:
                waiter.woken.clear()
                while at < self.offset:
                    batch = self._stream.after(at)
                    if batch is None:
                        batch = await asyncio.to_thread(self._from_file, at)
                    for event in batch.events:
                        yield event
                    at = batch.end
                if waiter.loop.time() - last >= SUMMARY_SECONDS:
                    summary = self._summary_json()
                    last = waiter.loop.time()
                    if summary != said:
                        said = summary
                        yield StreamEvent("summary", summary, at)
                    timeout = None
                else:
                    timeout = SUMMARY_SECONDS
                try:
                    await asyncio.wait_for(waiter.woken.wait(), timeout)
                except TimeoutError:
                    continue
            yield StreamEvent("gone", to_json({"name": self.name}), at)
        finally:
            self._stream.leave(waiter)

    def wake(self) -> None:
        """Let all readers of the stream look again: the study's state has changed, beside its journal."""
        self._said = (-math.inf, "")
        self._stream.wake()

    def _summary_json(self) -> str:
        """Return the summary as JSON, written once for all who look."""
        now = time.monotonic()
        at, said = self._said
        if now - at > SUMMARY_SECONDS / 2:
            said = self.summary.model_dump_json()
            self._said = now, said
        return said

    def end(self) -> None:
        """Tell all readers of the stream that the study is gone."""
        self.gone = True
        self._stream.wake()

    def _checked(self, offset: int) -> int:
        """Return an offset at which a line begins; refuse any other. One beyond the end is of a journal that was replaced."""
        if offset <= 0 or offset > self.offset:
            return 0
        try:
            with open_regular(self._path, MOST_BYTES) as file:
                file.seek(offset - 1)
                if file.read(1) == b"\n":
                    return offset
        except OSError:
            return 0
        raise Refused(f"offset: no line of the journal begins at {offset}; leave it out to begin anew")

    def _from_file(self, start: int) -> Batch:
        """Read events of the journal again, for a reader who is behind."""
        end = self.offset
        try:
            with open_regular(self._path, MOST_BYTES) as file:
                file.seek(start)
                content = file.read(min(BEHIND, end - start))
                while b"\n" not in content and len(content) < end - start and (more := file.read(BEHIND)):
                    content += more
            whole = content[: content.rfind(b"\n") + 1]
            events = [from_line(line).event for line in whole.split(b"\n")[:-1]]
        except (OSError, ValueError, TuneMlpError):
            return Batch(start, end, ())  # the file has just been replaced: the summary says what is wrong
        if not whole:
            return Batch(start, end, ())
        with self._lock:
            return self._batch(events, start, start + len(whole))
