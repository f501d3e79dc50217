"""Rendering: a template and what it shows become a page, or for htmx the part of a page that it asked for."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlencode

from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from tune_mlp.service.dependencies import AppState
from tune_mlp.service.faults import Refused
from tune_mlp.service.pages.assets import address_of
from tune_mlp.service.pages.wording import FILTERS, FUNCTIONS, STATE_WORDS, UNDER_WAY
from tune_mlp.version import __version__

MOST_FIELDS = 2000


@cache
def environment() -> Environment:
    """Return the templates. Whatever they are given is escaped, and a name that they aren't given is a mistake of ours."""
    made = Environment(
        loader=PackageLoader("tune_mlp.service.pages", "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(FILTERS)
    made.globals.update(FUNCTIONS)
    made.globals.update(
        asset=address_of, version=__version__, state_words=STATE_WORDS, under_way=UNDER_WAY, query=query
    )
    return made


def page(request: Request, template: str, status: int = 200, **shown: Any) -> Response:
    """Return a template as a page. It is never kept by the browser, since it shows what may have changed."""
    state: AppState = request.app.state.ours
    user = getattr(request.state, "user", None)
    text = (
        environment()
        .get_template(template)
        .render(request=request, user=user, asks_token=state.access.needs_token, new_key=new_key, **shown)
    )
    return HTMLResponse(text, status, headers={"Cache-Control": "no-store", "Vary": "HX-Request"})


def new_key() -> str:
    """Return a key that names one change, so that a form that is sent twice changes things once."""
    return secrets.token_urlsafe(16)


def asks_for_part(request: Request) -> bool:
    """Say whether htmx asks for a part of a page, not for one that goes back in its history."""
    return "hx-request" in request.headers and "hx-history-restore-request" not in request.headers


def query(known: Mapping[str, Any], **changed: Any) -> str:
    """Write an address's query: some values with some of them changed; empty ones are left out."""
    values: list[tuple[str, str]] = []
    for name, given in {**known, **changed}.items():
        several = given if isinstance(given, list | tuple) else [given]
        values += [
            (name, str(one).lower() if isinstance(one, bool) else str(one))
            for one in several
            if one not in (None, "", False)
        ]
    return "?" + urlencode(values) if values else "?"


async def form_of(request: Request) -> dict[str, list[str]]:
    """Return the fields of a form, each with all its values."""
    body = await request.body()
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except (UnicodeDecodeError, ValueError):
        raise Refused("the form can't be read: send it as URL-encoded UTF-8 with at most 2,000 fields") from None
    fields: dict[str, list[str]] = {}
    for name, given in pairs:
        fields.setdefault(name, []).append(given)
    return fields


def one(form: Mapping[str, list[str]], name: str, default: str = "") -> str:
    """Return a form's field that has one value."""
    return form[name][-1] if form.get(name) else default
