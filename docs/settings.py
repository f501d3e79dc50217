"""Writes docs/settings.md, the reference of study files, from the settings themselves. `make docs`."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tune_mlp.config import BRANCHES, DataSettings, Settings, TrialConfig
from tune_mlp.space.domains import DOMAINS
from tune_mlp.tuning.settings import Resources, Scheduler, Search
from tune_mlp.tuning.study import Study

TARGET = Path(__file__).parent / "settings.md"
HEAD = """\
# The study file

One YAML file says what is searched. This page is made from the settings themselves by `make docs`; `tune-mlp schema`
prints the same as a JSON schema for editors (a shipped copy is `search_spaces/study.schema.json`).

Any setting can be changed from the command line by its path: `--set lr=0.01` pins a parameter (it is short for
`space.lr`), `--set data.normalize=unit` changes a setting, `--set optimizer.sgd.momentum=0.9` reaches into a branch.
"""


def main() -> None:
    """Write the page."""
    TARGET.write_text(page(), encoding="utf-8")


def page() -> str:
    """The whole page."""
    parts = [
        HEAD,
        "## Settings\n",
        _table(Study),
        "## data\n",
        _table(DataSettings),
        "## resources\n",
        _table(Resources),
    ]
    for title, union in (("scheduler", Scheduler), ("search", Search)):
        parts.append(f"## {title}\n\nA name (`{title}: {next(iter(union.model_fields))}`), or a name with settings.\n")
        for name, info in union.model_fields.items():
            parts += _named(name, _model(info.annotation))
    parts.append("## space: the domains\n\nA parameter is a plain value, or one of these.\n")
    for name, domain in DOMAINS.items():
        parts += _named(name, domain)
    parts.append(
        "Besides: `{choice: {sgd: {momentum: ...}, adam: {}}}` is a choice whose options own parameters, which exist only\n"
        "where their option was drawn; `[64, {choice: [16, 32]}]` is a list with domains in it; and\n"
        "`{list: {choice: [16, 32, 64]}, length: {int: [1, 3]}}` is a list of a length that is drawn, too.\n"
    )
    parts += ["## space: the parameters\n", _table(TrialConfig)]
    for branch, options in BRANCHES.items():
        parts.append(f"### {branch}\n\nA name, or `{branch}: {{choice: {{NAME: {{setting: ...}}}}}}`.\n")
        for name, model in options.items():
            parts += _named(name, model, "####")
    return "\n".join(parts)


def _named(name: str, model: type[Settings], level: str = "###") -> list[str]:
    inner = {key: info for key, info in model.model_fields.items() if key != "name"}
    text = " ".join((model.__doc__ or "").split())
    return [f"{level} {name}\n\n{text}\n", *([_table(model)] if inner else [])]


def _table(model: type[Settings]) -> str:
    rows = ["| name | values | default | |", "| --- | --- | --- | --- |"]
    for name, info in sorted(model.model_fields.items(), key=lambda item: item[0] == "step"):
        if name == "name" and model is not Study and model is not DataSettings:
            continue
        cells = (f"`{info.alias or name}`", _values(info), _default(info), info.description or "")
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def _default(info: FieldInfo) -> str:
    if info.default is PydanticUndefined:
        return "needed"
    if info.default is None:
        return ""
    value = info.default
    if isinstance(value, Settings):
        value = getattr(value, "name", None) or ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`" if value != "" else ""


def _values(info: FieldInfo) -> str:
    limits = {
        key: getattr(item, key) for item in info.metadata for key in ("gt", "ge", "lt", "le") if hasattr(item, key)
    }
    signs = {"gt": "above", "ge": "from", "lt": "below", "le": "to"}
    text = " ".join(f"{signs[key]} {limit:g}" for key, limit in limits.items() if limit < 2**62)
    return f"{_kind(info.annotation)} {text}".strip()


def _kind(annotation: Any) -> str:
    names = {int: "whole number", float: "number", str: "text", bool: "true or false", dict: "mapping", tuple: "list"}
    if annotation in names:
        return names[annotation]
    origin = get_origin(annotation)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    if origin in (Union, types.UnionType):
        kinds = [_kind(part) for part in get_args(annotation) if part is not type(None)]
        return " or ".join(dict.fromkeys(kind for kind in kinds if kind))
    if origin in names:
        return names[origin]
    if origin is not None:
        return _kind(get_args(annotation)[0])
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        fields = annotation.model_fields
        named = fields["name"].default if "name" in fields else None
        return f"`{named}`" if isinstance(named, str) and annotation is not Study else "see below"
    return ""


def _model(annotation: Any) -> type[Settings]:
    return next(part for part in get_args(annotation) if part is not type(None))


if __name__ == "__main__":
    main()
