"""The epochs of a run's trials in few bytes: 600,000 of them take some 60 MB, where records would take ten times as much."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tune_mlp.records import EpochRecord
from tune_mlp.results.journal import Started
from tune_mlp.results.tables import epoch_columns

HEAD = ("epoch", "repeat", "fold", "steps", "train_seconds", "seconds")
"""The numbers of a record that stand ahead of its metrics."""


class EpochStore:
    """All records of all trials, each as a row of numbers."""

    def __init__(self, started: Started, metrics: Sequence[str]) -> None:
        self._started = started
        self.metrics = tuple(metrics)
        self._width = len(HEAD) + len(self.metrics)
        self._rows: dict[int, array[float]] = {}

    def add(self, trial: int, records: Iterable[EpochRecord]) -> int:
        """Take in what a trial trained; return the change of the number of its epochs. An epoch that is trained again replaces itself
        and all that followed."""
        unique = {(record.epoch, record.repeat, record.fold): record for record in records}
        ordered = [unique[key] for key in sorted(unique)]
        rows = self._rows.setdefault(trial, array("d"))
        before = self._epochs(rows)
        while len(rows) and rows[-self._width] >= ordered[0].epoch:
            del rows[-self._width :]
        for record in ordered:
            rows.extend((record.epoch, record.repeat, record.fold, record.steps, record.train_seconds, record.seconds))
            rows.extend(map(record.metrics.__getitem__, self.metrics))
        return self._epochs(rows) - before

    def records(self, trial: int) -> list[EpochRecord]:
        """Return a trial's records."""
        return [
            EpochRecord(
                int(row[0]),
                int(row[2]),
                dict(zip(self.metrics, map(float, row[len(HEAD) :]), strict=True)),
                int(row[3]),
                float(row[4]),
                float(row[5]),
                int(row[1]),
            )
            for row in self.of(trial)
        ]

    def of(self, trial: int) -> NDArray[np.float64]:
        """Return a trial's records as rows of numbers: HEAD, and the metrics."""
        return np.array(self._rows.get(trial, ()), dtype=np.float64).reshape(-1, self._width)

    def curve(self, trial: int, metric: str, runs: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the epochs that all `runs` (seeds times folds) of a trial have trained, and the mean of a metric in each."""
        rows = self.of(trial)
        epochs, start, counts = np.unique(rows[:, 0], return_index=True, return_counts=True)
        values = rows[:, len(HEAD) + self.metrics.index(metric)]
        means = np.add.reduceat(values, start) / counts if runs > 1 and len(rows) else values[start]
        whole = counts == runs
        return epochs[whole].astype(np.int64), means[whole]

    def table(self, folds: bool, repeats: bool) -> pd.DataFrame:
        """Return the table of epochs, as `tables_of` makes it."""
        numbers = sorted(self._rows)
        blocks = [self.of(number) for number in numbers]
        rows = np.concatenate(blocks) if blocks else np.empty((0, self._width))
        names = (*HEAD, *self.metrics)
        trial = np.repeat(np.array(numbers, dtype=np.int64), [len(block) for block in blocks])
        columns = epoch_columns(self._started.task, folds, repeats, self._started.further)
        return pd.DataFrame(
            {
                name: pd.Series(trial if name == "trial" else rows[:, names.index(name)]).astype(kind)
                for name, kind in columns.items()
            }
        )

    def _epochs(self, rows: array[float]) -> int:
        """Return the number of epochs in a trial's rows: the last epoch's number, since they are trained in order."""
        return int(rows[-self._width]) if len(rows) else 0
