"""A refusal: the answer of a guard that lets a request go no further, in the same form as every other fault."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from tune_mlp.service.fault_answers import fault_answer
from tune_mlp.service.messages import Fault


def refusal(status: int, why: str, headers: Mapping[str, str] | None = None) -> ASGIApp:
    """Return the answer that refuses a request in one line: a page where a browser asked for one, else JSON."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await fault_answer(Request(scope), status, Fault(error=why), headers)(scope, receive, send)

    return answer
