"""Space: a tree of domains in which nesting is conditionality, and `resolve`, the one walk that draws from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from pydantic import ValidationError

from tune_mlp.config import BRANCHES, Settings, TrialConfig, field_adapter
from tune_mlp.errors import StudyError, did_you_mean
from tune_mlp.space.domains import DOMAINS, Choice, Domain, Scalar, Value, as_value

Params = dict[str, Value]
"""One draw, flat: `{"optimizer": "sgd", "optimizer.sgd.momentum": 0.9}`."""
Choose = Callable[[str, Domain], Value]
"""Gives the value for the parameter at a path."""
Path_ = tuple[str | int, ...]


@dataclass(frozen=True)
class Constant:
    """A plain value: nothing is drawn."""

    value: Value


@dataclass(frozen=True)
class Branch:
    """A choice whose options own parameters; these exist only where their option was drawn."""

    options: Mapping[str | int, Mapping[str, Node]]

    @property
    def names(self) -> Choice:
        return Choice(choice=tuple(self.options))


@dataclass(frozen=True)
class Items:
    """A list, each of whose items may be a domain of its own."""

    items: tuple[Domain | Constant, ...]


@dataclass(frozen=True)
class Sized:
    """A list of as many draws from `item` as `length` says."""

    item: Domain | Constant
    length: Domain | Constant


Node = Constant | Domain | Branch | Items | Sized


@dataclass(frozen=True)
class Space:
    """The parameters of a study, by name."""

    nodes: Mapping[str, Node]

    def walk(self) -> Iterator[tuple[str, Node]]:
        """Every parameter's path and node, those inside branches included."""
        yield from _walk("", self.nodes)


def _walk(prefix: str, nodes: Mapping[str, Node]) -> Iterator[tuple[str, Node]]:
    for name, node in nodes.items():
        yield prefix + name, node
        if isinstance(node, Branch):
            for option, inner in node.options.items():
                yield from _walk(f"{prefix}{name}.{option}.", inner)


def resolve(space: Space, choose: Choose) -> Params:
    """One draw: every parameter that exists in it, in the order of the study file."""
    params: Params = {}

    def leaf(path: str, node: Domain | Constant) -> Value:
        return choose(path, node) if isinstance(node, Domain) else node.value

    def visit(prefix: str, nodes: Mapping[str, Node]) -> None:
        for name, node in nodes.items():
            path = prefix + name
            if isinstance(node, Branch):
                option = cast(str | int, choose(path, node.names))
                params[path] = option
                visit(f"{path}.{option}.", node.options[option])
            elif isinstance(node, Items):
                params[path] = tuple(cast(Scalar, leaf(f"{path}.{i}", item)) for i, item in enumerate(node.items))
            elif isinstance(node, Sized):
                length = cast(int, leaf(f"{path}.length", node.length))
                params[path] = tuple(cast(Scalar, leaf(f"{path}.{i}", node.item)) for i in range(length))
            else:
                params[path] = leaf(path, node)

    visit("", space.nodes)
    return params


def parse_space(raw: Mapping[Any, Any], root: Path_ = ("space",)) -> Space:
    """Read and check the `space:` part of a study; a broken rule is a StudyError with its path."""
    space = Space(_parse_nodes(raw, root))
    tops = set(space.nodes)
    for given in ("depth", "width"):
        if "widths" in tops and given in tops:
            raise StudyError(f"widths says the layers one by one; it can't go with {given}", (*root, "widths"))
    return space


def _parse_nodes(raw: Any, path: Path_, options: type[Settings] | None = None) -> dict[str, Node]:
    """The parameters in one mapping; `options` are the settings of the branch that it belongs to, if any."""
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise StudyError(f"must be a mapping of parameters, got {raw!r}", path)
    nodes: dict[str, Node] = {}
    for name, value in raw.items():
        owner = _owner(str(name), path, options)
        nodes[str(name)] = _parse_node(owner, str(name), value, (*path, name))
    return nodes


