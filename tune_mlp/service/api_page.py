"""The description of the API: an OpenAPI schema, and a page at /docs that is rendered from it here, without any tool from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi

from tune_mlp.service.access import Access
from tune_mlp.service.guards.sign_in import PUBLIC
from tune_mlp.service.messages import Fault
from tune_mlp.service.pages.rendering import page

Json = Mapping[str, Any]
SECURITY = {"type": "http", "scheme": "bearer", "description": "The user's token."}
LIMITS = (
    ("minimum", "from"),
    ("maximum", "to"),
    ("minLength", "at least"),
    ("maxLength", "at most"),
    ("pattern", "as"),
)
"""The limits of a value that are said, each with its word."""


class Piece(NamedTuple):
    """A piece of what a value's type is said with."""

    text: str
    message: str = ""
    """The message that the piece leads to; empty if it is plain text."""


class DescribedValue(NamedTuple):
    """A parameter of a route, or a member of a message."""

    name: str
    place: str
    kind: list[Piece]
    text: str


class DescribedAnswer(NamedTuple):
    """An answer of a route."""

    status: str
    kinds: list[Piece]


class DescribedRoute(NamedTuple):
    """A route."""

    name: str
    text: list[str]
    parameters: list[DescribedValue]
    body: list[Piece]
    answers: list[DescribedAnswer]


class DescribedMessage(NamedTuple):
    """A message."""

    name: str
    text: str
    choices: list[str]
    members: list[DescribedValue]


def describe_api(app: FastAPI, access: Access) -> None:
    """Give an application its schema, in which routes need a token where the service has users, and the page that shows it."""

    kept: dict[bool, dict[str, Any]] = {}
    """The schema with tokens and without them: a service that needed none may need them once it has users."""

    def openapi() -> dict[str, Any]:
        needs_token = access.needs_token
        if needs_token not in kept:
            schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            schema["components"]["schemas"]["Fault"] = Fault.model_json_schema()
            if needs_token:
                schema["components"]["securitySchemes"] = {"token": SECURITY}
                schema["security"] = [{"token": []}]
                for path in PUBLIC:
                    for operation in schema["paths"].get(path, {}).values():
                        operation["security"] = []
            kept[needs_token] = schema
        return kept[needs_token]

    @app.get("/docs", include_in_schema=False)
    def docs(request: Request) -> Response:
        schema = openapi()
        return page(
            request, "api.html", about=schema["info"], routes=list(_routes(schema)), messages=list(_messages(schema))
        )

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to extend a schema


def _routes(schema: Json) -> Iterator[DescribedRoute]:
    for path, item in schema["paths"].items():
        for method, operation in item.items():
            body = operation.get("requestBody", {}).get("content", {})
            yield DescribedRoute(
                name=f"{method.upper()} {path}",
                text=operation.get("description", "").split("\n\n"),
                parameters=[
                    DescribedValue(one["name"], one["in"], list(_kind(one["schema"])), one.get("description", ""))
                    for one in operation.get("parameters", ())
                ],
                body=[piece for one in body.values() for piece in _kind(one.get("schema", {}))],
                answers=[
                    DescribedAnswer(status, list(_answer(response.get("content", {}))))
                    for status, response in operation["responses"].items()
                ],
            )


def _answer(content: Json) -> Iterator[Piece]:
    for kind, one in content.items():
        if kind == "application/json":
            yield from _kind(one.get("schema", {}))
        else:
            yield Piece(kind)


def _messages(schema: Json) -> Iterator[DescribedMessage]:
    for name, one in schema["components"]["schemas"].items():
        needed = one.get("required", ())
        yield DescribedMessage(
            name=name,
            text=one.get("description", ""),
            choices=[json.dumps(value) for value in one.get("enum", ())],
            members=[
                DescribedValue(
                    member, "needed" if member in needed else "", list(_kind(value)), value.get("description", "")
                )
                for member, value in one.get("properties", {}).items()
            ],
        )


def _kind(schema: Json) -> Iterator[Piece]:
    """Say the type of a value in a few words, with links to messages."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        yield Piece(name, name)
    elif "anyOf" in schema:
        for place, one in enumerate(schema["anyOf"]):
            if place:
                yield Piece("or")
            yield from _kind(one)
    elif "enum" in schema:
        yield Piece(" or ".join(json.dumps(one) for one in schema["enum"]))
    elif "const" in schema:
        yield Piece(json.dumps(schema["const"]))
    elif schema.get("type") == "array":
        yield Piece("list of")
        yield from _kind(schema.get("items", {}))
    else:
        limits = [f"{word} {schema[key]}" for key, word in LIMITS if key in schema]
        yield Piece(" ".join([str(schema.get("type", "anything")), *limits]))
