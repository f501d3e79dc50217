"""Faults as answers: every error becomes a `Fault` of one line with its HTTP status, whatever raised it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from tune_mlp.errors import StudyError, TuneMlpError, clipped, escaped, one_line
from tune_mlp.service.faults import TooMany, http_status
from tune_mlp.service.messages import Fault
from tune_mlp.service.safety_headers import HEADERS

LOG = logging.getLogger("tune_mlp.service")

WORDS = {
    400: "The request can't be read.",
    401: "A token is needed, or it is wrong.",
    403: "The user may not do this, or the request comes from elsewhere.",
    404: "There is no such study, trial, chart or file.",
    408: "The body didn't arrive in time.",
    409: "The study isn't in a state for this.",
    413: "The body is too large.",
    415: "The body isn't JSON.",
    422: "A value of the request, or of the study, breaks a rule.",
    429: "Too many requests, or too much waits already.",
    431: "The head of the request is too large.",
    507: "The disk is full; nothing of the request was kept.",
}
"""What each status means in the description of the API."""


FAULT = "#/components/schemas/Fault"
"""Where the description of the API has the message; `model` would give it the type of a route's answer, such as text/csv."""


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the description of these faults for a route, with those that any route may answer."""
    return {
        status: {"description": WORDS[status], "content": {"application/json": {"schema": {"$ref": FAULT}}}}
        for status in sorted({400, 401, 403, 422, 429, 431, *statuses})
    }


def fault_of(error: TuneMlpError) -> Fault:
    """Return an error as a message; that of a study names its line and its setting."""
    if not isinstance(error, StudyError):
        return Fault(error=one_line(error, 2000))
    line = error.source.rpartition(":")[2] if hasattr(error, "source") else ""
    path = ".".join(clipped(escaped(str(part))) for part in error.path)
    return Fault(
        error=clipped(escaped(error.rule), 2000), line=int(line) if line.isdecimal() else None, path=path or None
    )


AsPage = Callable[[Request, int, Fault], Response | None]
"""Returns a fault as a page for a reader's browser; None for a program, which gets it as JSON."""


def answer_faults(app: FastAPI, as_page: AsPage) -> None:
    """Let an application answer every error with a Fault."""
    app.state.fault_as_page = as_page
    app.add_exception_handler(TuneMlpError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


def fault_answer(request: Request, status: int, fault: Fault, headers: Mapping[str, str] | None = None) -> Response:
    """Return the answer that tells of a fault, in the form that was asked for."""
    page: Response | None = request.app.state.fault_as_page(request, status, fault)
    if page is not None:
        page.headers.update(headers or {})
        return page
    return JSONResponse(fault.model_dump(), status, headers)


def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, TuneMlpError)
    status = http_status(error)
    if status >= 500:
        LOG.error("%s %s: %s", request.method, request.url.path, one_line(error))
    return fault_answer(request, status, fault_of(error), {"Retry-After": "5"} if isinstance(error, TooMany) else None)


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = [clipped(escaped(str(part))) for part in first["loc"]]
    said = clipped(escaped(str(first["msg"])), 500)
    return fault_answer(request, 422, Fault(error=f"{'.'.join(place)}: {said}", path=".".join(place[1:]) or None))


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers) if error.headers else {}
    if error.status_code == 405:
        # Each route knows its own methods alone, and another route may answer the same path for others.
        headers["Allow"] = ", ".join(_methods(request)) or headers.get("Allow", "")
    return fault_answer(request, error.status_code, Fault(error=escaped(str(error.detail))), headers)


def _methods(request: Request) -> list[str]:
    """Return the methods that the API describes for a request's path."""
    paths, asked = request.app.openapi()["paths"], request.url.path
    own = [asked] if asked in paths else [path for path in paths if compile_path(path)[0].fullmatch(asked)]
    return sorted({method.upper() for path in own for method in paths[path]})


def _unexpected(request: Request, error: Exception) -> Response:
    LOG.error("%s %s: unexpected %s", request.method, request.url.path, one_line(error), exc_info=error)
    answer = fault_answer(request, 500, Fault(error="an unexpected fault, which the service's log tells of"))
    answer.headers.update(HEADERS)  # what failed is answered outside of all guards
    return answer
