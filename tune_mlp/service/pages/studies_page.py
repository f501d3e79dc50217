"""The page of all studies: search, filters, and a list that keeps itself up to date."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from tune_mlp.service.dependencies import Service
from tune_mlp.service.messages import StudyState, StudySummary
from tune_mlp.service.pages.rendering import asks_for_part, environment, page
from tune_mlp.service.studies import Order, StudyFilter

router = APIRouter(include_in_schema=False)
PAGE = 25
"""How many studies a page of the list shows."""

Text = Annotated[str, Query(max_length=200)]
Offset = Annotated[int, Query(ge=0, le=10_000_000)]


def _shown(
    service: Service,
    search: Text = "",
    state: Text = "",
    owner: Text = "",
    sort: Order = "submitted",
    descending: bool = True,
    offset: Offset = 0,
) -> dict[str, Any]:
    """Return what the list's templates show; every choice stands in the address."""
    states = {one.value: one for one in StudyState}
    which = StudyFilter(search, states.get(state), owner or None, sort, descending, offset, PAGE)
    asked = {
        "search": search,
        "state": state,
        "owner": owner,
        "sort": sort if sort != "submitted" else "",
        "descending": "" if descending else "false",
        "offset": offset or "",
    }
    return {"list": service.list(which), "which": which, "asked": asked, "size": PAGE, "digest": digest_of}


Shown = Annotated[dict[str, Any], Depends(_shown)]


@router.get("/")
def studies(
    request: Request,
    shown: Shown,
) -> Response:
    """Show the studies."""
    return page(request, "studies_list.html" if asks_for_part(request) else "studies.html", **shown)


@router.get("/parts/studies")
def changed_studies(
    request: Request,
    shown: Shown,
    seen: Annotated[str, Query(max_length=20_000)] = "",
) -> Response:
    """Send the rows that differ from what a page has: `seen` holds `name:digest` of each of its rows."""
    listed = shown["list"]
    before = dict(one.rpartition(":")[::2] for one in seen.split(",") if one)
    now = {study.name: digest_of(study) for study in listed.studies}
    if before == now:
        return Response(status_code=204)
    if list(before) != list(now):
        return page(request, "studies_list.html", **shown)
    changed = [study for study in listed.studies if before[study.name] != now[study.name]]
    answer = page(request, "studies_changed.html", **{**shown, "changed": changed})
    answer.headers["HX-Reswap"] = "none"  # each row names the row that it replaces
    return answer


def digest_of(study: StudySummary) -> str:
    """Return a short text that differs when a study's row does."""
    row = environment().get_template("studies_row.html").module.row(study, "")  # type: ignore[attr-defined]  # a macro
    return hashlib.sha256(str(row).encode()).hexdigest()[:12]
