"""The route of a study's events, which a page or a program follows as they happen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.concurrency import run_in_threadpool

from tune_mlp.service.dependencies import Name, State
from tune_mlp.service.event_stream import stream
from tune_mlp.service.fault_answers import refusals
from tune_mlp.service.faults import TooMany
from tune_mlp.service.guards.sign_in import token_of
from tune_mlp.service.responses import EventsResponse

router = APIRouter(tags=["studies"])
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""Headers that keep proxies from holding events back."""
MOST_OFFSET = 10**15
EXAMPLE = 'retry: 2000\n\nid: 5120\nevent: trial\ndata: {"trial":3,"params":{"lr":0.01}}\n\n'


@router.get(
    "/studies/{name}/events",
    response_class=EventsResponse,
    responses={**refusals(404, 409), 200: {"content": {"text/event-stream": {"example": EXAMPLE}}}},
)
async def events(
    request: Request,
    name: Name,
    state: State,
    offset: Annotated[
        int | None, Query(ge=0, le=MOST_OFFSET, description="The journal's offset from which on events are wanted.")
    ] = None,
    last: Annotated[
        str | None, Header(alias="Last-Event-ID", pattern=r"^[0-9]{1,15}$", description="What a browser sends again.")
    ] = None,
) -> EventsResponse:
    """Follow a study: `trial`, `epochs`, `decided`, `ended`, `summary` and `gone`, each with the journal's offset as its id.

    Without an offset it begins now. `Last-Event-ID` counts before `offset`, as a browser that reconnects sends both. It ends within some
    seconds where its user is removed.
    """
    followed = await run_in_threadpool(state.service.followed, name)
    if state.streams.open >= state.options.most_streams:
        raise TooMany(f"{state.options.most_streams} streams are open already")
    start, token = int(last) if last is not None else offset, token_of(request)

    def may_read() -> bool:
        return state.access.user_of(token) is not None

    async def content() -> AsyncIterator[bytes]:
        with state.streams:
            async for part in stream(followed.events(start), state.stopping, may_read):
                yield part

    return EventsResponse(content(), headers=HEADERS)