def _owner(name: str, path: Path_, options: type[Settings] | None) -> type[Settings]:
    """Whose setting a parameter is: the branch option's that it stands in, or the trial's."""
    if options is not None and name in options.model_fields and name != "name":
        return options
    if name in TrialConfig.FIELDS:
        return TrialConfig
    for branch, by_option in BRANCHES.items():
        for option, model in by_option.items():
            if options is None and name in model.model_fields and name != "name":
                raise StudyError(
                    f"{name!r} belongs inside {branch}, as {branch}: {{choice: {{{option}: {{{name}: ...}}}}}}",
                    (*path, name),
                )
    known = [*TrialConfig.model_fields, *(n for n in (options.model_fields if options else ()) if n != "name")]
    raise StudyError(f"unknown parameter {name!r}{did_you_mean(name, known)}", (*path, name))


def _parse_node(owner: type[Settings], name: str, raw: Any, path: Path_) -> Node:
    if isinstance(raw, dict) and isinstance(raw.get("choice"), dict):
        return _parse_branch(owner, name, raw, path, (*path, "choice"))
    if isinstance(raw, dict) and len(raw) == 1 and set(raw) <= set(BRANCHES.get(name, ())):
        return _parse_branch(owner, name, {"choice": raw}, path, path)  # `optimizer: {sgd: {momentum: 0.9}}`
    if isinstance(raw, dict) and "list" in raw:
        return _parse_sized(owner, name, raw, path)
    if isinstance(raw, list) and any(isinstance(item, dict) for item in raw):
        items = tuple(_parse_leaf(item, (*path, i)) for i, item in enumerate(raw))
        for i, item in enumerate(items):
            for value in item.extremes() if isinstance(item, Domain) else (item.value,):
                _check_value(owner, name, (cast(Scalar, value),), (*path, i))
        return Items(items)
    leaf = _parse_leaf(raw, path)
    for value in leaf.extremes() if isinstance(leaf, Domain) else (leaf.value,):
        _check_value(owner, name, value, path)
    return leaf


def _parse_branch(owner: type[Settings], name: str, raw: dict[Any, Any], path: Path_, inside: Path_) -> Branch:
    for other in raw:
        if other != "choice":
            raise StudyError(f"unknown name {other!r} beside choice", (*path, other))
    if not raw["choice"]:
        raise StudyError("choice has no options", path)
    options: dict[str | int, Mapping[str, Node]] = {}
    for option, inner in raw["choice"].items():
        place = (*inside, option)
        if "." in str(option):
            raise StudyError(f"an option that owns parameters can't have a dot in its name, got {option!r}", place)
        _check_value(owner, name, option, place)
        options[option] = _parse_nodes(inner, place, BRANCHES.get(name, {}).get(str(option)))
    return Branch(options)


def _parse_sized(owner: type[Settings], name: str, raw: dict[Any, Any], path: Path_) -> Sized:
    for other in raw:
        if other not in ("list", "length"):
            raise StudyError(f"unknown name {other!r}{did_you_mean(str(other), ['list', 'length'])}", (*path, other))
    if "length" not in raw:
        raise StudyError("a list needs its length: {list: ..., length: ...}", path)
    item, length = _parse_leaf(raw["list"], (*path, "list")), _parse_leaf(raw["length"], (*path, "length"))
    for value in item.extremes() if isinstance(item, Domain) else (item.value,):
        _check_value(owner, name, (cast(Scalar, value),), (*path, "list"))
    for value in length.extremes() if isinstance(length, Domain) else (length.value,):
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 100:
            raise StudyError(f"a length is a whole number from 0 to 100, got {value!r}", (*path, "length"))
    return Sized(item, length)


def _parse_leaf(raw: Any, path: Path_) -> Domain | Constant:
    if not isinstance(raw, dict):
        value = as_value(raw)
        flat = value if isinstance(value, tuple) else (value,)
        if any(item is None or isinstance(item, tuple) for item in flat):
            raise StudyError(f"a value is missing or nested too deep, got {raw!r}", path)
        return Constant(value)
    kinds = [kind for kind in raw if kind in DOMAINS]
    if len(kinds) != 1:
        got = f"got {', '.join(map(str, raw)) or 'nothing'}"
        hint = did_you_mean(str(next(iter(raw))), DOMAINS) if not kinds and raw else ""
        raise StudyError(
            f"a domain opens with one of {', '.join(DOMAINS)}, {got}{hint if 'mean' in hint else ''}", path
        )
    try:
        return DOMAINS[kinds[0]].model_validate({key: as_value(value) for key, value in raw.items()})
    except ValidationError as error:
        raise first_fault(error, raw, path) from None


