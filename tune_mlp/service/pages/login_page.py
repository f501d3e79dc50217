"""The page that asks for a token; the form's answer is the API's to give."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from tune_mlp.service.pages.rendering import page

router = APIRouter(include_in_schema=False)


@router.get("/login")
def login_form(
    request: Request,
    next: Annotated[str, Query(max_length=2000)] = "/",
    wrong: Annotated[str, Query(max_length=10)] = "",
) -> Response:
    """Ask for a token."""
    return page(request, "login.html", next=next, wrong=bool(wrong))
