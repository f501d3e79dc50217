"""Edits of a study's YAML text: one setting is written anew, and all other lines stay as they are, comments included."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import yaml

from tune_mlp.space.files import dump_yaml, read_yaml

BREAKS = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
"""Where YAML says that a line ends."""
SOURCE = "study"
"""What errors call the text."""


class Removed:
    """Stands for a setting that is taken out of the text."""


REMOVED = Removed()


class _Place(NamedTuple):
    """Where a setting stands in the text: its lines, the columns that it is indented by, and the node of its value."""

    first: int
    end: int
    indent: int
    value: yaml.Node


def edited(text: str, path: Sequence[str], value: Any) -> str:
    """Return the text with the setting at a path changed, added or removed."""
    root = yaml.compose(text, Loader=yaml.SafeLoader) if text.strip() else None
    lines = BREAKS.split(text)
    if lines[-1] == "":
        lines.pop()
    if root is None:
        return text if value is REMOVED else "\n".join([*lines, *_written(_nested(path, value), 0)]) + "\n"
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        return dump_yaml(_changed(read_yaml(text, SOURCE).tree, path, value))
    return "\n".join(_in_mapping(lines, root, path, value, len(lines))) + "\n"


def _in_mapping(lines: list[str], node: yaml.MappingNode, path: Sequence[str], value: Any, end: int) -> list[str]:
    indent = node.value[0][0].start_mark.column
    place = _find(lines, node, path[0], end)
    if place is None:
        if value is REMOVED:
            return lines
        last = _without_tail(lines, node.start_mark.line, end)
        return [*lines[:last], *_written(_nested(path, value), indent), *lines[last:]]
    inner = place.value
    if len(path) > 1 and isinstance(inner, yaml.MappingNode) and inner.value and not inner.flow_style:
        return _in_mapping(lines, inner, path[1:], value, place.end)
    known = read_yaml("\n".join(line[indent:] for line in lines[place.first : place.end]) + "\n", SOURCE).tree
    after = _changed(known, path, value)
    new = _written(after, indent) if after else []
    return [*lines[: place.first], *new, *lines[place.end :]]


def _find(lines: list[str], node: yaml.MappingNode, key: str, end: int) -> _Place | None:
    for number, (name, value) in enumerate(node.value):
        if str(name.value) == key:
            following = node.value[number + 1][0].start_mark.line if number + 1 < len(node.value) else end
            first = name.start_mark.line
            return _Place(first, _without_tail(lines, first, following), name.start_mark.column, value)
    return None


def _without_tail(lines: list[str], first: int, end: int) -> int:
    """Return where a setting ends, before the empty lines and comments that belong to what follows."""
    while end - 1 > first and (not lines[end - 1].strip() or lines[end - 1].lstrip().startswith("#")):
        end -= 1
    return end


def _nested(path: Sequence[str], value: Any) -> dict[str, Any]:
    for name in reversed(path):
        value = {name: value}
    return dict(value)


def _changed(tree: Any, path: Sequence[str], value: Any) -> dict[Any, Any]:
    made = dict(tree) if isinstance(tree, dict) else {}
    key = next((key for key in made if str(key) == path[0]), path[0])
    if len(path) > 1:
        made[key] = _changed(made.get(key), path[1:], value)
    elif value is REMOVED:
        made.pop(key, None)
    else:
        made[key] = value
    return made


def _written(tree: dict[Any, Any], indent: int) -> list[str]:
    """Write settings as lines, each in one line where it fits into one."""
    lines: list[str] = []
    for key, value in tree.items():
        flow = f"{_text(key)}: {_text(value)}"
        if isinstance(value, dict) and value and (len(flow) > 100 or (indent == 0 and key == "space")):
            lines += [f"{_text(key)}:", *_written(value, 2)]
        else:
            lines.append(flow)
    return [" " * indent + line for line in lines]


def as_text(value: Any) -> str:
    """Write a value in one line of YAML."""
    return _text(value)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_text(key)}: {_text(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_text, value)) + "]"
    if isinstance(value, str) and not value.isprintable():
        return json.dumps(value)  # JSON's quotes are YAML's, too
    plain = dump_yaml([value]).strip()[1:-1]  # within brackets the dumper quotes what would end a value
    return plain if "\n" not in plain else json.dumps(value, ensure_ascii=False)
