"""The guard that knows users: it finds out whose token a request has, and lets no other request through to what needs one."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from tune_mlp.service.access import Access
from tune_mlp.service.guards.rates import Buckets, address_of, too_many
from tune_mlp.service.guards.refusal import refusal

PUBLIC = ("/api/health", "/login")
"""The paths that need no token."""
PUBLIC_BELOW = "/static/"
BEARER = {"WWW-Authenticate": "Bearer"}


def cookie_name(scope: Scope) -> str:
    """Return the name of the cookie. Cookies know no ports, so that of a second service on the same machine needs another name."""
    server = scope.get("server")
    return f"tune_mlp_{server[1]}" if server and server[1] else "tune_mlp"


def token_of(connection: HTTPConnection) -> str | None:
    """Return the token of a request: that of its Authorization header, else that of its cookie."""
    given = connection.headers.get("authorization")
    if given is not None:
        kind, _, token = given.partition(" ")
        return token.strip() if kind.lower() == "bearer" else ""
    return connection.cookies.get(cookie_name(connection.scope))


class SignInGuard:
    """Puts the user into `request.state.user`, and refuses requests that have no user where one is needed."""

    def __init__(self, app: ASGIApp, access: Access, failures: Buckets) -> None:
        self._app = app
        self._access = access
        self._failures = failures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        token = token_of(HTTPConnection(scope))
        user = self._access.user_of(token)
        if user is not None and scope.get("client"):
            user = replace(user, address=scope["client"][0])
        scope.setdefault("state", {})["user"] = user
        if user is None and token is not None and (wait := self._failures.take(address_of(scope))):
            await too_many(wait)(scope, receive, send)
            return
        path: str = scope["path"]
        if user is None and path not in PUBLIC and not path.startswith(PUBLIC_BELOW):
            await _refused(path, token, scope)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _refused(path: str, token: str | None, scope: Scope) -> ASGIApp:
    if path.startswith("/api/") or scope["method"] not in ("GET", "HEAD"):
        why = "the token is wrong" if token is not None else "a token is needed: Authorization: Bearer TOKEN"
        return refusal(401, why, BEARER)
    query: bytes = scope.get("query_string", b"")
    back = path + (f"?{query.decode('latin-1')}" if query else "")
    return RedirectResponse(f"/login?next={quote(back, safe='')}", 303)
