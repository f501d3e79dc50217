"""The guard of changes: a browser that sends one must send it from a page of this service, and not from somebody else's (CSRF)."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from tune_mlp.service.guards.refusal import refusal

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
"""The methods that change nothing."""
OWN_SITES = ("same-origin", "none")
"""What a browser says of a request that comes from this service's page, or from its user's own hand."""


class OriginGuard:
    """Lets changes through that come from this service's pages, or from a program, which sends no origin."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http" and scope["method"] not in SAFE_METHODS and not _is_own(Headers(scope=scope)):
            answer = refusal(403, "the request comes from a page of another origin, which may change nothing here")
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _is_own(headers: Headers) -> bool:
    sites, origins = headers.getlist("sec-fetch-site"), headers.getlist("origin")
    if any(site not in OWN_SITES for site in sites):
        return False
    return all(_netloc(origin) == headers.get("host", "").lower() for origin in origins)


def _netloc(origin: str) -> str | None:
    """Return the host and the port of an origin. Its scheme may differ, since a proxy may speak TLS for this service."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return None
    return parts.netloc.lower() if parts.scheme in ("http", "https") else None
