"""What routes and pages ask for as parameters: the service, who the user is, and the key of a repeated request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request

from tune_mlp.service.access import Access
from tune_mlp.service.app_options import AppOptions
from tune_mlp.service.studies import StudyService
from tune_mlp.service.users import User


@dataclass(frozen=True)
class AppState:
    """What the application holds for its routes."""

    service: StudyService
    access: Access
    options: AppOptions


def state_of(request: Request) -> AppState:
    """Return what the application holds."""
    state: AppState = request.app.state.ours
    return state


def service_of(request: Request) -> StudyService:
    """Return the service behind the application."""
    return state_of(request).service


def user_of(request: Request) -> User:
    """Return who sent the request; the guard before the routes has found it out."""
    user: User = request.state.user
    return user


Service = Annotated[StudyService, Depends(service_of)]
Who = Annotated[User, Depends(user_of)]
Key = Annotated[str | None, Header(alias="Idempotency-Key", max_length=200)]
