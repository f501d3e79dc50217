"""The page on which a study is written: a form beside its YAML, each following the other, and a forecast before it is begun."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse

from tune_mlp.errors import StudyError, TuneMlpError
from tune_mlp.service.dependencies import Service, Who
from tune_mlp.service.faults import Refused, http_status
from tune_mlp.service.messages import MOST_STUDY_CHARACTERS, NAME_PATTERN, Forecast, Submission
from tune_mlp.service.pages.rendering import form_of, new_key, one, page
from tune_mlp.service.pages.study_form import KINDS, StudyForm, apply_form, form_of_study
from tune_mlp.service.studies import StudyService
from tune_mlp.space.files import read_yaml, shipped, shipped_text
from tune_mlp.study.yaml_edit import SOURCE

router = APIRouter(include_in_schema=False)
FIRST = "digits_quick"
"""The shipped study that the page begins with."""
RESHAPES = ("set:search", "set:scheduler", "set:until")
"""The fields after whose change the form has other fields."""


class Wrong(NamedTuple):
    """What is wrong with a study, and where."""

    error: str
    line: int | None = None
    path: str = ""


@router.get("/new")
def new_study(
    request: Request,
    service: Service,
    space: Annotated[str, Query(max_length=100)] = FIRST,
    from_: Annotated[str, Query(alias="from", max_length=100)] = "",
) -> Response:
    """Show a study to begin with: a shipped one, or that of another study."""
    if from_:
        if not re.fullmatch(NAME_PATTERN, from_):
            raise Refused("from: there is no study of this name")
        text = service.study_text(from_)
    else:
        text = _shipped(space)
    return _page(request, text, space="" if from_ else space)


@router.post("/new")
async def begin(request: Request, service: Service, user: Who) -> Response:
    """Begin the study, or show again what is wrong with it."""
    form = await form_of(request)
    text, name, key = one(form, "text"), one(form, "name").strip(), one(form, "key") or new_key()
    if name and not re.fullmatch(NAME_PATTERN, name):
        rule = "the name must be 1 to 64 letters, digits, dots, dashes or underscores, a letter or digit first"
        return _page(request, text, name, key, Wrong(rule, path="name"), status=422)
    if len(text) > MOST_STUDY_CHARACTERS:
        raise Refused(f"a study may have at most {MOST_STUDY_CHARACTERS:,} characters")
    try:
        study = await run_in_threadpool(service.submit, user, Submission(study=text + "\n", name=name or None), key)
    except TuneMlpError as error:
        return _page(request, text, name, key, _wrong(error), status=http_status(error))
    return RedirectResponse(f"/studies/{study.name}", 303)


@router.post("/new/form")
async def form_follows(request: Request) -> Response:
    """Send the form of a text that was changed; none while the text can't be read."""
    form = await form_of(request)
    tree = _tree(one(form, "text"))
    if tree is None:
        return Response(status_code=204)
    return page(request, "study_form.html", form=form_of_study(tree), kinds=KINDS)


@router.post("/new/text")
async def text_follows(request: Request) -> Response:
    """Send the text after a change in the form, and the form too where it has other fields now."""
    form = await form_of(request)
    text = apply_form(one(form, "text"), form)
    reshapes = one(form, "changed") in RESHAPES or "add" in form or "remove" in form
    tree = _tree(text)
    shown: StudyForm | None = form_of_study(tree) if reshapes and tree is not None else None
    return page(request, "new_text.html", text=text, form=shown, kinds=KINDS)


@router.post("/new/check")
async def check(request: Request, service: Service) -> Response:
    """Say what is wrong with a study, or what follows from its settings alone."""
    return await _checked(request, service, measure=False)


@router.post("/new/forecast")
async def forecast(request: Request, service: Service) -> Response:
    """Say what a study would take, as measured on this machine, which takes some seconds."""
    return await _checked(request, service, measure=True)


async def _checked(request: Request, service: StudyService, measure: bool) -> Response:
    text = one(await form_of(request), "text")
    forecast: Forecast | None = None
    wrong: Wrong | None = None
    try:
        if len(text) > MOST_STUDY_CHARACTERS:
            raise Refused(f"a study may have at most {MOST_STUDY_CHARACTERS:,} characters")
        forecast = await run_in_threadpool(service.validate, Submission(study=text + "\n"), measure)
    except TuneMlpError as error:
        wrong = _wrong(error)
    return page(request, "forecast.html", forecast=forecast, wrong=wrong, measured=measure)


def _wrong(error: TuneMlpError) -> Wrong:
    if not isinstance(error, StudyError):
        return Wrong(str(error))
    line = error.source.rpartition(":")[2]
    path = ".".join(map(str, error.path))
    said = f"{path}: {error.rule}" if path else error.rule
    return Wrong(said, int(line) if line.isdecimal() else None, path)


def _shipped(name: str) -> str:
    """Return a shipped study's text with its name in it."""
    if name not in shipped():
        name = FIRST
    text = (
        "\n".join(line for line in shipped_text(name).splitlines() if "yaml-language-server" not in line).strip() + "\n"
    )
    named = _tree(text) or {}
    return text if "name" in named else f"name: {name[:48]}\n{text}"


def _tree(text: str) -> Mapping[Any, Any] | None:
    try:
        return read_yaml(text, SOURCE).tree
    except StudyError:
        return None


def _page(
    request: Request,
    text: str,
    name: str = "",
    key: str | None = None,
    wrong: Wrong | None = None,
    status: int = 200,
    space: str = "",
) -> Response:
    return page(
        request,
        "new.html",
        status,
        text=text,
        name=name,
        key=key or new_key(),
        wrong=wrong,
        forecast=None,
        measured=False,
        form=form_of_study(_tree(text) or {}),
        kinds=KINDS,
        spaces=list(shipped()),
        space=space,
    )
