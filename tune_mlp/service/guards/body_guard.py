"""The guard of bodies: a request's body may have so many bytes and take so long. It is read here, and handed on whole.

Bytes are counted as they come, since a chunked body doesn't say how many there will be.
"""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tune_mlp.regular_files import in_bytes
from tune_mlp.service.guards.refusal import refusal

CLOSE = {"Connection": "close"}
"""The header that ends a connection on which the rest of a body may still come."""


class BodyGuard:
    """Reads the body of each request within its limits."""

    def __init__(self, app: ASGIApp, most_bytes: int, seconds: float) -> None:
        self._app = app
        self._most = most_bytes
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or not _has_body(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "0")
        too_large = refusal(413, f"the body may have at most {in_bytes(self._most)}", CLOSE)
        if int(declared) > self._most:
            await too_large(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self._seconds):
                body = await self._read(receive)
        except TimeoutError:
            answer = refusal(408, f"the body didn't arrive within {self._seconds:g} seconds", CLOSE)
            await answer(scope, receive, send)
            return
        if body is None:
            return  # whoever sent it has gone
        if len(body) > self._most:
            await too_large(scope, receive, send)
            return
        await self._app(scope, _handing_on(body, receive), send)

    async def _read(self, receive: Receive) -> bytes | None:
        """Return the body, or as much of it as shows that it is too large."""
        parts: list[bytes] = []
        size = 0
        while size <= self._most:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if not message.get("more_body", False):
                break
        return b"".join(parts)


def _has_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


def _handing_on(body: bytes, receive: Receive) -> Receive:
    """Return what gives a body that was read, and then what comes after it."""
    given = False

    async def receive_again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again
