"""The files beside the journal in a run's folder, study.yaml and run.json: read within a limit, and checked once at reading."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tune_mlp.errors import RunFolderError, one_line
from tune_mlp.regular_files import read_regular

MOST_BYTES = 1_000_000
"""The largest size of study.yaml and of run.json, in bytes."""
NUMBER = (int, float)
OPTIONAL_TEXT = (str, type(None))
MANIFEST: dict[str, Any] = {
    "state": str,
    "error": str,
    "name": str,
    "study": str,
    "study_sha256": [str],
    "started": str,
    "seconds": (*NUMBER, type(None)),
    "command": [str],
    "resumed": [{"at": str, "command": [str], "versions": {"*": str}}],
    "seed": int,
    "repeatable": {"draws": bool, "why": str},
    "dataset": {
        "name": str,
        "stand_in_for": OPTIONAL_TEXT,
        "fingerprint": str,
        "samples": int,
        "test_samples": int,
        "features": int,
        "classes": [str],
        "notes": [str],
    },
    "engine": {"name": str, "why": str},
    "resources": {
        "cpu": NUMBER,
        "gpu": NUMBER,
        "concurrent": (int, type(None)),
        "nodes": [{"CPU": NUMBER, "GPU": NUMBER}],
    },
    "machine": {"host": str, "system": str, "processor": str, "cores": (int, type(None))},
    "versions": {"*": str},
    "phases": {"*": NUMBER},
    "baselines": [{"name": str, "*": NUMBER}],
}
"""What each member of run.json is, if it is there: a type or several, a list of such, or a mapping; `*` is any name."""
TYPES = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "a mapping",
    type(None): "null",
}


def read_study(path: Path) -> dict[str, Any]:
    """Read a run's study.yaml as plain values."""
    return _mapping(path, _parse_yaml)


def read_manifest(path: Path) -> dict[str, Any]:
    """Read a run's run.json. A member of another type than a run writes is refused with its place."""
    manifest = _mapping(path, json.loads)
    try:
        _check(manifest, MANIFEST, "")
    except ValueError as error:
        raise RunFolderError(f"{path}: {error}") from None
    return manifest


def read_bytes(path: Path) -> bytes:
    """Read one of these files; a RunFolderError says why it can't be read."""
    try:
        return read_regular(path, MOST_BYTES)
    except OSError as error:
        raise RunFolderError(f"{path}: can't be read: {error.strerror or one_line(error)}") from None


def _mapping(path: Path, parse: Callable[[str], Any]) -> dict[str, Any]:
    content = read_bytes(path)
    try:
        data = parse(content.decode("utf-8"))
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise RunFolderError(f"{path}: can't be read: {one_line(error, limit=200)}") from None
    if not isinstance(data, dict):
        raise RunFolderError(f"{path}: must hold a mapping, got {type(data).__name__}")
    return data


def _check(value: Any, expected: Any, place: str) -> None:
    """Raise a ValueError with the place of the first value that isn't what is expected."""
    if isinstance(expected, Mapping):
        _check_type(value, (dict,), place)
        for name, member in value.items():
            if (kind := expected.get(name, expected.get("*"))) is not None:
                _check(member, kind, f"{place}.{name}" if place else name)
    elif isinstance(expected, list):
        _check_type(value, (list,), place)
        for index, member in enumerate(value):
            _check(member, expected[0], f"{place}[{index}]")
    else:
        _check_type(value, expected if isinstance(expected, tuple) else (expected,), place)


def _check_type(value: Any, types: tuple[type, ...], place: str) -> None:
    if type(value) not in types:  # not isinstance: True is no whole number here
        raise ValueError(f"{place}: must be {' or '.join(TYPES[kind] for kind in types)}, got {value!r:.40}")


class _Plain(yaml.SafeLoader):
    """A YAML loader for a run's study. The package wrote the file, so tags, anchors and aliases in it are refused."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or event.anchor or event.tag:
            raise ValueError("tags aren't allowed, nor are anchors and aliases")
        return super().compose_node(parent, index)


def _parse_yaml(text: str) -> Any:
    return yaml.load(text, Loader=_Plain)
