"""The guard of heads: a request's path and headers may have so many bytes. Uvicorn's own limit holds only for heads that come in parts."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from tune_mlp.regular_files import in_bytes
from tune_mlp.service.guards.refusal import refusal

MOST_HEAD_BYTES = 32_000


class HeadGuard:
    """Lets requests through whose head is of a usual size."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http":
            size = len(scope["raw_path"] or b"") + len(scope["query_string"])
            size += sum(len(name) + len(value) for name, value in scope["headers"])
            if size > MOST_HEAD_BYTES:
                answer = refusal(431, f"the head of a request may have at most {in_bytes(MOST_HEAD_BYTES)}")
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)
