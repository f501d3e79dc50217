"""Routes of a study's tables: pages of trials and epochs as JSON, whole tables as CSV and Parquet, and one trial by itself."""

from __future__ import annotations

import io
from pathlib import Path as FilePath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, NamedTuple

from fastapi import APIRouter, Depends, Path, Query
from fastapi.concurrency import run_in_threadpool

from tune_mlp.service.dependencies import AppState, Name, Service, State
from tune_mlp.service.fault_answers import refusals
from tune_mlp.service.responses import CsvResponse, MessageResponse, ParquetResponse, attachment
from tune_mlp.service.result_messages import TableRows, TrialDetail
from tune_mlp.service.stamps import stamp_of
from tune_mlp.service.studies import StudyService
from tune_mlp.service.table_pages import MOST_ROWS, TableName, TableRequest, page_of

if TYPE_CHECKING:  # pandas takes 0.4 s to import
    import pandas as pd

router = APIRouter(tags=["tables"])
REFUSED = refusals(404, 409)


class TablePart(NamedTuple):
    """Which columns and rows of a table are asked for, in which order."""

    columns: tuple[str, ...] | None
    sort: str | None
    descending: bool
    filter: str


async def part(
    columns: Annotated[
        str | None, Query(max_length=4000, description="The columns, with commas between them; left out, all of them.")
    ] = None,
    sort: Annotated[str | None, Query(max_length=200, description="The column to sort by.")] = None,
    descending: bool = False,
    filter: Annotated[
        str, Query(max_length=1000, description="Conditions such as `lr<0.01 and activation==relu`.")
    ] = "",
) -> TablePart:
    """Read the parameters that all tables share."""
    names = None if not columns else tuple(name.strip() for name in columns.split(",") if name.strip())
    return TablePart(names or None, sort or None, descending, filter)


Asked = Annotated[TablePart, Depends(part)]
Offset = Annotated[int, Query(ge=0, le=1_000_000_000)]
Limit = Annotated[int, Query(ge=1, le=MOST_ROWS)]
Number = Annotated[int, Path(ge=0, le=1_000_000_000, description="The trial's number.")]


def _answer(state: AppState, table: TableName, name: str, asked: TablePart, offset: int, limit: int) -> MessageResponse:
    request = TableRequest(*asked, offset, limit)
    at, frame = state.service.table(name, table)

    def write() -> bytes:
        from tune_mlp.service.table_cells import rows_of

        page = page_of(frame, request, at)
        rows = TableRows(
            total=page.total,
            offset=offset,
            columns=tuple(map(str, page.frame.columns)),
            known=page.columns,
            rows=rows_of(page.frame),
            journal=page.offset,
        )
        return rows.model_dump_json().encode()

    return MessageResponse(state.answers.of(frame, (name, table, request), write))


def _whole(service: StudyService, table: TableName, name: str, asked: TablePart) -> pd.DataFrame:
    """Return all rows of a table that the filter leaves."""
    at, frame = service.table(name, table)
    return page_of(frame, TableRequest(*asked, 0, None), at).frame


def _csv(service: StudyService, table: TableName, name: str, asked: TablePart) -> CsvResponse:
    frame = _whole(service, table, name, asked)
    return CsvResponse(_csv_bytes(frame), headers=attachment(f"{name}-{table}.csv"))


def _csv_bytes(frame: pd.DataFrame) -> bytes:
    """Return a table as the same CSV that a search leaves."""
    from tune_mlp.results.export import write_csv

    with TemporaryDirectory() as folder:
        path = FilePath(folder) / "table.csv"
        write_csv(frame, path)
        return path.read_bytes()


def _parquet(service: StudyService, table: TableName, name: str, asked: TablePart) -> ParquetResponse:
    frame = _whole(service, table, name, asked)
    content = io.BytesIO()
    frame.to_parquet(content, index=False, engine="pyarrow")
    return ParquetResponse(content.getvalue(), headers=attachment(f"{name}-{table}.parquet"))


@router.get("/studies/{name}/trials", response_model=TableRows, responses=REFUSED)
def trials(name: Name, state: State, asked: Asked, offset: Offset = 0, limit: Limit = 100) -> MessageResponse:
    """Return a page of the table of trials."""
    return _answer(state, "trials", name, asked, offset, limit)


@router.get("/studies/{name}/epochs", response_model=TableRows, responses=REFUSED)
def epochs(name: Name, state: State, asked: Asked, offset: Offset = 0, limit: Limit = 100) -> MessageResponse:
    """Return a page of the table of epochs."""
    return _answer(state, "epochs", name, asked, offset, limit)


@router.get("/studies/{name}/trials.csv", response_class=CsvResponse, responses=REFUSED)
def trials_csv(name: Name, service: Service, asked: Asked) -> CsvResponse:
    """Return the table of trials as CSV, all rows that the filter leaves."""
    return _csv(service, "trials", name, asked)


@router.get("/studies/{name}/epochs.csv", response_class=CsvResponse, responses=REFUSED)
def epochs_csv(name: Name, service: Service, asked: Asked) -> CsvResponse:
    """Return the table of epochs as CSV, all rows that the filter leaves."""
    return _csv(service, "epochs", name, asked)


@router.get("/studies/{name}/trials.parquet", response_class=ParquetResponse, responses=REFUSED)
def trials_parquet(name: Name, service: Service, asked: Asked) -> ParquetResponse:
    """Return the table of trials as Parquet, all rows that the filter leaves."""
    return _parquet(service, "trials", name, asked)


@router.get("/studies/{name}/epochs.parquet", response_class=ParquetResponse, responses=REFUSED)
def epochs_parquet(name: Name, service: Service, asked: Asked) -> ParquetResponse:
    """Return the table of epochs as Parquet, all rows that the filter leaves."""
    return _parquet(service, "epochs", name, asked)


@router.get("/studies/{name}/trials/{number}", responses=REFUSED)
async def trial(name: Name, number: Number, state: State) -> TrialDetail:
    """Return a trial: its row, its curve, what it has other than the best trial, why it ended, and what its last replay found."""
    summary = await run_in_threadpool(state.service.get, name)

    def work() -> TrialDetail:
        from tune_mlp.service.trial_detail import trial_detail

        return trial_detail(state.service.results(name), number)

    detail = await state.heavy.once(("trial", name, number, stamp_of(summary)), work)
    replay = await run_in_threadpool(state.service.replay_of, name, number)
    return detail.model_copy(update={"replay": replay})
