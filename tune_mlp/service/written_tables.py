"""The tables that a driver wrote at the end of a run: they are read in a moment, where a long journal takes a minute.

They count as long as they are younger than the journal, which is the truth. Then they say what the journal says.
"""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tune_mlp.errors import TuneMlpError
from tune_mlp.regular_files import open_regular
from tune_mlp.results.journal import Line, Param, Started, from_line
from tune_mlp.results.journal_reader import MOST_BYTES
from tune_mlp.results.run_cache import JOURNAL
from tune_mlp.results.tables import rank, score_column
from tune_mlp.service.run_summaries import RunSummary

FIRST_LINE, LAST_LINES = 1 << 16, 1 << 20
"""The bytes in which a journal's first line, and its last one, are looked for."""
NEEDED = {"trial", "state", "epochs", "seconds", "error", "reason"}


class WrittenTables:
    """The two tables of a run that has ended. They are read when they are needed first."""

    def __init__(self, folder: Path, offset: int, first: Line, last: Line) -> None:
        assert isinstance(first.event, Started)
        self._folder, self.offset, self._first, self._last = folder, offset, first, last
        self.started = first.event

    @classmethod
    def of(cls, folder: Path) -> WrittenTables | None:
        """Return a run's tables, or None if they aren't there or the journal went on since they were written."""
        try:
            journal = os.stat(folder / JOURNAL, follow_symlinks=False)
            tables = [os.stat(folder / f"{name}.parquet", follow_symlinks=False) for name in ("trials", "epochs")]
            if min(table.st_mtime_ns for table in tables) < journal.st_mtime_ns:
                return None
            with open_regular(folder / JOURNAL, MOST_BYTES) as file:
                first = file.read(FIRST_LINE).partition(b"\n")[0]
                file.seek(max(0, journal.st_size - LAST_LINES))
                content = file.read(LAST_LINES)
            if not content.endswith(b"\n"):
                return None
            found = cls(
                folder, journal.st_size, from_line(first), from_line(content.rstrip(b"\n").rpartition(b"\n")[2])
            )
            return found if set(found.trials.columns) >= NEEDED else None
        except (OSError, ValueError, OverflowError, AssertionError, TuneMlpError):
            return None

    @cached_property
    def trials(self) -> pd.DataFrame:
        """The table of trials."""
        return self._read("trials")

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """The table of epochs."""
        return self._read("epochs")

    def _read(self, table: str) -> pd.DataFrame:
        with open_regular(self._folder / f"{table}.parquet", MOST_BYTES) as file:
            return pd.read_parquet(file)

    @cached_property
    def runs(self) -> int:
        """The number of seeds times folds of each trial."""
        frame, found = self.epochs, 1
        for column in ("repeat", "fold"):
            found *= int(frame[column].max()) + 1 if column in frame.columns and len(frame) else 1
        return found

    @cached_property
    def best_values(self) -> dict[int, float]:
        """The best value of each trial that can be best."""
        ranked = rank(self.trials, self.started.metric, self.started.mode)
        column = score_column(self.trials, self.started.metric)
        return dict(zip(map(int, ranked["trial"]), map(float, ranked[column]), strict=True))

    def summary(self) -> RunSummary:
        """Return what the tables say, in few figures."""
        trials, started = self.trials, self.started
        ranked = rank(trials, started.metric, started.mode)
        best = None if ranked.empty else int(ranked["trial"].iloc[0])
        return RunSummary(
            offset=self.offset,
            started=self._first.at,
            written=self._last.at,
            states=dict(Counter(map(str, trials["state"]))),
            ended=len(trials),
            epochs=int(trials["epochs"].sum()),
            metric=started.metric,
            mode=started.mode,
            best_trial=best,
            best_value=None if best is None else float(ranked[score_column(trials, started.metric)].iloc[0]),
            best_params={} if best is None else self.params()[best],
            trial_seconds=math.fsum(trials["seconds"]),
            dataset=started.dataset,
            stand_in_for=started.stand_in_for,
        )

    def params(self) -> dict[int, dict[str, Param]]:
        """Return each trial's parameters: they stand between the fixed columns and the reason of the end."""
        names = list(self.trials.columns)
        names = names[names.index("error") + 1 : names.index("reason")]
        columns = [[_plain(value) for value in self.trials[name]] for name in names]
        rows = zip(*columns, strict=True) if columns else ([] for _ in range(len(self.trials)))
        return {
            int(trial): {name: value for name, value in zip(names, row, strict=True) if value is not None}
            for trial, row in zip(self.trials["trial"], rows, strict=True)
        }

    def curves(self, metric: str, numbers: list[int]) -> list[tuple[NDArray[np.int64], NDArray[np.float64]]]:
        """Return the epochs of trials that all seeds and folds have trained, and the mean of a metric in each."""
        frame = self.epochs
        trial, epoch = frame["trial"].to_numpy(np.int64), frame["epoch"].to_numpy(np.int64)
        values = frame[metric].to_numpy(np.float64)
        runs = self.runs
        if runs > 1:  # the rows of an epoch stand together
            start = np.flatnonzero(np.r_[True, (np.diff(trial) != 0) | (np.diff(epoch) != 0)])
            counts = np.diff(np.r_[start, len(trial)])
            means = np.add.reduceat(values, start) / counts
            whole = counts == runs
            trial, epoch, values = trial[start][whole], epoch[start][whole], means[whole]
        low, high = np.searchsorted(trial, numbers, "left"), np.searchsorted(trial, numbers, "right")
        return [(epoch[a:b], values[a:b]) for a, b in zip(low, high, strict=True)]


def _plain(value: Any) -> Param:
    """Return a parameter's value as the journal has it; None where the trial has no such parameter."""
    if isinstance(value, str):
        try:
            found = json.loads(value) if value.startswith("[") else value
        except ValueError:
            return value
        return found if isinstance(found, list | str) else value
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return None
    plain: Param = value.item() if isinstance(value, np.generic) else value
    return plain
