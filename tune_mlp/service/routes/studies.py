"""Routes of studies: validate, submit, list, look at, stop, resume, extend, confirm, replay, delete and restore."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from tune_mlp.service.dependencies import Key, Name, Service, Who
from tune_mlp.service.fault_answers import refusals
from tune_mlp.service.messages import (
    Confirmation,
    Extension,
    Forecast,
    Replay,
    StudyList,
    StudyState,
    StudySummary,
    Submission,
    TrashEntry,
)
from tune_mlp.service.responses import MessageResponse, TextResponse, YamlResponse
from tune_mlp.service.studies import Order, StudyFilter

router = APIRouter(tags=["studies"])
CHANGED = refusals(404, 408, 409, 413, 415, 507)


@router.post("/studies/validate", responses=refusals(408, 413, 415))
def validate(submission: Submission, service: Service) -> Forecast:
    """Check a study, and forecast what it would take. Nothing is kept."""
    return service.validate(submission)


@router.post("/studies", status_code=201, responses=refusals(408, 409, 413, 415, 507))
def submit(submission: Submission, service: Service, user: Who, response: Response, key: Key = None) -> StudySummary:
    """Accept a study: it runs when its turn comes. The same key gives the same study for ever."""
    summary = service.submit(user, submission, key)
    response.headers["Location"] = f"/api/studies/{summary.name}"
    return summary


@router.get("/studies", response_model=StudyList, responses=refusals())
def studies(
    service: Service,
    search: Annotated[str, Query(max_length=200)] = "",
    state: StudyState | None = None,
    owner: Annotated[str | None, Query(max_length=100)] = None,
    sort: Order = "submitted",
    descending: bool = True,
    offset: Annotated[int, Query(ge=0, le=1_000_000_000)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
) -> MessageResponse:
    """List the studies: those that were submitted, and those that were run without the service."""
    return MessageResponse(service.list(StudyFilter(search, state, owner, sort, descending, offset, limit)))


@router.get("/studies/{name}", response_model=StudySummary, responses=refusals(404))
def study(name: Name, service: Service) -> MessageResponse:
    """Say where a study stands."""
    return MessageResponse(service.get(name))


@router.get(
    "/studies/{name}/study",
    response_class=YamlResponse,
    responses={**refusals(404, 409), 200: {"content": {"application/yaml": {"schema": {"type": "object"}}}}},
)
def study_text(name: Name, service: Service) -> YamlResponse:
    """Return a study's YAML, with every default written out."""
    return YamlResponse(service.study_text(name))


@router.get("/studies/{name}/log", response_class=TextResponse, responses=refusals(404, 409))
def log(name: Name, service: Service) -> TextResponse:
    """Return the end of what a study's process said."""
    return TextResponse(service.log(name))


@router.post("/studies/{name}/stop", responses=CHANGED)
def stop(name: Name, service: Service, user: Who, key: Key = None) -> StudySummary:
    """Ask a study to save what it has and end, or take it out of the queue. Nothing of it is deleted."""
    return service.stop(user, name, key)


@router.post("/studies/{name}/resume", responses=CHANGED)
def resume(name: Name, service: Service, user: Who, key: Key = None) -> StudySummary:
    """Let a study go on that was stopped or interrupted."""
    return service.resume(user, name, key)


@router.post("/studies/{name}/extend", responses=CHANGED)
def extend(name: Name, extension: Extension, service: Service, user: Who, key: Key = None) -> StudySummary:
    """Add trials to a study that doesn't run."""
    return service.extend(user, name, extension, key)


@router.post("/studies/{name}/confirm", responses=CHANGED)
def confirm(name: Name, confirmation: Confirmation, service: Service, user: Who, key: Key = None) -> StudySummary:
    """Train the best configurations of a study again from fresh seeds."""
    return service.confirm(user, name, confirmation, key)


@router.post("/studies/{name}/replay", responses=CHANGED)
def replay(name: Name, replayed: Replay, service: Service, user: Who, key: Key = None) -> StudySummary:
    """Train trials again from their recorded seeds, and compare."""
    return service.replay(user, name, replayed.trials, key)


@router.delete("/studies/{name}", responses=CHANGED)
def delete(name: Name, service: Service, user: Who, key: Key = None) -> StudySummary:
    """Move a study that doesn't run to the trash, and return what it was."""
    return service.delete(user, name, key)


@router.post("/studies/{name}/restore", responses=CHANGED)
def restore(name: Name, service: Service, user: Who, key: Key = None) -> StudySummary:
    """Bring a study back from the trash."""
    return service.restore(user, name, key)


@router.get("/trash", responses=refusals())
def trash(service: Service) -> list[TrashEntry]:
    """List the studies in the trash, the last deleted first."""
    return [TrashEntry(**one._asdict()) for one in service.trashed()]
