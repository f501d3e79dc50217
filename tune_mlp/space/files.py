"""Study files: strict YAML with the line of every value, overrides by path, and the files that ship with the package."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tune_mlp.errors import StudyError, UsageError, did_you_mean

Path_ = tuple[str | int, ...]
MAX_BYTES = 1_000_000
MAX_DEPTH = 40


class _Loader(yaml.SafeLoader):
    """YAML 1.2's core schema: `1e-4` is a number, `no` and `on` are words, `1:30` and `010` hold no surprise."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"^(?:~|null|)$", ["~", "n", ""]),
    ("bool", r"^(?:true|false)$", list("tf")),
    ("int", r"^[-+]?[0-9]+$", list("-+0123456789")),
    ("float", r"^[-+]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|\.inf|\.nan)$", list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)
_SCALARS: dict[str, Callable[[str], Any]] = {
    "tag:yaml.org,2002:null": lambda text: None,
    "tag:yaml.org,2002:bool": lambda text: text == "true",
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:float": lambda text: float(text.replace(".inf", "inf").replace(".nan", "nan")),
    "tag:yaml.org,2002:str": str,
}


@dataclass(frozen=True)
class Located:
    """A tree of plain values, and where each was said: `file:line`, or the option that put it there."""

    tree: dict[Any, Any]
    source: str
    places: dict[Path_, str] = field(default_factory=dict)

    def place(self, path: Path_) -> str:
        """Where the value at `path`, or the nearest above it, was said."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, self.source)

    def locate(self, error: StudyError) -> StudyError:
        """The same error, with file and line."""
        return StudyError(error.rule, error.path, self.place(error.path))


def read_yaml(text: bytes | str, source: str) -> Located:
    """Parse a study file's text; every fault is a StudyError that names `source` and the line."""
    if len(text) > MAX_BYTES:
        raise StudyError(f"a study file is at most {MAX_BYTES} bytes, got {len(text)}", source=source)
    try:
        root = _compose(text, source)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise StudyError(f"not valid YAML: {error.problem or error.context}", source=f"{source}{line}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise StudyError(f"not valid YAML: {' '.join(str(error).split())}", source=source) from None
    if root is None:
        raise StudyError("the file is empty", source=source)
    places: dict[Path_, str] = {}
    tree = _construct(root, (), source, places)
    if not isinstance(tree, dict):
        raise StudyError("a study file is a mapping of settings", source=f"{source}:1")
    return Located(tree, source, places)


def _compose(text: bytes | str, source: str) -> yaml.Node | None:
    """The node tree, once a flat pass over the events has refused what could grow or run."""
    depth = documents = 0
    for event in yaml.parse(text, Loader=_Loader):
        line = f"{source}:{event.start_mark.line + 1}" if event.start_mark else source
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise StudyError("anchors and aliases (&, *) aren't allowed in a study file", source=line)
        if tag := getattr(event, "tag", None):
            raise StudyError(f"tags aren't allowed in a study file, got {tag!r}", source=line)
        documents += isinstance(event, yaml.DocumentStartEvent)
        if documents > 1:
            raise StudyError("a study file is one YAML document, got a second", source=line)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise StudyError(f"nested deeper than {MAX_DEPTH} levels", source=line)
    return yaml.compose(text, Loader=_Loader)


def _construct(node: yaml.Node, path: Path_, source: str, places: dict[Path_, str]) -> Any:
    line = f"{source}:{node.start_mark.line + 1}"
    places[path] = line
    if isinstance(node, yaml.SequenceNode):
        return [_construct(child, (*path, i), source, places) for i, child in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        mapping: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key_line = f"{source}:{key_node.start_mark.line + 1}"
            key = _scalar(key_node, path, key_line) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str | int) or key == "":
                raise StudyError("a key must be a word or a whole number", path, key_line)
            if key in mapping:
                raise StudyError(f"{key!r} is given twice", path, key_line)
            mapping[key] = _construct(value_node, (*path, key), source, places)
            places[(*path, key)] = key_line
        return mapping
    return _scalar(node, path, line)


def _scalar(node: yaml.Node, path: Path_, line: str) -> Any:
    try:
        return _SCALARS[node.tag](node.value)
    except ValueError:  # an integer of thousands of digits
        raise StudyError("a number with too many digits", path, line) from None


def read_file(path: Path) -> Located:
    """Parse the study file at `path`."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise StudyError(f"can't read the study file: {error.strerror or error}", source=str(path)) from None
    return read_yaml(text, path.name)


def shipped_folder() -> Path:
    """`search_spaces/`: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "search_spaces"
    return installed if installed.is_dir() else package.parent / "search_spaces"


def shipped() -> dict[str, Path]:
    """The studies that ship with the package, by name."""
    return {path.stem: path for path in sorted(shipped_folder().glob("**/*.yaml"))}


def find(space: str) -> Path:
    """The file that `--space` means: a path, or the name of a shipped one."""
    if space.endswith((".yaml", ".yml")) or "/" in space:
        return Path(space).expanduser()
    known = shipped()
    if space not in known:
        raise UsageError(
            f"no shipped space is named {space!r}{did_you_mean(space, known)}; a file of your own ends in .yaml"
        )
    return known[space]


def parse_assignment(text: str, roots: Mapping[str, Any]) -> tuple[list[str], Any]:
    """`PATH=VALUE` as its parts; the path starts at one of the study's settings (`roots`), or else in `space`."""
    said = f"--set {text}"
    dotted, equals, value = text.partition("=")
    parts = dotted.strip().split(".")
    if not equals or not all(parts):
        raise StudyError("write it as PATH=VALUE, for instance lr=0.01", source=said)
    try:
        tree = read_yaml(f"value: {value.strip()}\n", said).tree
    except StudyError as error:
        raise StudyError(error.rule, source=said) from None
    if tree.keys() != {"value"}:  # a line break in the value
        raise StudyError("write one value", source=said)
    return parts if parts[0] in roots else ["space", *parts], tree["value"]


def override(located: Located, parts: list[str], value: Any, said: str) -> Located:
    """A copy in which the value at a path is another one, as `said` by an option of the command line."""
    tree = copy.deepcopy(located.tree)
    where = _assign(tree, parts, value, said)
    places = {path: place for path, place in located.places.items() if path[: len(where)] != where}
    places[where] = said
    return Located(tree, located.source, places)


def _assign(tree: dict[Any, Any], parts: list[str], value: Any, said: str) -> Path_:
    """Set the value at a dotted path, stepping through `choice` as a parameter's path does; returns where it went."""
    node: Any = tree
    where: list[str | int] = []
    for i, part in enumerate(parts):
        if node.get(part) is None and isinstance(node.get("choice"), dict):
            node = node["choice"]
            where.append("choice")
        key = _key_in(node, part)
        where.append(key)
        if i == len(parts) - 1:
            node[key] = _pin(node.get(key), value)
            return tuple(where)
        child = node.get(key)
        if child is None or isinstance(child, str):  # `scheduler: asha` is short for `scheduler: {asha: {}}`
            child = {child: {}} if child else {}
            node[key] = child
        if not isinstance(child, dict):
            raise StudyError(f"{'.'.join(parts[: i + 1])} is a plain value and has nothing inside", source=said)
        node = child
    raise AssertionError("parts is never empty")


def _key_in(node: dict[Any, Any], part: str) -> str | int:
    """A branch may be named by a whole number, as in `depth.2.width`."""
    return int(part) if part not in node and part.isdigit() and int(part) in node else part


def _pin(old: Any, value: Any) -> Any:
    """Pinning a branch to one of its options keeps that option's own settings."""
    options = old.get("choice") if isinstance(old, dict) else None
    if isinstance(options, dict) and isinstance(value, str | int) and value in options:
        return {"choice": {value: options[value]}}
    return value
