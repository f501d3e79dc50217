"""A table of learning curves: for each net of a grid, seed and epoch the metric, and the real seconds that the epoch took."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tune_mlp.records import EpochRecord
from tune_mlp.results.results import Results
from tune_mlp.space.space import Params
from tune_mlp.study.study import Study

FACTS = b"tune_mlp"
"""The key of a file's metadata below which the table's own facts are."""


@dataclass(frozen=True)
class CurveTable:
    """The learning curves of a grid search that trained every net to its last epoch."""

    study: Study
    """The grid search that made the table; its draw number i is net number i."""
    values: NDArray[np.float32]
    """The metric by net, seed and epoch; what diverged has none from there on."""
    seconds: NDArray[np.float32]
    """The seconds that an epoch of one seed took, by net."""
    facts: Mapping[str, Any]
    """Where the table was made: versions, machine, data."""

    @classmethod
    def of_run(cls, results: Results) -> CurveTable:
        """Make a table of a finished run; an epoch's seconds are the median over seeds and epochs."""
        study = Study.load(results.path / "study.yaml")
        epochs = results.epochs
        by = ["trial", "repeat"] if "repeat" in epochs else ["trial"]
        table = epochs.groupby([*by, "epoch"], as_index=False)[[results.metric, "seconds"]].mean()  # over the folds
        shape = study.number_of_trials, study.seeds, study.epochs
        values, seconds = np.full(shape, np.nan, np.float32), np.full(shape, np.nan, np.float32)
        where = (table["trial"], table.get("repeat", 0), table["epoch"] - 1)
        # A seed after one that diverged isn't trained, in 0 seconds.
        values[where], seconds[where] = table[results.metric], table["seconds"].where(table["seconds"] > 0)
        folds = len(epochs["fold"].unique()) if "fold" in epochs else 1
        manifest = results.manifest
        facts: dict[str, Any] = {
            str(name): manifest[name] for name in ("versions", "machine", "dataset", "engine") if name in manifest
        }
        return cls(study, values, np.nanmedian(seconds, axis=(1, 2)) * folds, facts)

    @classmethod
    def read(cls, path: Path) -> CurveTable:
        """Read a table."""
        table = pq.read_table(path)
        facts = json.loads(table.schema.metadata[FACTS])
        study = Study.from_text(facts.pop("study"))
        shape = study.number_of_trials, study.seeds, study.epochs
        return cls(
            study,
            table["value"].to_numpy().reshape(shape),
            table["seconds"].to_numpy().reshape(shape)[:, 0, 0],
            facts,
        )

    def write(self, path: Path) -> None:
        """Write the table: a row for each net, seed and epoch, with the study and the facts beside it."""
        _, seeds, epochs = self.values.shape
        index = np.indices(self.values.shape).reshape(3, -1)
        table = pa.table(
            {
                "net": index[0].astype(np.int32),
                "seed": index[1].astype(np.int8),
                "epoch": (index[2] + 1).astype(np.int8),
                "value": self.values.reshape(-1),
                "seconds": np.repeat(self.seconds, seeds * epochs),
            }
        )
        facts = json.dumps({"study": self.study.dump(), **self.facts}).encode()
        pq.write_table(table.replace_schema_metadata({FACTS: facts}), path, compression="zstd", compression_level=19)

    @cached_property
    def _nets(self) -> list[Params]:
        return list(islice(self.study.draws(), len(self.values)))

    @cached_property
    def _numbers(self) -> dict[tuple[Any, ...], int]:
        return {_key(params): number for number, params in enumerate(self._nets)}

    @cached_property
    def _grid(self) -> dict[str, list[Any]]:
        """The values of each parameter."""
        return {name: list(dict.fromkeys(params[name] for params in self._nets)) for name in self._nets[0]}

    def number(self, params: Params) -> int:
        """Return the number of the net with these settings. A number between those of the grid stands for the nearest by its ratio."""
        on_grid = {name: _nearest(params[name], values) for name, values in self._grid.items()}
        return self._numbers[_key(on_grid)]

    def only(self, allowed: Mapping[str, Collection[Any]]) -> CurveTable:
        """Return the table without the curves of nets that have other values than those that are allowed."""
        kept = [all(params[name] in values for name, values in allowed.items()) for params in self._nets]
        return replace(self, values=np.where(np.array(kept)[:, None, None], self.values, np.float32(np.nan)))

    @cached_property
    def means(self) -> NDArray[np.float32]:
        """The accuracy by net and epoch: the mean over the seeds, in which a seed that diverged counts as 0."""
        means: NDArray[np.float32] = np.nan_to_num(self.values, nan=0.0).mean(axis=1)
        return means

    def regret_of_all(self, seed: int) -> float:
        """Return the regret of a search that trains every net to its end from this seed: how much its best net owes to luck."""
        values = self.values[:, seed % self.values.shape[1]]
        ranked = np.nan_to_num(values, nan=-np.inf)
        return self.best - float(self.means[np.unravel_index(ranked.argmax(), ranked.shape)])

    @cached_property
    def best(self) -> float:
        """The best mean of the table."""
        return float(self.means.max())


def curves_of(records: Sequence[EpochRecord], metric: str, seeds: int, epochs: int) -> NDArray[np.float32]:
    """Return one net's metric by seed and epoch: the mean over the folds."""
    values: dict[tuple[int, int], list[float]] = {}
    for record in records:
        values.setdefault((record.repeat, record.epoch - 1), []).append(record.metrics[metric])
    found = np.full((seeds, epochs), np.nan, np.float32)
    for where, folds in values.items():
        found[where] = np.mean(folds)
    return found


def _nearest(value: Any, values: Sequence[Any]) -> Any:
    return value if value in values else min(values, key=lambda known: abs(math.log(known / value)))


def _key(params: Params) -> tuple[Any, ...]:
    return tuple(sorted(params.items()))
