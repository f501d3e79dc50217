"""The studies of a service: submit, list, follow, stop, resume, extend, confirm, delete; all that a person can ask, without HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Self

from tune_mlp.service.followed import FollowedRun
from tune_mlp.service.launcher import Launcher
from tune_mlp.service.messages import (
    Confirmation,
    Extension,
    Forecast,
    StudyList,
    StudyState,
    StudySummary,
    Submission,
)
from tune_mlp.service.options import ServiceOptions
from tune_mlp.service.users import User

if TYPE_CHECKING:
    import pandas as pd

    from tune_mlp.results.results import Results

Order = Literal["name", "state", "owner", "submitted", "started", "ended", "best", "trials", "seconds_left"]
"""What the list of studies can be sorted by."""


class StudyFilter(NamedTuple):
    """Which studies of the list, in which order."""

    search: str = ""
    """Text that is looked for in the name, the space's name, the description and the dataset, whatever its case."""
    state: StudyState | None = None
    owner: str | None = None
    sort: Order = "submitted"
    descending: bool = True
    offset: int = 0
    limit: int = 50


class TablePage(NamedTuple):
    """A page of a table."""

    total: int
    """The number of rows that the filter leaves."""
    frame: pd.DataFrame
    columns: tuple[str, ...]
    """All columns that the table has, whichever were asked for."""
    offset: int
    """The journal's offset at which the table was made."""


class TableRequest(NamedTuple):
    """Which part of a table."""

    columns: Sequence[str] | None = None
    """The columns, in order; None for all."""
    sort: str | None = None
    descending: bool = False
    filter: str = ""
    """Comparisons of columns with values, such as `lr<0.01 and activation==relu`."""
    offset: int = 0
    limit: int | None = 100
    """The most rows; None for all of them, for a download."""


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

    def open(self) -> None:
        """Begin the threads that start and follow studies, and find drivers of an earlier service again."""
        raise NotImplementedError

    def close(self) -> None:
        """End the threads. Drivers go on."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def validate(self, submission: Submission) -> Forecast:
        """Check a submission and forecast it. A StudyError names line and path."""
        raise NotImplementedError

    def submit(self, user: User, submission: Submission, key: str | None = None) -> StudySummary:
        """Accept a study. The same user, key and submission give the same study for ever."""
        raise NotImplementedError

    def stop(self, user: User, name: str, key: str | None = None) -> StudySummary:
        """Ask a study to save and end, or take it out of the queue. Nothing of it is deleted."""
        raise NotImplementedError

    def resume(self, user: User, name: str, key: str | None = None) -> StudySummary:
        """Put a study that was stopped or interrupted into the queue again."""
        raise NotImplementedError

    def extend(self, user: User, name: str, extension: Extension, key: str | None = None) -> StudySummary:
        """Add trials to a study that doesn't run."""
        raise NotImplementedError

    def confirm(self, user: User, name: str, confirmation: Confirmation, key: str | None = None) -> StudySummary:
        """Train a study's best configurations again from fresh seeds."""
        raise NotImplementedError

    def replay(self, user: User, name: str, trials: Sequence[int], key: str | None = None) -> StudySummary:
        """Train trials again from their recorded seeds, and compare."""
        raise NotImplementedError

    def delete(self, user: User, name: str, key: str | None = None) -> StudySummary:
        """Move a study that doesn't run to the trash, and return what it was."""
        raise NotImplementedError

    def restore(self, user: User, name: str, key: str | None = None) -> StudySummary:
        """Bring a study back from the trash."""
        raise NotImplementedError

    def trashed(self) -> Sequence[TrashedStudy]:
        """Return the studies in the trash, the last deleted first."""
        raise NotImplementedError

    def list(self, which: StudyFilter = StudyFilter()) -> StudyList:  # noqa: B008  # frozen
        """Return a page of the studies below the root, those that were made without the service, too."""
        raise NotImplementedError

    def get(self, name: str) -> StudySummary:
        """Return one study's summary."""
        raise NotImplementedError

    def study_text(self, name: str) -> str:
        """Return a study's YAML, with every default written out."""
        raise NotImplementedError

    def folder(self, name: str) -> Path:
        """Return the folder of a study's run; it may not be there yet. The name is checked, and the folder is below the root."""
        raise NotImplementedError

    def log(self, name: str) -> str:
        """Return the end of what the study's process said."""
        raise NotImplementedError

    def followed(self, name: str) -> FollowedRun:
        """Return the one reader of a study's journal."""
        raise NotImplementedError

    def trials(self, name: str, request: TableRequest = TableRequest()) -> TablePage:  # noqa: B008  # frozen
        """Return a page of a study's table of trials."""
        raise NotImplementedError

    def epochs(self, name: str, request: TableRequest = TableRequest()) -> TablePage:  # noqa: B008  # frozen
        """Return a page of a study's table of epochs."""
        raise NotImplementedError

    def results(self, name: str) -> Results:
        """Return a study's results so far; they are kept until its journal grows."""
        raise NotImplementedError

    def audit(self, offset: int = 0, limit: int = 100) -> Sequence[AuditLine]:
        """Return the changes that were asked for, the last first."""
        raise NotImplementedError

    def note(self, user: User, action: str, study: str = "", detail: str = "") -> None:
        """Write an audit line for a thing that happened outside this class, such as a login."""
        raise NotImplementedError
