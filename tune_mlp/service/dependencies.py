"""What routes and pages ask for as parameters: the service, who the user is, and the key of a repeated request."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Header, Path, Request

from tune_mlp.service.access import Access
from tune_mlp.service.app_options import AppOptions
from tune_mlp.service.best_model import BestModels
from tune_mlp.service.guards.rates import Buckets
from tune_mlp.service.heavy_work import HeavyWork
from tune_mlp.service.kept_answers import KeptAnswers
from tune_mlp.service.messages import NAME_PATTERN
from tune_mlp.service.studies import StudyService
from tune_mlp.service.users import User


class OpenStreams:
    """Counts the streams that are open: each is inside `with` as long as it is."""

    def __init__(self) -> None:
        self.open = 0

    def __enter__(self) -> None:
        self.open += 1

    def __exit__(self, *error: object) -> None:
        self.open -= 1


@dataclass(frozen=True)
class AppState:
    """What the application holds for its routes."""

    service: StudyService
    access: Access
    options: AppOptions
    heavy: HeavyWork
    """Where charts, reports and answers are worked out."""
    models: BestModels
    failures: Buckets
    """Counts wrong tokens by the address that they come from."""
    answers: KeptAnswers = field(default_factory=KeptAnswers)
    streams: OpenStreams = field(default_factory=OpenStreams)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server ends, so that open streams end with it."""


def state_of(request: Request) -> AppState:
    """Return what the application holds."""
    state: AppState = request.app.state.ours
    return state


# These are coroutines, since FastAPI would send plain functions to a thread for each request.


async def _state(request: Request) -> AppState:
    return state_of(request)


async def _service(request: Request) -> StudyService:
    return state_of(request).service


async def _user(request: Request) -> User:
    user: User = request.state.user  # the guard before the routes has found it out
    return user


State = Annotated[AppState, Depends(_state)]
Service = Annotated[StudyService, Depends(_service)]
Who = Annotated[User, Depends(_user)]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[!-~]+$",
        description="A request that is repeated with the same key is carried out once, for ever.",
    ),
]
Name = Annotated[str, Path(pattern=NAME_PATTERN, max_length=64, description="The study's name.")]
