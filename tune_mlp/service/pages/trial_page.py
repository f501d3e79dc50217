"""The page of one trial: its curve beside the best one's, the settings that differ, why it ended, and what a replay found."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from tune_mlp.service.dependencies import Name, Service, State
from tune_mlp.service.pages.rendering import page
from tune_mlp.service.pages.wording import NOT_A_SETTING
from tune_mlp.service.result_messages import TrialDetail
from tune_mlp.service.stamps import stamp_of

router = APIRouter(include_in_schema=False)


@router.get("/studies/{name}/trials/{number}")
async def trial(
    request: Request, name: Name, number: Annotated[int, Path(ge=0, le=1_000_000_000)], state: State
) -> Response:
    """Show a trial."""
    study = await run_in_threadpool(state.service.get, name)

    def work() -> tuple[TrialDetail, list[str], int]:
        from tune_mlp.service.trial_detail import trial_detail

        results = state.service.results(name)
        return trial_detail(results, number), results.parameters, len(results.trials)

    detail, parameters, total = await state.heavy.once(("trial page", name, number, stamp_of(study)), work)
    facts = {
        key: value
        for key, value in detail.row.items()
        if key not in (*parameters, *NOT_A_SETTING) and value not in (None, "")
    }
    settings = {key: detail.row[key] for key in parameters if detail.row.get(key) is not None}
    return page(
        request,
        "trial.html",
        study=study,
        number=number,
        detail=detail,
        facts=facts,
        settings=settings,
        total=total,
        here="trial",
        replay=await run_in_threadpool(state.service.replay_of, name, number),
    )


@router.get("/studies/{name}/parts/replay")
def replay_part(
    request: Request, name: Name, trial: Annotated[int, Query(ge=0, le=1_000_000_000)], service: Service
) -> Response:
    """Send where the last replay of a trial stands, and what it found."""
    found = service.replay_of(name, trial)
    return page(request, "trial_replay.html", study=service.get(name), number=trial, replay=found)
