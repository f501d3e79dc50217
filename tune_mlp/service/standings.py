"""Where all studies stand: what the ledger says of each, and what its run's folder says, put together for the list."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from tune_mlp.service.launcher import Unreached
from tune_mlp.service.ledger import Ledger
from tune_mlp.service.line_up import Place, line_up
from tune_mlp.service.messages import Job, StudyList, StudyState, StudySummary
from tune_mlp.service.options import ServiceOptions
from tune_mlp.service.rows import ACTIVE, QUEUED, StudyRow, studies
from tune_mlp.service.run_summaries import FolderFacts, RunSummary

Order = Literal["name", "state", "owner", "submitted", "started", "ended", "best", "trials", "seconds_left"]
"""What the list of studies can be sorted by."""


class StudyFilter(NamedTuple):
    """Which studies of the list, in which order."""

    search: str = ""
    """Text that is looked for in the name, the space's name, the owner and the dataset, whatever its case."""
    state: StudyState | None = None
    owner: str | None = None
    sort: Order = "submitted"
    descending: bool = True
    offset: int = 0
    limit: int = 50


@dataclass(frozen=True)
class KnownRun:
    """What is known of a run's folder."""

    stamp: str
    facts: FolderFacts
    summary: RunSummary
    lives: bool = False
    """A process writes its journal now, whoever began it."""


@dataclass(frozen=True)
class Standing:
    """One study: the ledger's row, the run's facts, and its place in the line."""

    name: str
    row: StudyRow | None
    run: KnownRun | None
    position: int | None = None
    waits: str = ""
    unreached: Unreached | None = None
    """Why its driver can't be asked about, begun or stopped at the moment."""

    @property
    def state(self) -> StudyState:
        """Where the study stands."""
        row, run = self.row, self.run
        job = row.job if row else None
        if job is not None and job.is_open:
            waits_to_begin = self.unreached is not None and not self.unreached.begun and job.stop_asked is None
            if job.state == QUEUED or waits_to_begin:
                return StudyState.QUEUED
            return StudyState.STOPPING if job.stop_asked is not None else StudyState.RUNNING
        if run is not None and run.lives:
            return StudyState.RUNNING
        found = BY_MANIFEST.get(run.facts.state, StudyState.INTERRUPTED) if run else StudyState.STOPPED
        if row is None or row.outcome is None:
            return found
        # Somebody may have gone on with it without the service.
        resumable = row.outcome in (StudyState.STOPPED, StudyState.INTERRUPTED)
        return found if resumable and found is StudyState.FINISHED else row.outcome

    @property
    def job(self) -> Job:
        """What its process does, or did last."""
        return self.row.job.kind if self.row and self.row.job else "search"

    @property
    def trials(self) -> int | None:
        """The number of trials asked for."""
        if self.run is not None and self.run.facts.trials is not None:
            return self.run.facts.trials
        return self.row.trials if self.row else None

    @property
    def started(self) -> float | None:
        """When it began."""
        written = self.run.summary.started if self.run else None
        return written or (self.row.job.started if self.row and self.row.job else None)

    @property
    def ended(self) -> float | None:
        """When it ended; None while it waits or runs."""
        if self.state in (StudyState.QUEUED, StudyState.RUNNING, StudyState.STOPPING):
            return None
        job = self.row.job if self.row else None
        return job.ended if job and job.ended else self.run.summary.written if self.run else None

    @property
    def submitted(self) -> float | None:
        """When it was submitted; of a run made without the service, when it began."""
        return self.row.submitted if self.row and self.row.submitted is not None else self.started

    @property
    def detail(self) -> str:
        """What it waits for, or why it failed."""
        job = self.row.job if self.row else None
        if self.waits:
            return self.waits
        if self.unreached and job is not None and job.is_open:
            return self.unreached.why
        if self.run and self.run.summary.fault:
            return self.run.summary.fault
        if job is not None and (job.detail or job.is_open):
            return job.detail if job.searches or not job.detail else f"{job.kind}: {job.detail}"
        if self.row and self.row.detail:
            return self.row.detail
        if self.run and self.run.lives:
            return "runs in a process that the service didn't begin"
        return self.run.facts.error if self.run else ""

    @property
    def owner(self) -> str:
        """Who submitted it."""
        return self.row.owner if self.row else ""

    @property
    def seconds_left(self) -> float | None:
        """How long it will still run."""
        if self.run is None or self.state is not StudyState.RUNNING or self.job not in ("search", "resume"):
            return None
        return self.run.summary.seconds_left(self.trials)

    @property
    def texts(self) -> str:
        """What a search of the list looks at."""
        facts = self.run.facts if self.run else FolderFacts()
        row = self.row
        parts = (self.name, facts.space, facts.description, facts.dataset)
        return "\n".join([*parts, *((row.space, row.description, row.dataset, row.owner) if row else ())]).casefold()

    def message(self) -> StudySummary:
        """Return the study as the API shows it."""
        facts = self.run.facts if self.run else FolderFacts()
        found = self.run.summary if self.run else RunSummary()
        row = self.row
        return StudySummary(
            name=self.name,
            space=facts.space or (row.space if row else ""),
            description=facts.description or (row.description if row else ""),
            state=self.state,
            job=self.job,
            owner=self.owner,
            submitted=self.submitted,
            started=self.started,
            ended=self.ended,
            position=self.position,
            detail=self.detail,
            restarts=row.job.restarts if row and row.job else 0,
            trials=self.trials,
            ended_trials=found.ended,
            running_trials=found.running if self.state in (StudyState.RUNNING, StudyState.STOPPING) else 0,
            states=found.states,
            epochs_trained=found.epochs,
            metric=found.metric,
            mode=found.mode,
            goals=found.goals,
            best=found.best(facts.validation_samples),
            seconds_left=self.seconds_left,
            dataset=found.dataset or facts.dataset or (row.dataset if row else ""),
            stand_in_for=found.stand_in_for,
            offset=found.offset,
        )


