"""Study files: strict YAML in which the line of every value is known, and the studies that ship with the package."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any, TypeGuard

import yaml

from tune_mlp.errors import StudyError, UsageError, clipped, did_you_mean
from tune_mlp.regular_files import in_bytes, read_regular
from tune_mlp.space.faults import Path_, shown

MAX_BYTES = 300_000
"""The largest size of a study file; to read so much takes a few seconds."""
MAX_DEPTH = 40
MAX_DIGITS = 100


class _Loader(yaml.SafeLoader):
    """Reads YAML 1.2's core schema, in which `1e-4` is a number, `no` and `on` are words, `1:30` is text and `010` is ten.

    Aliases, tags and deep nesting are refused before anything is built from them, since they could grow without limit or
    run code.
    """

    def __init__(self, text: str, source: str) -> None:
        super().__init__(text)
        self.source = source
        self.depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        line = f"{self.source}:{event.start_mark.line + 1}"
        if isinstance(event, yaml.AliasEvent) or event.anchor:
            raise StudyError("anchors and aliases (&, *) aren't allowed in a study file", source=line)
        if event.tag:
            raise StudyError(f"tags aren't allowed in a study file, got {event.tag!r}", source=line)
        if self.depth == MAX_DEPTH:
            raise StudyError(f"nested deeper than {MAX_DEPTH} levels", source=line)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _Dumper(yaml.SafeDumper):
    """Writes YAML in which text is quoted if our reader or one of YAML 1.1 would take it for another type."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        """Write text; rare line breaks such as U+0085 are escaped, since PyYAML would make spaces of them."""
        style = None if data.replace("\n", "").isprintable() else '"'
        return self.represent_scalar("tag:yaml.org,2002:str", data, style)

    def ignore_aliases(self, data: Any) -> bool:
        """Write a list that stands in two places twice, since our reader takes no aliases."""
        return True


_Dumper.add_representer(str, _Dumper.represent_str)

_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"^(?:~|null|)$", ["~", "n", ""]),
    ("bool", r"^(?:true|false)$", list("tf")),
    ("int", r"^[-+]?[0-9]+$", list("-+0123456789")),
    ("float", r"^[-+]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|\.inf|\.nan)$", list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)
    _Dumper.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)
_SCALARS: dict[str, Callable[[str], Any]] = {
    "tag:yaml.org,2002:null": lambda text: None,
    "tag:yaml.org,2002:bool": lambda text: text == "true",
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:float": lambda text: float(text.replace(".inf", "inf").replace(".nan", "nan")),
    "tag:yaml.org,2002:str": str,
}


@dataclass(frozen=True)
class Located:
    """A study as plain values in a tree, with the place where each of them was given."""

    tree: dict[Any, Any]
    source: str
    """The name of the file."""
    places: dict[Path_, str] = field(default_factory=dict)
    """The place of each value by its path in the tree: `file:line`, or the text of the option that gave it."""

    def locate(self, error: StudyError) -> StudyError:
        """Return the error with the place of the value at its path, or of the nearest value above it."""
        path = self._in_file(error.path)
        known = next((path[:n] for n in range(len(path), 0, -1) if path[:n] in self.places), ())
        place = self.places.get(known, self.source)
        if known and not place.startswith(f"{self.source}:"):  # the text of an option, which has the path already
            whole = path == known or not isinstance(reduce(getitem, known, self.tree), dict | list)
            path = () if whole else path
        return StudyError(error.rule, path, place)

    def _in_file(self, path: Path_) -> Path_:
        """Return the path in the file, where the word `choice` may stand between the parts of a parameter's path."""
        node: Any = self.tree
        found: list[str | int] = []
        for part in path:
            if isinstance(node, dict) and key_in(node, part) not in node and isinstance(node.get("choice"), dict):
                found.append("choice")
                node = node["choice"]
            key = key_in(node, part)
            found.append(key)
            try:
                node = node[key]
            except (LookupError, TypeError):
                node = None
        return tuple(found)


