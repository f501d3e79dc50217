"""Overrides: `--set PATH=VALUE`, options of a command line and keywords in Python replace values of a study file."""

from __future__ import annotations

import copy
from collections.abc import Collection
from typing import Any

from tune_mlp.config import TrialConfig
from tune_mlp.errors import StudyError, did_you_mean, nearest
from tune_mlp.space.faults import Path_, shown
from tune_mlp.space.files import Located, key_in, plain_tree, read_yaml
from tune_mlp.space.space import EXPERIMENT


def parse_assignment(text: str, roots: Collection[str]) -> tuple[list[str], Any, str]:
    """Return the path, the value, and the text that names it in an error, of an assignment `PATH=VALUE`.

    The path begins with a setting of the study (one of `roots`), or else with a parameter in `space`.
    """
    said = f"--set {text}"
    dotted, equals, value = text.partition("=")
    parts = dotted.strip().split(".")
    if not equals or not all(part and part.isprintable() for part in parts):
        raise StudyError("write it as PATH=VALUE, for instance lr=0.01", source=said)
    try:
        tree = read_yaml(f"value: {value.strip()}\n", said).tree
    except StudyError as error:
        raise StudyError(error.rule, source=said) from None
    if tree.keys() != {"value"}:  # a line break in the value
        raise StudyError("write one value", source=said)
    return _from_root(parts, roots, said), tree["value"], said


def parse_keyword(name: str, value: Any, roots: Collection[str]) -> tuple[list[str], Any, str]:
    """Return for a keyword in Python what `parse_assignment` returns for a text."""
    said = f"{name}={shown(value)}"
    try:
        plain = plain_tree(value)
    except StudyError as error:
        raise StudyError(error.rule, error.path, said) from None
    return _from_root(name.split("."), roots, said), plain, said


def _from_root(parts: list[str], roots: Collection[str], said: str) -> list[str]:
    """Return the path from the top of a study; a name that is no setting of the study is a parameter in `space`."""
    if parts[0] not in roots and parts[0] not in TrialConfig.FIELDS and parts[0] != EXPERIMENT:
        near = nearest(parts[0], [*roots, *TrialConfig.model_fields, EXPERIMENT])
        if near is not None:
            raise StudyError(f"unknown name {shown(parts[0])} (did you mean {near!r}?)", source=said)
    return parts if parts[0] in roots else ["space", *parts]


ONE_OF = ("scheduler", "search", "until")
"""The settings that are one of several names, each with settings of its own; to set one of these chooses the name."""


def override(located: Located, parts: list[str], value: Any, said: str) -> Located:
    """Return a copy in which the value at a path is replaced; `said` is the text of the option that gives it."""
    tree = copy.deepcopy(located.tree)
    if len(parts) > 1 and parts[0] == "space":
        _not_an_experiments_own(tree, parts[1], said)
    where = _assign(tree, parts, value, said)
    if len(where) > 1 and where[0] in ONE_OF:
        tree[where[0]] = {where[1]: tree[where[0]][where[1]]}
    places = {path: place for path, place in located.places.items() if path[: len(where)] != where}
    # The mappings above it, if they were created for it.
    places |= {where[:n]: said for n in range(1, len(where)) if where[:n] not in places}
    places[where] = said
    return Located(tree, located.source, places)


def _not_an_experiments_own(tree: dict[Any, Any], name: str, said: str) -> None:
    """Refuse a common value for a parameter that named experiments set themselves, since none of them would use it."""
    space = tree.get("space")
    branch = space.get(EXPERIMENT) if isinstance(space, dict) else None
    named = branch.get("choice") if isinstance(branch, dict) else None
    for experiment, own in named.items() if isinstance(named, dict) else ():
        if isinstance(own, dict) and name in own:
            place = f"space.{EXPERIMENT}.{experiment}.{name}"
            raise StudyError(f"the experiments set {name} themselves; name one of them, as {place}", source=said)


def _assign(tree: dict[Any, Any], parts: list[str], value: Any, said: str) -> Path_:
    """Set the value at a path, which may leave out the word `choice`, and return its path in the tree."""
    node: Any = tree
    where: list[str | int] = []
    key: Any = ""
    for i, part in enumerate(parts):
        if i and isinstance(node, dict) and "choice" in node and key_in(node, part) not in node:
            node["choice"] = node = _options(node["choice"], part, ".".join(parts[:i]), said)
            where.append("choice")
        key = key_in(node, part)
        if isinstance(node, list) and not isinstance(key, int):
            raise StudyError(f"{'.'.join(parts[:i])} is a list of {len(node)}, and has no {part}", source=said)
        where.append(key)
        if i == len(parts) - 1:
            break
        child = node[key] if isinstance(node, list) else node.get(key)
        if isinstance(child, str):  # `scheduler: asha` is short for `scheduler: {asha: {}}`
            child = {child: {}}
        elif not isinstance(child, dict | list):
            child = {}
        node[key] = child
        node = child
    node[key] = _pin(node[key] if isinstance(node, list) else node.get(key), value)
    return tuple(where)


def _options(options: Any, part: str, path: str, said: str) -> dict[Any, Any]:
    """Return the options of a choice as a mapping; `part` must be one of them."""
    known = dict.fromkeys(options) if isinstance(options, list) and _plain(options) else options
    if not isinstance(known, dict) or key_in(known, part) not in known:
        hint = did_you_mean(part, map(str, known)) if isinstance(known, dict) else ""
        raise StudyError(f"{part!r} is no option of {path}{hint}", source=said)
    return known


def _plain(options: list[Any]) -> bool:
    return all(isinstance(option, str | int) for option in options)


def _pin(old: Any, value: Any) -> Any:
    """Return the new value. If it is an option of a branch, the scheduler or the search, the option's own settings are kept."""
    if not isinstance(old, dict) or isinstance(value, bool) or not isinstance(value, str | int):
        return value
    options = old.get("choice")
    if isinstance(options, dict):
        return {"choice": {value: options[value]}} if value in options else value
    return {value: old[value]} if isinstance(old.get(value), dict) else value
