"""Signing in and out in a browser: the token becomes a cookie that no script can read and no other site can send."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse

from tune_mlp.service.dependencies import State
from tune_mlp.service.faults import TooMany
from tune_mlp.service.guards.sign_in import cookie_name
from tune_mlp.service.pages.rendering import form_of, one

router = APIRouter(include_in_schema=False)
COOKIE_SECONDS = 30 * 24 * 3600
HOME = "/"


@router.post("/login")
async def login(request: Request, state: State) -> RedirectResponse:
    """Take a token from the form of the login page, and go on to the page that was asked for."""
    form = await form_of(request)
    token, wanted = one(form, "token"), one(form, "next")
    following = own_path(wanted)
    user = state.access.user_of(token)
    address = request.client.host if request.client else ""
    if user is None:
        if wait := state.failures.take(f"address {address}"):
            raise TooMany(f"too many wrong tokens; try again in {wait:.0f} s")
        return RedirectResponse(f"/login?wrong=1&next={quote(following, safe='')}", 303)
    response = RedirectResponse(following, 303)
    if state.access.needs_token:
        await run_in_threadpool(state.service.note, replace(user, address=address), "sign in")
        response.set_cookie(
            cookie_name(request.scope),
            token,
            max_age=COOKIE_SECONDS,
            httponly=True,
            samesite="strict",
            secure=state.options.behind_https,
        )
    return response


@router.post("/logout")
async def logout(request: Request, state: State) -> RedirectResponse:
    """Forget the cookie."""
    response = RedirectResponse("/login", 303)
    name, secure = cookie_name(request.scope), state.options.behind_https
    response.delete_cookie(name, httponly=True, samesite="strict", secure=secure)
    return response


def own_path(wanted: str) -> str:
    """Return a path of this service to go on to; anything that a browser could take for another site becomes the first page."""
    is_own = wanted.startswith("/") and not wanted.startswith("//") and wanted.isprintable() and "\\" not in wanted
    return wanted if is_own and wanted.isascii() else HOME
