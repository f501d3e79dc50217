"""Errors as pages of the same look, for a reader's browser."""

from __future__ import annotations

from fastapi import Request, Response

from tune_mlp.service.messages import Fault
from tune_mlp.service.pages.rendering import asks_for_part, page

TITLES = {
    401: "Please sign in",
    403: "Not allowed",
    404: "Not found",
    408: "Too slow",
    409: "Not now",
    413: "Too large",
    422: "Not understood",
    429: "Too much at once",
    431: "Too large",
    500: "Something broke",
    507: "The disk is full",
}


def error_page(request: Request, status: int, fault: Fault) -> Response | None:
    """Return a fault as a page, if a browser asks for one; None for the API, for scripts and for programs."""
    wants_page = "text/html" in request.headers.get("accept", "")
    if request.url.path.startswith("/api/") or asks_for_part(request) or not wants_page:
        return None
    return page(request, "error.html", status, title=TITLES.get(status, "That didn't work"), fault=fault)