BY_MANIFEST = {
    "finished": StudyState.FINISHED,
    "failed": StudyState.FAILED,
    "interrupted": StudyState.STOPPED,
    "running": StudyState.INTERRUPTED,
}
"""The state of a run whose process is no longer there, by its manifest's."""
SORTS: Mapping[Order, Callable[[Standing], Any]] = {
    "name": lambda one: one.name,
    "state": lambda one: one.state.value,
    "owner": lambda one: one.owner,
    "submitted": lambda one: one.submitted,
    "started": lambda one: one.started,
    "ended": lambda one: one.ended,
    "best": lambda one: one.run.summary.best_value if one.run else None,
    "trials": lambda one: one.trials,
    "seconds_left": lambda one: one.seconds_left,
}


class Standings:
    """All studies, as of the last change. What is read of the ledger is kept until `changed` says that it is old."""

    def __init__(self, ledger: Ledger, options: ServiceOptions) -> None:
        self._ledger, self._options = ledger, options
        self._lock = threading.RLock()
        self._runs: dict[str, KnownRun] = {}
        self.unreached: dict[str, Unreached] = {}
        """The studies whose drivers can't be reached at the moment, and why; the supervisor keeps it."""
        self._kept: dict[str, Standing] | None = None

    def changed(self) -> None:
        """Say that the ledger has changed."""
        with self._lock:
            self._kept = None

    def learn(self, name: str, run: KnownRun | None) -> None:
        """Take in what a run's folder says; None if it is gone."""
        with self._lock:
            if run is None:
                self._runs.pop(name, None)
                self._kept = None
                return
            self._runs[name] = run
            if self._kept is not None:
                old = self._kept.get(name)
                self._kept[name] = replace(old, run=run) if old else Standing(name, None, run)

    def run(self, name: str) -> KnownRun | None:
        """Return what is known of a run's folder."""
        with self._lock:
            return self._runs.get(name)

    def run_names(self) -> set[str]:
        """Return the names of all runs whose folders are known."""
        with self._lock:
            return set(self._runs)

    def all(self) -> dict[str, Standing]:
        """Return all studies by name. Nobody may change it."""
        with self._lock:
            if self._kept is None:
                with self._ledger.reading() as transaction:
                    rows = studies(transaction, "trashed IS NULL")
                self._kept = self._put_together(rows)
            return dict(self._kept)

    def one(self, name: str) -> Standing | None:
        """Return one study, or None."""
        with self._lock:
            return self.all().get(name)

    def page(self, which: StudyFilter) -> StudyList:
        """Return a page of the list."""
        word = which.search.strip().casefold()
        found = [
            one
            for one in self.all().values()
            if (which.state is None or one.state is which.state)
            and (which.owner is None or one.owner == which.owner)
            and (not word or word in one.texts)
        ]
        key = SORTS[which.sort]
        with_key = sorted((one for one in found if key(one) is not None), key=lambda one: one.name)
        with_key.sort(key=key, reverse=which.descending)
        found = with_key + sorted((one for one in found if key(one) is None), key=lambda one: one.name)
        return StudyList(total=len(found), studies=tuple(one.message() for one in found[which.offset :][: which.limit]))

    def _put_together(self, rows: Iterable[StudyRow]) -> dict[str, Standing]:
        by_name = {row.name: row for row in rows}
        line = line_up(places(by_name.values(), QUEUED), places(by_name.values(), ACTIVE), self._options)
        # What may begin now is begun in the next moment, and stands at the head of the line until then.
        waits = {job: (number, "") for number, job in enumerate(line.ready, 1)}
        waits |= {job: (number, why) for number, (job, why) in enumerate(line.waiting, len(line.ready) + 1)}
        found = {}
        for name in [*by_name, *(name for name in self._runs if name not in by_name)]:
            row = by_name.get(name)
            position, why = waits.get(row.job.id, (None, "")) if row and row.job else (None, "")
            found[name] = Standing(name, row, self._runs.get(name), position, why, self.unreached.get(name))
        return found


def places(rows: Iterable[StudyRow], state: str) -> list[Place]:
    """Return what the jobs in a state ask for, in the order in which they were asked for."""
    found = [Place(row.job.id, row.owner, row.cpus, row.gpus) for row in rows if row.job and row.job.state == state]
    return sorted(found)
