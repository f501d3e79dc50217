"""The results that the service keeps: of few studies, until their journals grow."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tune_mlp.errors import RunFolderError
from tune_mlp.regular_files import open_regular, read_regular
from tune_mlp.results.journal import Line, from_line
from tune_mlp.results.journal_reader import MOST_BYTES
from tune_mlp.results.run_cache import JOURNAL
from tune_mlp.results.run_files import read_manifest, read_study
from tune_mlp.service.faults import Conflict
from tune_mlp.service.followed import FollowedRun
from tune_mlp.service.run_summaries import tolerant

if TYPE_CHECKING:
    from tune_mlp.results.results import Results

KEPT = 8
"""The number of studies whose results are kept."""
LARGE_JOURNAL = 30_000_000
"""From so many bytes on, results are made of the tables alone: their lines would take ten times the memory."""
EPOCHS = b'{"event":"trained",'
MOST_STUDY_BYTES = 1_000_000


class KeptResults:
    """The results of the studies that were asked for last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Path, tuple[str, Results]] = OrderedDict()
        self._loading: dict[Path, threading.Lock] = {}

    def of(self, folder: Path, stamp: str, of_tables: Callable[[], Results]) -> Results:
        """Return a run's results as of its files' stamp."""
        from tune_mlp.results.results import Results  # late: pandas

        with self._lock:
            one_at_a_time = self._loading.setdefault(folder, threading.Lock())
        with one_at_a_time:
            with self._lock:
                known = self._kept.get(folder)
                if known is not None and known[0] == stamp:
                    self._kept.move_to_end(folder)
                    return known[1]
            try:
                size = (folder / JOURNAL).stat().st_size
            except OSError:
                raise Conflict(f"{folder.name} has no trial so far") from None
            results = Results.load(folder) if size < LARGE_JOURNAL else of_tables()
            with self._lock:
                self._kept[folder] = (stamp, results)
                while len(self._kept) > KEPT:
                    self._loading.pop(self._kept.popitem(last=False)[0], None)
            return results


def study_text(folder: Path) -> str:
    """Return the text of a run's study.yaml; empty if there is none. A link could lead out of the root."""
    if (folder / "study.yaml").is_symlink():
        return ""
    try:
        return read_regular(folder / "study.yaml", MOST_STUDY_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def results_of_tables(folder: Path, run: FollowedRun) -> Results:
    """Return the results of a long study, made of its tables. Of its journal's lines they have all but those of epochs, which are in
    the tables and would take ten times the memory."""
    from tune_mlp.results.changes import changes_table  # late: pandas
    from tune_mlp.results.results import Results, RunFiles

    started = run.started
    if started is None:
        raise Conflict(f"{folder.name} has no trial so far")
    lines = _lines_without_epochs(folder / JOURNAL, run.offset)
    return Results(
        source=str(folder),
        trials=run.trials()[1],
        epochs=run.epochs()[1],
        metric=started.metric,
        mode=started.mode,
        params=run.params(),
        changes=changes_table(line.event for line in lines),
        study=tolerant(read_study, folder / "study.yaml"),
        manifest=tolerant(read_manifest, folder / "run.json"),
        files=RunFiles(folder, folder),
        looks=run.looks,
        goals=started.goals if started.further_goals else (),
        lines=lines,
    )


def _lines_without_epochs(journal: Path, end: int) -> tuple[Line, ...]:
    """Return the lines of a journal up to an offset, which were checked when it was followed, without those of epochs."""
    found, at = [], 0
    try:
        with open_regular(journal, MOST_BYTES) as file:
            for line in file:  # not all at once: it is hundreds of megabytes
                at += len(line)
                if at > end:
                    break
                if not line.startswith(EPOCHS):
                    found.append(from_line(line[:-1]))
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{journal}: can't be read: {error}") from None
    return tuple(found)
