"""Routes about the service itself: its health, who asks, what studies may hold, and what was changed."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse

from tune_mlp.errors import StudyError
from tune_mlp.service.dependencies import Service, Who
from tune_mlp.service.fault_answers import refusals
from tune_mlp.service.faults import NotAllowed, UnknownStudy
from tune_mlp.service.messages import AuditEntry, Health, Me, ShippedSpace, SpaceText
from tune_mlp.space.files import read_file, shipped, shipped_text
from tune_mlp.study.schema import study_schema
from tune_mlp.version import __version__

router = APIRouter(tags=["service"])


@router.get("/health", responses=refusals())
def health(request: Request, service: Service) -> Health:
    """Say that the service answers, and to somebody with a token how it does."""
    known = getattr(request.state, "user", None) is not None
    return Health(status="ok", version=__version__, facts=service.facts() if known else None)


@router.get("/me", responses=refusals())
async def me(user: Who) -> Me:
    """Say whose token the request has."""
    return Me(name=user.name, admin=user.admin)


@router.get("/spaces", responses=refusals())
def spaces() -> list[ShippedSpace]:
    """List the studies that ship with the service."""
    return [ShippedSpace(name=name, description=_description(name)) for name in shipped()]


@router.get("/spaces/{name}", responses=refusals(404))
def space(name: Annotated[str, Path(pattern=r"^[a-z0-9_]+$", max_length=64)]) -> SpaceText:
    """Return the YAML of a study that ships with the service."""
    if name not in shipped():
        raise UnknownStudy(f"no study {name} ships with the service")
    return SpaceText(name=name, text=shipped_text(name))


@router.get("/schema", response_model=dict[str, Any], responses=refusals())
def schema() -> JSONResponse:
    """Return the JSON schema of a study file."""
    return JSONResponse(study_schema())


@router.get("/audit", responses=refusals())
def audit(
    service: Service,
    user: Who,
    offset: Annotated[int, Query(ge=0, le=1_000_000_000)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[AuditEntry]:
    """List the changes that were asked for, the last first. This is for admins."""
    if not user.admin:
        raise NotAllowed("the audit lines are for admins")
    return [AuditEntry(**line._asdict()) for line in service.audit(offset, limit)]


def _description(name: str) -> str:
    try:
        text = read_file(shipped()[name]).tree.get("description", "")
    except StudyError as error:
        text = f"can't be read: {error}"
    return " ".join(str(text).split())
