"""A followed run: one reader of a study's journal, however many look at it. It keeps what summaries, curves and tables need."""

from __future__ import annotations

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

from tune_mlp.errors import RunFolderError, no_such_trial, one_line
from tune_mlp.imports import garbage_waits
from tune_mlp.records import metric_names
from tune_mlp.regular_files import open_regular
from tune_mlp.results.journal import Drawn, Ended, Event, Param, Started, Tested, Trained
from tune_mlp.results.journal_reader import MOST_BYTES, LineReader
from tune_mlp.results.run_cache import JOURNAL
from tune_mlp.results.state import RunState
from tune_mlp.results.tables import rank, trial_row, trials_table
from tune_mlp.service.epoch_store import EpochStore
from tune_mlp.service.faults import Refused, UnknownStudy
from tune_mlp.service.messages import StudySummary
from tune_mlp.service.run_stream import SUMMARY_SECONDS, events_of
from tune_mlp.service.run_summaries import RunSummary
from tune_mlp.service.stream import Batch, Stream, StreamEvent, batch_of
from tune_mlp.service.written_tables import WrittenTables

CHUNK = 1 << 20
"""The bytes of a journal that are read at once, so that a long one doesn't hold up the others."""


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
        self.path = folder / JOURNAL
        self._summary = summary
        self._lock = threading.RLock()
        self.stream = Stream()
        self._said = (-math.inf, "")
        self._forget()

    def _forget(self) -> None:
        self._inode = 0
        self.offset = 0
        """How many bytes of the journal are known."""
        self._lines = LineReader(self.path)
        self._state = RunState()
        self._epochs: EpochStore | None = None
        self._trained = 0
        self._rows: dict[int, dict[str, Any]] = {}
        """The rows of the trials that have ended."""
        self._first: float | None = None
        self._last: float | None = None
        self._fault = ""
        self._tables: dict[str, tuple[int, pd.DataFrame]] = {}
        self._written: WrittenTables | None = None
        """The tables of a run that has ended, in place of all that would be read of its journal."""

    # What is known.

    @property
    def summary(self) -> StudySummary:
        """The study's summary as it stands now."""
        return self._summary()

    def run_summary(self) -> RunSummary:
        """Return what the journal says, in few figures."""
        with self._lock:
            if self._written is not None:
                return self._written.summary()
            found = RunSummary.of(self._state, self._trained, self.offset, self._first, self._last)
            return found if not self._fault else RunSummary(**{**vars(found), "fault": self._fault})

    @property
    def started(self) -> Started | None:
        """The journal's first line, or None while there is none."""
        return self._written.started if self._written else self._state.started

    @property
    def looks(self) -> int:
        """How often the run's test part was looked at."""
        return int(self._written.trials["test_loss"].notna().sum()) if self._written else self._state.looks

    def params(self) -> dict[int, dict[str, Param]]:
        """Return each trial's parameters, as it had them last."""
        with self._lock:
            if self._written is not None:
                return self._written.params()
            return {number: dict(trial.drawn.params) for number, trial in self._state.trials.items()}

    @property
    def watched(self) -> bool:
        """Say whether anybody follows the stream."""
        return self.stream.readers > 0

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the metrics of every epoch."""
        return _metrics(self.started) if self.started else ()

    def curves(self, metric: str | None = None, most: int | None = None) -> list[Curve]:
        """Return the curves of one metric (default: the study's) in the order of the trials. With `most`, only the open trials and the
        best of the others, so many in all."""
        with self._lock:
            started = self.started
            if started is None:
                return []
            name = metric or started.metric
            if name not in self.metrics:
                raise Refused(f"metric: must be one of {', '.join(self.metrics)}, got {name!r:.40}")
            return self._written_curves(name, most) if self._written else self._read_curves(name, most)

    def _read_curves(self, metric: str, most: int | None) -> list[Curve]:
        state, store = self._state, self._epochs
        assert store is not None
        numbers = sorted(state.trials)
        if most is not None and len(numbers) > most:
            still_open = set(state.open)
            numbers = sorted(sorted(numbers, key=lambda n: (n not in still_open, state.known_order(n)))[:most])
        runs = state.folds * state.repeats
        return [
            Curve(
                number,
                state.trials[number].drawn.params,
                ended.state.value if (ended := state.trials[number].ended) else "running",
                *store.curve(number, metric, runs),
            )
            for number in numbers
        ]

    def _written_curves(self, metric: str, most: int | None) -> list[Curve]:
        written = self._written
        assert written is not None
        numbers = [int(number) for number in written.trials["trial"]]
        if most is not None and len(numbers) > most:
            best_first = rank(written.trials, written.started.metric, written.started.mode)["trial"]
            numbers = sorted(list(dict.fromkeys([*map(int, best_first), *numbers]))[:most])
        states = dict(zip(map(int, written.trials["trial"]), map(str, written.trials["state"]), strict=True))
        params = written.params()
        return [
            Curve(number, params[number], states[number], *curve)
            for number, curve in zip(numbers, written.curves(metric, numbers), strict=True)
        ]

    def curve(self, trial: int, metric: str | None = None) -> Curve:
        """Return one trial's curve."""
        found = self.curves(metric)
        one = next((curve for curve in found if curve.trial == trial), None)
        if one is None:
            raise UnknownStudy(f"{self.name}: {no_such_trial(trial, [curve.trial for curve in found])}")
        return one

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
            if self._written is not None:
                return self.offset, self._written.trials if name == "trials" else self._written.epochs
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
            with open_regular(self.path, MOST_BYTES) as file:
                facts = os.fstat(file.fileno())
                if facts.st_ino != self._inode or facts.st_size < self.offset:
                    self._begin_again(facts.st_ino)
                if facts.st_size == self.offset:
                    return False
                if self._written is not None:
                    self._begin_again(facts.st_ino)  # the run goes on, so all that was before is needed
                elif self.offset == 0 and (written := WrittenTables.of(self.folder)) is not None:
                    self._written, self.offset = written, written.offset
                    return True
                file.seek(self.offset)
                content = file.read(CHUNK)
                while b"\n" not in content and (more := file.read(CHUNK)):
                    content += more
        except OSError as error:
            if not self.path.exists():
                return False
            self._fault = f"{self.path}: can't read the journal: {error.strerror or error}"
            return True
        whole = content[: content.rfind(b"\n") + 1]
        if not whole:
            return False
        try:
            with garbage_waits():  # a million lines make millions of objects and no garbage
                lines = self._lines.take(whole)
                for line in lines:
                    self._take(line.event)
        except RunFolderError as error:
            self._fault = one_line(error)
            return True
        times = [line.at for line in lines if line.at is not None]
        if times:
            self._first = self._first or times[0]
            self._last = times[-1]
        start, self.offset = self.offset, self.offset + len(whole)
        if self.stream.readers:  # others find what they need in the file
            self.stream.put(self.batch([line.event for line in lines], start, self.offset))
        return True

    def _replaced(self) -> bool:
        """Begin again where another file has taken a damaged journal's place."""
        try:
            facts = os.stat(self.path)
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
            self._epochs = EpochStore(event, _metrics(event))
        elif isinstance(event, Trained) and self._epochs:
            self._trained += self._epochs.add(event.trial, event.epochs)
        if isinstance(event, Drawn | Trained | Ended) and state.trials[event.trial].ended:
            self._rows[event.trial] = trial_row(state, event.trial)
            state.forget_epochs(event.trial)
        elif isinstance(event, Tested) and event.trial in self._rows:
            self._rows[event.trial] |= event.metrics

    # The stream.

    def events(self, offset: int | None = None) -> AsyncIterator[Sequence[StreamEvent]]:
        """Yield the events after an offset (default: from now on), those together that came together, until the study is gone.

        A `summary` comes behind the events that it counts, and at most once a second while something changes. A reader who is behind
        gets what was missed from the file.
        """
        return events_of(self, offset)

    def wake(self) -> None:
        """Let all readers of the stream look again: the study's state has changed, beside its journal."""
        self._said = (-math.inf, "")
        self.stream.wake()

    def end(self) -> None:
        """Tell all readers of the stream that the study is gone."""
        self.gone = True
        self.stream.wake()

    def summary_json(self) -> str:
        """Return the summary as JSON, written once for all who look."""
        now = time.monotonic()
        at, said = self._said
        if now - at > SUMMARY_SECONDS / 2:
            said = self.summary.model_dump_json()
            self._said = now, said
        return said

    def batch(self, events: Sequence[Event], start: int, end: int) -> Batch:
        """Return the journal's events between two offsets as the stream tells them."""
        with self._lock:
            runs = self._written.runs if self._written else self._state.folds * self._state.repeats
            return batch_of(events, runs, self._best_value, start, end)

    def _best_value(self, trial: int) -> float | None:
        """Return a trial's best value so far; None where it can't be best."""
        if self._written is not None:
            return self._written.best_values.get(trial)
        state = self._state
        ranked = state.known_order(trial)[0] if trial in state.trials else math.inf
        if state.started is None or not math.isfinite(ranked):
            return None
        return -ranked if state.started.mode == "max" else ranked


def _metrics(started: Started) -> tuple[str, ...]:
    """Return the names of the metrics of every epoch."""
    return (*metric_names(started.task, "train"), *metric_names(started.task, "val", started.further))
