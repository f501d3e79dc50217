"""A warm start: the best draws of an earlier run come first, and a search that learns is told of its other trials."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tune_mlp.errors import StudyError, UsageError
from tune_mlp.regular_files import read_regular
from tune_mlp.results.journal import Told
from tune_mlp.results.outside_tables import MOST_BYTES, read_table
from tune_mlp.results.results import Results
from tune_mlp.results.tables import score_column
from tune_mlp.space.choosers import drawn
from tune_mlp.space.domains import Domain, Value, as_value
from tune_mlp.space.files import plain_tree
from tune_mlp.space.first_draws import column_of
from tune_mlp.space.space import EXPERIMENT, Params, Space, resolve
from tune_mlp.study.study import BoundStudy

TABLES = (".csv", ".parquet", ".pq")
MOST_FIRST = 5
"""At most so many of the earlier run's best draws are trained first, and at most a tenth of all trials, but one at least."""


@dataclass(frozen=True)
class WarmStart:
    """What a study takes over from an earlier run."""

    source: str
    fingerprint: str
    """The SHA-256 of the earlier run's journal, or of the table."""
    trials: int
    """The number of the earlier trials that have a score."""
    first: tuple[dict[str, Any], ...]
    """The settings of the draws that come first."""
    told: tuple[Told, ...]
    """The trials that the search is told of."""
    left_out: int
    """The number of values that the space doesn't have or can't draw."""

    @property
    def facts(self) -> dict[str, Any]:
        """The members of `warm_start` in run.json."""
        return {
            "source": self.source,
            "fingerprint": self.fingerprint,
            "trials": self.trials,
            "first": len(self.first),
            "told": len(self.told),
            "values_left_out": self.left_out,
        }

    @property
    def line(self) -> str:
        """A line that says what is taken over, and how much can't be."""
        told = f", and the search is told of {len(self.told)} of its {self.trials} trials" if self.told else ""
        rest = (
            f"; {self.left_out} values are left out, which this space doesn't have or can't draw"
            if self.left_out
            else ""
        )
        return f"warm start from {self.source}: {len(self.first)} of its best draws come first{told}{rest}"


def read_warm_start(study: BoundStudy) -> WarmStart:
    """Read the run or the table that a study names; one that ranks by another metric or mode is refused."""
    assert study.warm_start is not None
    results, fingerprint = _earlier(study, study.warm_start)
    if (results.metric, results.mode) != study.ranking:
        raise StudyError(
            f"{study.warm_start} ranks by {results.metric} ({results.mode}), and this study by "
            f"{study.metric} ({study.mode}); name the same --metric and --mode, or another run",
            ("warm_start",),
        )
    ranked = results.ranked
    scores = ranked[score_column(ranked, results.metric)]
    if ranked.empty:
        raise StudyError(f"{study.warm_start} has no trial with a score", ("warm_start",))
    space, left_out = study.parsed, 0
    most = max(1, min(MOST_FIRST, study.number_of_trials // 10))
    first: list[dict[str, Any]] = []
    told: list[Told] = []
    for number, value in zip(ranked["trial"], scores, strict=True):
        found = _matched(space, results.params[int(number)])
        left_out += found.left_out
        settings = plain_tree(found.settings)
        able = settings and (EXPERIMENT not in space.nodes or EXPERIMENT in settings)
        if able and len(first) < most and settings not in first:
            first.append(settings)
        elif found.whole and study.search.takes_earlier_trials and not study.metrics:
            told.append(Told(plain_tree(found.params), float(value)))
    return WarmStart(study.warm_start, fingerprint, len(ranked), tuple(first), tuple(told), left_out)


def warmed(study: BoundStudy, warm: WarmStart) -> BoundStudy:
    """Return the study in which the warm start's draws are named as the first ones, after those that it names itself."""
    new = [settings for settings in warm.first if settings not in study.first]
    return study.model_copy(update={"first": (*study.first, *new)})


def _earlier(study: BoundStudy, source: str) -> tuple[Results, str]:
    if source.lower().endswith(TABLES) and not Path(source).is_dir():
        table = Path(source)
        frame = read_table(table)
        metric, mode = study.ranking
        try:
            results = Results.from_table(table, metric, mode)
        except UsageError as error:
            columns = [name for name in map(str, frame.columns) if name in _columns(study.parsed)]
            if columns and metric not in frame.columns:
                raise StudyError(f"{source} has no column {metric}, this study's metric", ("warm_start",)) from None
            if not columns:
                raise StudyError(str(error), ("warm_start",)) from None
            results = Results.from_table(table, metric, mode, columns)
        return results, hashlib.sha256(read_regular(table, MOST_BYTES)).hexdigest()
    results = Results.load(source)
    journal = read_regular(results.path / "journal.jsonl", MOST_BYTES)
    return results, hashlib.sha256(journal).hexdigest()


def _columns(space: Space) -> set[str]:
    return {column_of(path) for path, _ in space.walk()}


@dataclass(frozen=True)
class _Match:
    """An earlier draw in the terms of a space."""

    settings: dict[str, Any]
    """The values of drawn parameters that the space can draw."""
    params: Params
    whole: bool
    """True if the earlier draw has all drawn parameters, with values that the space can draw."""
    left_out: int


def _matched(space: Space, earlier: Mapping[str, Any]) -> _Match:
    params = {name: as_value(value) for name, value in earlier.items()}
    good: set[str] = set()
    wrong: set[str] = set()

    def choose(path: str, domain: Domain) -> Value:
        column = _owner(column_of(path), params)
        try:
            value = domain.find(drawn(params, path))
        except (KeyError, IndexError, TypeError, ValueError):
            value = None
        (wrong if value is None else good).add(column)
        return domain.at(0.5) if value is None else value

    found = resolve(space, choose)
    able = good - wrong
    left_out = sum(name not in able and (name not in found or found[name] != value) for name, value in params.items())
    return _Match({name: found[name] for name in found if name in able}, found, not wrong, left_out)


def _owner(column: str, params: Mapping[str, Any]) -> str:
    """Return the column that a path belongs to: a list's item and its length belong to the list."""
    name, _, place = column.rpartition(".")
    return name if column not in params and name in params and (place == "length" or place.isdigit()) else column


def spread_out(count: int, most: int) -> Sequence[int]:
    """Return at most so many of `count` places, evenly spread, the first and the last included."""
    if count <= most:
        return range(count)
    return [round(i * (count - 1) / (most - 1)) for i in range(most)] if most > 1 else [0][:most]