def _check_value(owner: type[Settings], name: str, value: Value, path: Path_) -> None:
    """May the parameter have this value? A branch parameter's values are its options' names."""
    if owner is TrialConfig and name in BRANCHES:
        if value not in BRANCHES[name]:
            raise StudyError(f"unknown {name} {value!r}{did_you_mean(str(value), BRANCHES[name])}", path)
        return
    try:
        field_adapter(owner, name).validate_python(value)
    except ValidationError as error:
        raise first_fault(error, value, path) from None


def first_fault(error: ValidationError, raw: Any, root: Path_ = ()) -> StudyError:
    """The first of pydantic's complaints as our one line: the rule, then what was given, at its path in `raw`."""
    fault = error.errors(include_url=False)[0]
    path, node = list(root), raw
    missing = ""
    for part in fault["loc"]:  # pydantic's location also names union members, which are no part of the file
        try:
            node = node[part]
        except (LookupError, TypeError):
            missing = str(part)
        else:
            path.append(part)
    context = fault.get("ctx", {})
    if fault["type"] == "unknown_name":
        return StudyError(fault["msg"], (*path, context["name"]))
    if fault["type"] == "missing":
        return StudyError(f"{missing!r} is missing", tuple(path))
    if fault["type"] == "value_error":  # raised by our own validators: the text is whole
        return StudyError(str(context["error"]), tuple(path))
    if fault["type"] == "literal_error":
        known = [part.strip("'") for part in context["expected"].replace(" or ", ", ").split(", ")]
        hint = did_you_mean(str(node), known)
        rule = "unknown name" if isinstance(node, str) else "must be a name, got"
        return StudyError(f"{rule} {node!r}{hint}", tuple(path))
    rule = fault["msg"]
    for theirs, ours in PHRASES.items():
        rule = rule.replace(theirs, ours)
    return StudyError(f"{rule[0].lower()}{rule[1:]}, got {_shown(node)}", tuple(path))


PHRASES = {"Input should": "must", "tuple should": "must", "List should": "must", " after validation": ""}
"""Pydantic's wording, and ours."""


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"


def to_config(params: Params) -> TrialConfig:
    """The typed settings of a draw. A parameter inside a branch sets the option's own field, or else the trial's."""
    fields: dict[str, Any] = {}
    options: dict[str, dict[str, Any]] = {}
    for path, value in params.items():
        *above, name = path.split(".")
        branch, option = above[-2:] if len(above) >= 2 else ("", "")
        if branch in BRANCHES and name in BRANCHES[branch][option].model_fields:
            options.setdefault(branch, {})[name] = value
        elif name in fields:
            raise StudyError(
                f"{name!r} is set twice in one trial, inside a branch and outside", ("space", *above, name)
            )
        else:
            fields[name] = value
    for branch in BRANCHES:
        if branch in fields:
            fields[branch] = {"name": fields[branch], **options.get(branch, {})}
    if fields.get("widths") is not None and ("depth" in fields or "width" in fields):
        raise StudyError("widths says the layers one by one; it can't go with depth or width", ("space", "widths"))
    try:
        return TrialConfig.model_validate(fields)
    except ValidationError as error:
        raise first_fault(error, fields, ("space",)) from None


def finite(space: Space) -> str | None:
    """None where a grid search can visit everything, else the path of a parameter with no end of values."""
    for path, node in space.walk():
        leaves = {"": node}
        if isinstance(node, Items):
            leaves = {f".{i}": item for i, item in enumerate(node.items)}
        elif isinstance(node, Sized):
            leaves = {".list": node.item, ".length": node.length}
        for suffix, leaf in leaves.items():
            if isinstance(leaf, Domain) and leaf.values() is None:
                return path + suffix
    return None