def key_in(node: Any, part: str | int) -> str | int:
    """Return the key of a node that a part of a path means; options may be named by whole numbers, as in `depth.2.width`."""
    keys = range(len(node)) if isinstance(node, list) else node if isinstance(node, dict) else ()
    return part if part in keys else next((key for key in keys if str(key) == str(part)), part)


def read_yaml(text: bytes | str, source: str) -> Located:
    """Parse a study file's text; every fault is a StudyError that names `source` and the line."""
    if len(text) > MAX_BYTES:
        raise StudyError(f"a study file is at most {in_bytes(MAX_BYTES)}", source=source)
    decoded = _decode(text, source) if isinstance(text, bytes) else text
    try:
        loader = _Loader(decoded, source)
        root = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = " ".join(part for part in (error.context, error.problem) if part)
        raise StudyError(f"not valid YAML: {said}", source=f"{source}:{mark.line + 1}" if mark else source) from None
    except yaml.reader.ReaderError as error:
        line = decoded.count("\n", 0, error.position) + 1
        character = f"U+{ord(decoded[error.position]):04X}"
        raise StudyError(f"not valid YAML: the character {character} isn't text", source=f"{source}:{line}") from None
    except (ValueError, OverflowError):  # PyYAML's own, of the escape \U00110000 or a version of 5,000 digits
        at = f"{source}:{loader.line + 1}"
        raise StudyError("not valid YAML: the number of an escape or of a version is too large", source=at) from None
    if root is None:
        raise StudyError("the file is empty", source=f"{source}:1")
    places: dict[Path_, str] = {}
    tree = _construct(root, (), source, places)
    if not isinstance(tree, dict):
        raise StudyError(f"a study file is a mapping of settings, got {shown(tree)}", source=places[()])
    return Located(tree, source, places)


def _decode(text: bytes, source: str) -> str:
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise StudyError("a study file is UTF-8 text, and this isn't", source=f"{source}:{line}") from None


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
            if not _is_key(key):
                got = f", got {shown(key)}" if isinstance(key_node, yaml.ScalarNode) else ""
                raise StudyError(f"{KEY_RULE}{got}", path, key_line)
            if key in mapping:
                raise StudyError(f"{key!r} is given twice", path, key_line)
            mapping[key] = _construct(value_node, (*path, key), source, places)
            places[(*path, key)] = key_line
        return mapping
    return _scalar(node, path, line)


def _scalar(node: yaml.Node, path: Path_, line: str) -> Any:
    if node.tag.endswith(":int") and len(node.value) > MAX_DIGITS:
        raise StudyError(f"a whole number has at most {MAX_DIGITS} digits, got {len(node.value)}", path, line)
    value = _SCALARS[node.tag](node.value)
    return _unicode(value, path, line) if isinstance(value, str) else value


def _unicode(text: str, path: Path_, source: str = "") -> str:
    """Return text in which two escapes of one character, as JSON writes them, are that character; half of one is refused."""
    if text.isprintable():
        return text
    try:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError:
        raise StudyError(f"text must be Unicode, and {shown(text)} holds half a character", path, source) from None


KEY_RULE = "a key must be a word or a whole number"


def _is_key(key: Any) -> TypeGuard[str | int]:
    return not isinstance(key, bool) and isinstance(key, str | int) and str(key).isprintable() and key != ""


def plain_tree(value: Any, path: Path_ = ()) -> Any:
    """Return a copy of Python values in the types of a study file: mappings, lists and single values of YAML's own types."""
    if len(path) >= MAX_DEPTH:
        raise StudyError(f"nested deeper than {MAX_DEPTH} levels", path[:3])
    if isinstance(value, Mapping):
        for key in value:
            if not _is_key(key):
                raise StudyError(f"{KEY_RULE}, got {shown(key)}", path)
        return {key: plain_tree(inner, (*path, key)) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain_tree(item, (*path, i)) for i, item in enumerate(value)]
    if isinstance(value, str):
        return _unicode(str(value), path)
    for kind in (bool, int, float):  # NumPy's numbers and the members of enums are of a subtype
        if isinstance(value, kind):
            return kind(value)
    if value is None:
        return None
    raise StudyError(f"must be a plain value, a list or a mapping, got a {type(value).__name__}", path)


