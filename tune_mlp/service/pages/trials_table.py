"""The table of a study's trials on its page: sorted, filtered and paged by the server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from fastapi import Depends, Query

from tune_mlp.service.faults import Conflict, Refused, UnknownStudy
from tune_mlp.service.messages import StudySummary
from tune_mlp.service.studies import StudyService, TableRequest

PAGE = 50
FIRST = ("trial", "state", "epochs", "seconds")
MOST_COLUMNS = 12
"""The parameters that are shown unless a reader chooses columns."""


@dataclass(frozen=True)
class Wanted:
    """What a reader chose of the table, as the address says it."""

    columns: tuple[str, ...]
    sort: str
    descending: bool
    filter: str
    offset: int

    @property
    def query(self) -> dict[str, Any]:
        """The choices as they stand in an address; the API takes the same ones for the download."""
        return {
            "columns": ",".join(self.columns),
            "sort": self.sort,
            "descending": self.descending,
            "filter": self.filter,
            "offset": self.offset or "",
        }


def wanted(
    columns: Annotated[list[str] | None, Query(max_length=1000)] = None,
    sort: Annotated[str, Query(max_length=300)] = "",
    descending: bool = False,
    filter: Annotated[str, Query(max_length=1000)] = "",
    offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
) -> Wanted:
    """Read a reader's choices from the address."""
    names = [name.strip() for given in columns or () for name in given.split(",")]
    return Wanted(tuple(dict.fromkeys(name for name in names if name)), sort, descending, filter, offset)


WantedTable = Annotated[Wanted, Depends(wanted)]


@dataclass(frozen=True)
class TrialsTable:
    """A page of the table as its template shows it."""

    wanted: Wanted
    total: int = 0
    columns: Sequence[str] = ()
    known: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()
    numeric: frozenset[str] = field(default_factory=frozenset)
    fault: str = ""
    """Why the filter or the order can't be applied."""
    size: int = PAGE


def trials_table(service: StudyService, study: StudySummary, chosen: Wanted) -> TrialsTable:
    """Return the page of the table that a reader chose. A filter that can't be read is said above an empty table."""
    try:
        known = service.trials(study.name, TableRequest(limit=1)).columns
    except (Conflict, UnknownStudy):  # it waits for its turn, or has only begun
        return TrialsTable(chosen)
    usual = shown_first(known, study)
    if list(chosen.columns) == usual:
        chosen = replace(chosen, columns=())
    columns = list(chosen.columns) or usual
    try:
        found = service.trials(
            study.name,
            TableRequest(columns, chosen.sort or None, chosen.descending, chosen.filter, chosen.offset, PAGE),
        )
    except Refused as refused:
        return TrialsTable(chosen, fault=str(refused), known=known, columns=columns)
    frame = found.frame
    numeric = frozenset(name for name in frame.columns if frame[name].dtype.kind in "iuf")
    rows = [list(row) for row in frame.itertuples(index=False, name=None)]
    return TrialsTable(chosen, found.total, list(frame.columns), found.columns, rows, numeric)


def shown_first(known: Sequence[str], study: StudySummary) -> list[str]:
    """Return the columns that a reader sees who chose none: the score, and the parameters."""
    after = known.index("error") + 1 if "error" in known else len(known)
    until = known.index("reason") if "reason" in known else len(known)
    wanted = [*FIRST, f"best_{study.metric}", "on_front", *known[after:until][:MOST_COLUMNS]]
    return [name for name in dict.fromkeys(wanted) if name in known]
