"""What a reader can do with a study by a button: stop, resume, extend, confirm, replay, delete and restore."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from tune_mlp.service.dependencies import Service, Who
from tune_mlp.service.faults import Refused, UnknownStudy
from tune_mlp.service.messages import Confirmation, Extension, StudySummary
from tune_mlp.service.pages.rendering import asks_for_part, form_of, one, page
from tune_mlp.service.studies import StudyService
from tune_mlp.service.users import User

router = APIRouter(include_in_schema=False)
Form = Mapping[str, list[str]]


def _whole(form: Form, name: str, default: int) -> int:
    text = one(form, name) or str(default)
    if not re.fullmatch(r"\d{1,9}", text):
        raise Refused(f"{name} must be a whole number, got {text!r:.40}")
    return int(text)


def _extend(service: StudyService, user: User, name: str, form: Form, key: str | None) -> StudySummary:
    extension = Extension(trials=_whole(form, "trials", 10), time_budget=one(form, "time_budget") or None)
    return service.extend(user, name, extension, key)


def _confirm(service: StudyService, user: User, name: str, form: Form, key: str | None) -> StudySummary:
    top, seeds = _whole(form, "top", 5), _whole(form, "seeds", 5)
    return service.confirm(user, name, Confirmation(top=top, seeds=seeds, front=bool(one(form, "front"))), key)


def _replay(service: StudyService, user: User, name: str, form: Form, key: str | None) -> StudySummary:
    return service.replay(user, name, [_whole(form, "trial", 0)], key)


Change = Callable[[StudyService, User, str, Form, str | None], StudySummary]
CHANGES: dict[str, tuple[Change, str]] = {
    "stop": (
        lambda service, user, name, form, key: service.stop(user, name, key),
        "{name} saves what it has and stops.",
    ),
    "resume": (lambda service, user, name, form, key: service.resume(user, name, key), "{name} goes on."),
    "extend": (_extend, "{name} goes on with more trials."),
    "confirm": (_confirm, "The best configurations of {name} are trained again."),
    "replay": (_replay, "The trial is trained again."),
    "delete": (lambda service, user, name, form, key: service.delete(user, name, key), "{name} is in the trash."),
    "restore": (lambda service, user, name, form, key: service.restore(user, name, key), "{name} is back."),
}
"""What each button does, and what is said then."""


@router.get("/trash")
def trash(request: Request, service: Service) -> Response:
    """Show the studies that were deleted and can be brought back."""
    return page(request, "trash.html", trashed=service.trashed(), keep_days=service.options.keep_days)


@router.post("/studies/{name}/{change}")
async def change_study(request: Request, service: Service, user: Who, name: str, change: str) -> Response:
    """Do what a button says, and show the study again."""
    if change not in CHANGES:
        raise UnknownStudy(f"there is no such page: /studies/{name}/{change:.40}")
    form = await form_of(request)
    do, words = CHANGES[change]
    try:
        study = await run_in_threadpool(do, service, user, name, form, one(form, "key") or None)
    except ValidationError as error:
        first = error.errors()[0]
        raise Refused(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    return _after(request, change, words.format(name=name), study)


def _after(request: Request, change: str, said: str, study: StudySummary) -> Response:
    """Tell htmx what was done, which then shows the study as it is; send a browser without it to the page."""
    to = {"delete": "/", "restore": f"/studies/{study.name}"}.get(change)
    if not asks_for_part(request):
        return RedirectResponse(to or f"/studies/{study.name}", 303)
    # A page that is left for another one is told of no change: it would ask for parts of a study that is gone.
    headers = {"HX-Redirect": to} if to else {"HX-Trigger": json.dumps({"said": said, "changed": change})}
    return Response(status_code=204, headers=headers)
