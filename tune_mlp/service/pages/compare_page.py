"""The page that puts several studies side by side."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from tune_mlp.errors import TuneMlpError
from tune_mlp.service.dependencies import State
from tune_mlp.service.messages import NAME_PATTERN
from tune_mlp.service.pages.rendering import page
from tune_mlp.service.result_messages import StudiesCompared
from tune_mlp.service.stamps import stamp_of
from tune_mlp.service.studies import StudyFilter

router = APIRouter(include_in_schema=False)
MOST = 10
"""The studies that can be compared at once."""
OFFERED = 200
"""The studies that the list of names offers."""


@router.get("/compare")
async def compare(
    request: Request,
    state: State,
    study: Annotated[list[str] | None, Query(max_length=100)] = None,
    over: Annotated[str, Query(max_length=10)] = "trials",
) -> Response:
    """Show studies beside each other; without two of them, ask which."""
    names = [name for name in dict.fromkeys(study or ()) if re.fullmatch(NAME_PATTERN, name)]
    offered = [one.name for one in (await run_in_threadpool(state.service.list, StudyFilter(limit=OFFERED))).studies]
    shown: StudiesCompared | None = None
    fault = ""
    if len(names) > MOST:
        fault = f"At most {MOST} studies can be compared at once; these are {len(names)}."
    elif len(names) >= 2:
        try:
            shown = await _comparison(state, names)
        except TuneMlpError as error:
            fault = str(error)
    return page(
        request,
        "compare.html",
        names=names,
        offered=offered,
        shown=shown,
        fault=fault,
        over="time" if over == "time" else "trials",
    )


async def _comparison(state: State, names: list[str]) -> StudiesCompared:
    summaries = [await run_in_threadpool(state.service.get, name) for name in names]

    def work() -> StudiesCompared:
        from tune_mlp.service.compared_studies import compare_studies

        return compare_studies([(one, state.service.results(one.name)) for one in summaries])

    return await state.heavy.once(("compare", *((one.name, stamp_of(one)) for one in summaries)), work)