def dump_yaml(tree: Any) -> str:
    """Write a tree as YAML that `read_yaml` reads back as the same tree."""
    return str(yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None))


def read_file(path: Path) -> Located:
    """Parse the study file at `path`."""
    return read_yaml(file_text(path), path.name)


def read_study(path: Path) -> Located:
    """Parse the study file at `path`; a study without a name has that of its file."""
    located = read_file(path)
    located.tree.setdefault("name", name_of_file(path))
    return located


def name_of_file(path: Path) -> str:
    """Return the name of the study in a file that gives it none."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-._")[:48] or "study"


def file_text(path: Path) -> str:
    """Return the text of the study file at `path`."""
    try:
        text = read_regular(path.expanduser(), MAX_BYTES)
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no such ~user
        reason = error.strerror if isinstance(error, OSError) else error
        raise StudyError(f"can't read the study file: {reason or error}", source=str(path)) from None
    return _decode(text, path.name)


def shipped_folder() -> Path:
    """Return the folder `search_spaces/`, which is inside the installed package or, in a checkout, beside it."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "search_spaces"
    return installed if installed.is_dir() else package.parent / "search_spaces"


def shipped() -> dict[str, Path]:
    """Return the files of the studies that ship with the package, by name."""
    return {path.stem: path for path in sorted(shipped_folder().glob("**/*.yaml"))}


def find(space: str) -> Path:
    """Return the file that `--space` means, which is a path or the name of a shipped study."""
    return Path(space) if names_file(space) else shipped_file(space)


def names_file(space: str) -> bool:
    """Say whether `--space` means a file, and no shipped study."""
    return space.endswith((".yaml", ".yml")) or "/" in space


def shipped_file(name: str) -> Path:
    """Return the file of a shipped study."""
    known = shipped()
    if name not in known:
        raise UsageError(
            f"no shipped space is named {clipped(name)!r}{did_you_mean(name, known)}; a file of your own ends in .yaml"
        )
    return known[name]


TABLE = re.compile(r"""(?P<quote>["']?)(?P<kind>csv|parquet):(?P<file>[^\s"',{}]+)(?P=quote)""")
"""The name of a table in the text of a shipped study."""


def shipped_text(name: str) -> str:
    """Return the text of a shipped study with the whole path of its table, so that it can be saved anywhere and run."""
    path = shipped_file(name)

    def whole(found: re.Match[str]) -> str:
        table = path.parent / found["file"]
        return json.dumps(f"{found['kind']}:{table}", ensure_ascii=False) if table.is_file() else found[0]

    return TABLE.sub(whole, path.read_text(encoding="utf-8"))


def copy_shipped(name: str, folder: Path) -> list[Path]:
    """Copy a shipped study and the tables that it names into a folder, and return the copies' paths, the study's first.

    A file that is there already is refused before anything is copied.
    """
    path = shipped_file(name)
    tables = [path.parent / found["file"] for found in TABLE.finditer(path.read_text(encoding="utf-8"))]
    sources = [path, *dict.fromkeys(table for table in tables if table.is_file())]
    copies = [folder / source.name for source in sources]
    for copy in copies:
        if copy.exists():
            raise UsageError(f"--copy {folder}: {copy} exists already; choose another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for source, copy in zip(sources, copies, strict=True):
            shutil.copyfile(source, copy)
    except OSError as error:
        raise UsageError(f"--copy {folder}: can't be written: {error.strerror or error}") from None
    return copies
