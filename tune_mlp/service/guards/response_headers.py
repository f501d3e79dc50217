"""Headers of every response, which tell a browser what the page may do: load from this service alone, and be framed by nobody."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tune_mlp.service.safety_headers import HEADERS

FRAMED = "frame-ancestors 'self'"
"""The part of a response's own policy that lets this service's pages frame it."""


class ResponseHeaders:
    """Adds the headers to each response; a response may bring a policy of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if FRAMED in headers["Content-Security-Policy"]:
                    del headers["X-Frame-Options"]
                if scope["path"].startswith("/api/"):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, send_with_headers)
