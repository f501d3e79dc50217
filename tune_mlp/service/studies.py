"""The studies of a service: submit, list, follow, stop, resume, extend, confirm, delete; all that a person can ask, without HTTP."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from tune_mlp.errors import TuneMlpError
from tune_mlp.service.changes import Changes, Done
from tune_mlp.service.faults import Conflict, Refused, UnknownStudy
from tune_mlp.service.followed import Curve, FollowedRun
from tune_mlp.service.followers import Followers
from tune_mlp.service.forecasting import Forecasts
from tune_mlp.service.health import facts_of
from tune_mlp.service.housekeeping import Housekeeper
from tune_mlp.service.kept_results import KeptResults, results_of_tables, study_text
from tune_mlp.service.launcher import Launcher
from tune_mlp.service.ledger import Ledger, Transaction
from tune_mlp.service.messages import (
    Confirmation,
    Extension,
    Forecast,
    Job,
    ServiceFacts,
    StudyList,
    StudySummary,
    Submission,
)
from tune_mlp.service.options import ServiceOptions
from tune_mlp.service.replays import last_replay
from tune_mlp.service.requests import ChangeRequest, Requests, write_audit
from tune_mlp.service.result_messages import TrialReplay
from tune_mlp.service.root_folder import RootFolder
from tune_mlp.service.rows import studies, study_named
from tune_mlp.service.standings import Order, Standing, Standings, StudyFilter
from tune_mlp.service.submissions import DataRules, check
from tune_mlp.service.supervisor import Supervisor
from tune_mlp.service.table_pages import TableName, TablePage, TableRequest, page_of
from tune_mlp.service.users import User

if TYPE_CHECKING:
    import pandas as pd

    from tune_mlp.results.results import Results

__all__ = ["AuditLine", "Curve", "Order", "StudyFilter", "StudyService", "TablePage", "TableRequest", "TrashedStudy"]


class AuditLine(NamedTuple):
    """A change that somebody asked for."""

    at: float
    user: str
    address: str
    action: str
    study: str
    detail: str


class TrashedStudy(NamedTuple):
    """A study that was deleted and can be restored."""

    name: str
    """The name under which it is restored."""
    owner: str
    deleted: float
    by: str


class StudyService:
    """All studies below a root. Methods may be called from any thread; none waits for a study."""

    def __init__(self, root: Path, launcher: Launcher, options: ServiceOptions) -> None:
        self.root, self.launcher, self.options = root, launcher, options
        self._root = RootFolder(root)
        self._changes = Changes(self._root, options)
        self._rules = DataRules(options.data_dir, options.stores)
        self._forecasts = Forecasts(options)
        self._kept_results = KeptResults()

    def open(self) -> None:
        """Begin the threads that start and follow studies, and find drivers of an earlier service again."""
        self._root.take()
        try:
            self._ledger = Ledger(self._root.ledger)
            try:
                self._requests = Requests(self._ledger)
                self._let_folders_follow()
                self._standings = Standings(self._ledger, self.options)
                self._followers = Followers(
                    self._root, self._ledger, self._standings, self.get, self.options.poll_seconds
                )
                self._supervisor = Supervisor(
                    self._ledger,
                    self._root,
                    self.launcher,
                    self.options,
                    self._moved_on,
                    self._followers.read_on,
                    self._standings.unreached,
                )
                self._housekeeper = Housekeeper(self._ledger, self._root, self.launcher, self.options.keep_days)
                self._followers.start()
                self._supervisor.start()
                self._housekeeper.start()
            except BaseException:
                self._ledger.close()
                raise
        except BaseException:
            self._root.give_back()
            raise

    def close(self) -> None:
        """End the threads. Drivers go on."""
        self._forecasts.close()
        self._housekeeper.end()
        self._supervisor.end()
        self._followers.end()
        self._ledger.close()
        self._root.give_back()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def fault(self) -> str:
        """Why no study can be begun at the moment, in one line, such as a full disk; empty if all is well."""
        return self._supervisor.fault

    def facts(self) -> ServiceFacts:
        """Say how the service does."""
        return facts_of(self._root.path, self._ledger, self._supervisor, self.options)

    # What changes something.

    def validate(self, submission: Submission, measure: bool = True) -> Forecast:
        """Check a submission and forecast it; without `measure`, only what follows from its settings. A StudyError names line and
        path."""
        checked = check(submission, self._rules)
        return self._forecasts.of(checked) if measure and self.options.plan else self._forecasts.unmeasured(checked)

    def submit(self, user: User, submission: Submission, key: str | None = None) -> StudySummary:
        """Accept a study. The same user, key and submission give the same study for ever."""
        request = ChangeRequest(user, key, "submit", "", submission.model_dump(mode="json"))
        if (before := self._requests.known(request)) is not None:
            self._standings.changed()  # the same request may have been accepted this very moment
            return self._summary_of(before)
        checked = check(submission, self._rules)
        return self._done(request, lambda tx: self._changes.accept(tx, user, checked, submission.name))

    def stop(self, user: User, name: str, key: str | None = None) -> StudySummary:
        """Ask a study to save and end, or take it out of the queue. Nothing of it is deleted."""
        return self._done(ChangeRequest(user, key, "stop", name), lambda tx: self._changes.stop(tx, user, name))

    def resume(self, user: User, name: str, key: str | None = None) -> StudySummary:
        """Put a study that was stopped or interrupted into the queue again."""
        return self._go_on(ChangeRequest(user, key, "resume", name), "resume", {})

    def extend(self, user: User, name: str, extension: Extension, key: str | None = None) -> StudySummary:
        """Add trials to a study that doesn't run."""
        about = extension.model_dump(mode="json")
        arguments: dict[str, Any] = {"more": extension.trials}
        if extension.time_budget is not None:
            check_time_budget(extension.time_budget)
            arguments["time_budget"] = extension.time_budget
        return self._go_on(ChangeRequest(user, key, "extend", name, about), "resume", arguments)

    def confirm(self, user: User, name: str, confirmation: Confirmation, key: str | None = None) -> StudySummary:
        """Train a study's best configurations, or those of its Pareto front, again from fresh seeds."""
        # A request without a front is the same as before there were fronts, so that its key still stands for it.
        about = confirmation.model_dump(mode="json", exclude=None if confirmation.front else {"front"})
        return self._go_on(ChangeRequest(user, key, "confirm", name, about), "confirm", about)

    def replay(self, user: User, name: str, trials: Sequence[int], key: str | None = None) -> StudySummary:
        """Train trials again from their recorded seeds, and compare."""
        numbers = sorted(set(trials))
        if not 1 <= len(numbers) <= 100 or numbers[0] < 0:
            raise Refused(f"trials: name 1 to 100 trials of the study, got {len(numbers)}")
        return self._go_on(ChangeRequest(user, key, "replay", name, numbers), "replay", {"trials": numbers})

    def delete(self, user: User, name: str, key: str | None = None) -> StudySummary:
        """Move a study that doesn't run to the trash, and return what it was."""
        request = ChangeRequest(user, key, "delete", name)
        if (before := self._requests.known(request)) is not None:
            return self._summary_of(before)
        standing = self._standing(name)
        try:
            self._requests.once(request, lambda tx: self._changes.delete(tx, user, name))
        except TuneMlpError:
            self._let_folders_follow()
            self._followers.changed(name)  # a look may have found its folder gone
            raise
        self._followers.forget(name)
        self._standings.changed()
        return standing.message()

    def restore(self, user: User, name: str, key: str | None = None) -> StudySummary:
        """Bring a study back from the trash."""
        number = self._requests.once(
            ChangeRequest(user, key, "restore", name), lambda tx: self._changes.restore(tx, user, name)
        )
        self._let_folders_follow()
        self._moved_on(name)
        return self._summary_of(number)

    # What only looks.

    def trashed(self) -> Sequence[TrashedStudy]:
        """Return the studies in the trash, the last deleted first."""
        with self._ledger.reading() as transaction:
            rows = studies(transaction, "trashed IS NOT NULL AND purged IS NULL ORDER BY trashed DESC LIMIT 1000")
        return [TrashedStudy(row.name, row.owner, row.trashed or 0.0, row.trashed_by) for row in rows]

    def list(self, which: StudyFilter = StudyFilter()) -> StudyList:  # noqa: B008  # frozen
        """Return a page of the studies below the root, those that were made without the service, too."""
        return self._standings.page(which)

    def get(self, name: str) -> StudySummary:
        """Return one study's summary."""
        return self._standing(name).message()

    def study_text(self, name: str) -> str:
        """Return a study's YAML, with every default written out."""
        self._standing(name)
        return study_text(self._root.run(name)) or self._submitted_text(name)

    def folder(self, name: str) -> Path:
        """Return the folder of a study's run; it may not be there yet. The name is checked, and the folder is below the root."""
        self._standing(name)
        return self._root.run(name)

    def log(self, name: str) -> str:
        """Return the end of what the study's process said."""
        row = self._standing(name).row
        return self.launcher.log(row.job.token) if row and row.job and row.job.token else ""

    def followed(self, name: str) -> FollowedRun:
        """Return the one reader of a study's journal."""
        self._standing(name)
        return self._followers.run(name)

    def table(self, name: str, which: TableName) -> tuple[int, pd.DataFrame]:
        """Return a study's table, and the offset of its journal as of which it is made. Nobody may change it."""
        run = self.followed(name)
        return run.trials() if which == "trials" else run.epochs()

    def trials(self, name: str, request: TableRequest = TableRequest()) -> TablePage:  # noqa: B008  # frozen
        """Return a page of a study's table of trials."""
        at, frame = self.table(name, "trials")
        return page_of(frame, request, at)

    def epochs(self, name: str, request: TableRequest = TableRequest()) -> TablePage:  # noqa: B008  # frozen
        """Return a page of a study's table of epochs."""
        at, frame = self.table(name, "epochs")
        return page_of(frame, request, at)

    def results(self, name: str) -> Results:
        """Return a study's results so far; they are kept until its journal grows."""
        self._standing(name)
        folder = self._root.run(name)
        return self._kept_results.of(
            folder, self._root.stamp(name), lambda: results_of_tables(folder, self._followers.run(name))
        )

    def replay_of(self, name: str, trial: int) -> TrialReplay | None:
        """Return the last replay of a trial; None if there was none."""
        self._standing(name)
        return last_replay(self._ledger, self.launcher, name, trial)

    def audit(self, offset: int = 0, limit: int = 100) -> Sequence[AuditLine]:
        """Return the changes that were asked for, the last first."""
        sql = "SELECT at, user, address, action, study, detail FROM audit ORDER BY id DESC LIMIT ? OFFSET ?"
        with self._ledger.reading() as transaction:
            return [AuditLine(*row) for row in transaction.all(sql, limit, offset)]

    def note(self, user: User, action: str, study: str = "", detail: str = "") -> None:
        """Write an audit line for a thing that happened outside this class, such as a login."""
        with self._ledger.writing() as transaction:
            write_audit(transaction, user, action, study, detail)

    # How it is done.

    def _go_on(self, request: ChangeRequest, kind: Job, arguments: dict[str, Any]) -> StudySummary:
        ended = 0
        if kind in ("confirm", "replay") and self._requests.known(request) is None:
            run = self._standing(request.name).run
            ended = run.summary.ended if run else 0
            if arguments.get("front") and not (run and run.summary.goals):
                raise Conflict(f"{request.name} has one goal, whose front is its best trial alone")
            if kind == "replay" and run and max(arguments["trials"]) >= ended + run.summary.running:
                raise Refused(
                    f"trials: {request.name} has {ended + run.summary.running} trials, got {arguments['trials']}"
                )
        return self._done(
            request, lambda tx: self._changes.go_on(tx, request.user, request.name, kind, arguments, ended)
        )

    def _done(self, request: ChangeRequest, work: Callable[[Transaction], Done]) -> StudySummary:
        number = self._requests.once(request, work)
        row = self._requests.study(number)
        self._moved_on(row.name)
        self._supervisor.wake()
        return self._summary_of(number)

    def _summary_of(self, number: int) -> StudySummary:
        """Return a study's summary by its number; one that was deleted since is shown as the ledger has it."""
        row = self._requests.study(number)
        if row.trashed is None:
            return self.get(row.name)
        detail = "was deleted, and can be restored" if row.purged is None else "was deleted, and removed for good"
        return Standing(row.name, row, None).message().model_copy(update={"detail": detail})

    def _standing(self, name: str) -> Standing:
        self._root.run(name)  # refuses what is no name
        found = self._standings.one(name)
        if found is None and self._root.stamp(name):
            self._followers.run(name)  # a run that has just been made without the service
            found = self._standings.one(name)
        if found is None:
            raise UnknownStudy(f"no study is named {name!r:.80}")
        return found

    def _submitted_text(self, name: str) -> str:
        with self._ledger.reading() as transaction:
            row = study_named(transaction, name, text=True)
        if row is None or not row.text:
            raise Conflict(f"{name} has no study file yet")
        return row.text

    def _let_folders_follow(self) -> None:
        with self._ledger.reading() as transaction:
            self._changes.folders_follow(transaction)

    def _moved_on(self, name: str) -> None:
        self._standings.changed()
        self._followers.changed(name)


def check_time_budget(text: str) -> None:
    """Refuse a time budget that isn't one."""
    from pydantic import TypeAdapter, ValidationError

    from tune_mlp.study.settings import Duration

    try:
        TypeAdapter(Duration).validate_python(text)
    except ValidationError:
        raise Refused(f"time_budget: must be a time like 90s, 10m or 1h30m, got {text!r:.60}") from None
