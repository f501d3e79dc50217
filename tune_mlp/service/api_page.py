"""The description of the API: an OpenAPI schema, and a page at /docs that is rendered from it here and loads no script."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from tune_mlp.report.markup import Inner, Markup, tag
from tune_mlp.service.access import Access
from tune_mlp.service.guards.sign_in import PUBLIC
from tune_mlp.service.messages import Fault
from tune_mlp.service.responses import PageResponse

Json = Mapping[str, Any]
SECURITY = {"type": "http", "scheme": "bearer", "description": "The user's token."}


def describe_api(app: FastAPI, access: Access) -> None:
    """Give an application its schema, in which routes need a token where the service has users, and the page that shows it."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            schema["components"]["schemas"]["Fault"] = Fault.model_json_schema()
            if access.needs_token:
                schema["components"]["securitySchemes"] = {"token": SECURITY}
                schema["security"] = [{"token": []}]
                for path in PUBLIC:
                    for operation in schema["paths"].get(path, {}).values():
                        operation["security"] = []
            app.openapi_schema = schema
        return app.openapi_schema

    @app.get("/docs", include_in_schema=False)
    def docs() -> PageResponse:
        return PageResponse(_page(openapi()))

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to extend a schema


def _page(schema: Json) -> str:
    body = [
        tag("h1", f"{schema['info']['title']} {schema['info']['version']}: the HTTP API"),
        tag("p", schema["info"]["description"], " The same as ", tag("a", "OpenAPI", href="/api/openapi.json"), "."),
        tag("h2", "Routes"),
        [_operation(path, method, one) for path, item in schema["paths"].items() for method, one in item.items()],
        tag("h2", "Messages"),
        [_message(name, one) for name, one in schema.get("components", {}).get("schemas", {}).items()],
    ]
    head = [
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", "tune_mlp: the HTTP API"),
        tag("link", rel="stylesheet", href="/static/style.css"),
    ]
    return f"<!doctype html>\n{tag('html', tag('head', head), tag('body', tag('main', body)), lang='en')}\n"


def _operation(path: str, method: str, operation: Json) -> Inner:
    rows = [
        tag(
            "tr",
            tag("th", tag("code", parameter["name"]), scope="row"),
            tag("td", parameter["in"]),
            tag("td", _kind(parameter["schema"])),
            tag("td", parameter.get("description", "")),
        )
        for parameter in operation.get("parameters", ())
    ]
    body = operation.get("requestBody", {}).get("content", {})
    return tag(
        "section",
        tag("h3", tag("code", f"{method.upper()} {path}")),
        [tag("p", part) for part in operation.get("description", "").split("\n\n")],
        tag("table", tag("tbody", rows)) if rows else None,
        [tag("p", "Body: ", _kind(one.get("schema", {})), ".") for one in body.values()],
        tag("p", "Answers: ", _joined(_answers(operation)), "."),
    )


def _answers(operation: Json) -> Iterator[Inner]:
    for status, response in operation["responses"].items():
        kinds = [
            _kind(one.get("schema", {})) if kind == "application/json" else tag("code", kind)
            for kind, one in response.get("content", {}).items()
        ]
        yield [tag("b", status), " ", _joined(kinds)]


def _joined(parts: Iterable[Inner]) -> Inner:
    return [[", ", part] if place else part for place, part in enumerate(parts)]


def _message(name: str, schema: Json) -> Inner:
    rows = [
        tag(
            "tr",
            tag("th", tag("code", member), " (needed)" if member in schema.get("required", ()) else None, scope="row"),
            tag("td", _kind(one)),
            tag("td", one.get("description", "")),
        )
        for member, one in schema.get("properties", {}).items()
    ]
    values = schema.get("enum")
    return tag(
        "section",
        tag("h3", tag("code", name), id=name),
        tag("p", schema["description"]) if "description" in schema else None,
        tag("p", "One of ", ", ".join(map(str, values)), ".") if values else None,
        tag("table", tag("tbody", rows)) if rows else None,
    )


def _kind(schema: Json) -> Markup:
    """Return the type of a value in a few words, with links to messages."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return tag("a", name, href=f"#{name}")
    if "anyOf" in schema:
        parts = [_kind(one) for one in schema["anyOf"]]
        return Markup(" or ".join(parts))
    if "enum" in schema:
        return tag("span", " or ".join(json.dumps(one) for one in schema["enum"]))
    if "const" in schema:
        return tag("span", json.dumps(schema["const"]))
    if schema.get("type") == "array":
        return tag("span", "list of ", _kind(schema.get("items", {})))
    limits = [
        f"{word} {schema[key]}"
        for key, word in (("minimum", "from"), ("maximum", "to"), ("maxLength", "at most"), ("pattern", "as"))
        if key in schema
    ]
    return tag("span", " ".join([str(schema.get("type", "any")), *limits]))
