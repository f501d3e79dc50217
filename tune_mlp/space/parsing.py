"""Parsing: the `space:` part of a study file as a Space. Every value in it is checked before anything is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from tune_mlp.config import BRANCHES, MAX_LAYERS, Settings, TrialConfig, field_adapter
from tune_mlp.errors import StudyError, clipped, did_you_mean, nearest
from tune_mlp.results.plain_text import FORMULA
from tune_mlp.space.domains import DOMAINS, Choice, Domain, Scalar, Value, as_value
from tune_mlp.space.faults import Path_, first_fault, shown
from tune_mlp.space.space import EXPERIMENT, Branch, Constant, Items, Leaf, Node, Sized, Space

Owner = type[Settings]
"""The class that a parameter is a setting of: TrialConfig, or an option of one of its branches."""

EXCLUSIVE = {"widths": ("depth", "width"), "depth": ("widths",), "width": ("widths",)}


def parse_space(raw: Mapping[Any, Any], root: Path_ = ("space",)) -> Space:
    """Read and check a space; a rule that is broken raises a StudyError with its path."""
    if isinstance(raw, Mapping) and EXPERIMENT in raw:
        common = _parse_nodes({name: value for name, value in raw.items() if name != EXPERIMENT}, root)
        space = Space({EXPERIMENT: _parse_experiments(raw[EXPERIMENT], common, (*root, EXPERIMENT))})
    else:
        space = Space(_parse_nodes(raw, root))
    _settings(space.nodes, root)
    return space


def _parse_experiments(raw: Any, common: Mapping[str, Node], path: Path_) -> Branch:
    """Return the named experiments as a branch: each has its own parameters and the common ones that it doesn't replace."""
    named = raw.get("choice") if isinstance(raw, dict) and len(raw) == 1 else None
    if not isinstance(named, dict) or not named:
        raise StudyError(
            f"must be named experiments with parameters of their own, {{choice: {{NAME: {{...}}}}}}, got {shown(raw)}",
            path,
        )
    options: dict[str | int, Mapping[str, Node]] = {}
    for name, inner in named.items():
        if str(name).startswith(FORMULA):
            raise StudyError(f"an experiment's name can't begin with {' or '.join(FORMULA)}, got {shown(name)}", path)
        own = _parse_nodes(inner, (*path, "choice", name))
        replaced = {other for setting in own for other in (setting, *EXCLUSIVE.get(setting, ()))}
        options[name] = {other: node for other, node in common.items() if other not in replaced} | own
    return Branch(options)


def _parse_nodes(raw: Any, path: Path_, option: Owner | None = None) -> dict[str, Node]:
    """Read the parameters of one mapping; `option` is the option that the mapping belongs to, if that has settings of its own."""
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise StudyError(f"must be a mapping of parameters, got {shown(raw)}", path)
    nodes: dict[str, Node] = {}
    for name, value in raw.items():
        owner = _owner(str(name), path, option)
        nodes[str(name)] = _parse_node(owner, str(name), value, (*path, name))
    return nodes


def own_settings(option: Owner | None) -> list[str]:
    """Return the names of an option's own settings, such as sgd's momentum."""
    return [name for name in option.model_fields if name != "name"] if option else []


def _owner(name: str, path: Path_, option: Owner | None) -> Owner:
    own = own_settings(option)
    if option and name in own:
        return option
    if name in TrialConfig.FIELDS:
        return TrialConfig
    for branch, by_option in BRANCHES.items():
        for other, model in by_option.items():
            if option is None and name in own_settings(model):
                example = f"{branch}: {{choice: {{{other}: {{{name}: ...}}}}}}"
                raise StudyError(f"{name!r} belongs inside {branch}, as {example}", (*path, name))
    if name == EXPERIMENT:
        raise StudyError("named experiments stand at the top of a space, and own all its parameters", (*path, name))
    hint = did_you_mean(name, [*TrialConfig.model_fields, *own, *([] if path[1:] else [EXPERIMENT])], in_study=True)
    raise StudyError(f"unknown parameter {shown(name)}{hint}", (*path, name))


def _parse_node(owner: Owner, name: str, raw: Any, path: Path_) -> Node:
    options = BRANCHES.get(name, {}) if owner is TrialConfig else {}
    if isinstance(raw, dict) and isinstance(raw.get("choice"), dict):
        for other in raw:
            if other not in ("choice", "prior"):
                raise StudyError(f"unknown name {shown(other)} beside choice", (*path, other))
        branch = _parse_branch(owner, name, raw["choice"], (*path, "choice"))
        return replace(branch, prior=_prior(branch.names, raw["prior"], path)) if "prior" in raw else branch
    if isinstance(raw, dict) and len(raw) == 1 and set(raw) <= set(options):
        return _parse_branch(owner, name, raw, path)  # `optimizer: {sgd: {momentum: 0.9}}`
    if isinstance(raw, dict) and "list" in raw:
        return _parse_sized(owner, name, raw, path)
    if isinstance(raw, list) and any(isinstance(item, dict) for item in raw):
        items = tuple(_parse_leaf(item, (*path, i)) for i, item in enumerate(raw))
        for i, item in enumerate(items):
            _check_leaf(owner, name, item, (*path, i), is_item=True)
        return Items(items)
    leaf = _parse_leaf(raw, path, options)
    _check_leaf(owner, name, leaf, path)
    return leaf


def _parse_branch(owner: Owner, name: str, raw: dict[Any, Any], path: Path_) -> Branch:
    if not raw:
        raise StudyError("a choice needs at least one option", path)
    options: dict[str | int, Mapping[str, Node]] = {}
    for option, inner in raw.items():
        if "." in str(option):
            raise StudyError("an option that owns parameters can't have a dot in its name", (*path, option))
        _check_value(owner, name, option, (*path, option))
        options[option] = _parse_nodes(inner, (*path, option), BRANCHES.get(name, {}).get(str(option)))
    return Branch(options)


def _parse_sized(owner: Owner, name: str, raw: dict[Any, Any], path: Path_) -> Sized:
    for other in raw:
        if other not in ("list", "length"):
            hint = did_you_mean(str(other), ["list", "length"])
            raise StudyError(f"unknown name {shown(other)}{hint}", (*path, other))
    if "length" not in raw:
        raise StudyError("a list needs its length: {list: ..., length: ...}", path)
    item, length = _parse_leaf(raw["list"], (*path, "list")), _parse_leaf(raw["length"], (*path, "length"))
    _check_leaf(owner, name, item, (*path, "list"), is_item=True)
    for value in length.extremes() if isinstance(length, Domain) else (length.value,):
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_LAYERS:
            rule = f"a length must be a whole number from 0 to {MAX_LAYERS}, got {shown(value)}"
            raise StudyError(rule, (*path, "length"))
    return Sized(item, length)


def _parse_leaf(raw: Any, path: Path_, options: Mapping[str, Owner] = {}) -> Leaf:
    """Read a value or a domain; `options` are the names that may stand in its place if the parameter is a branch."""
    if not isinstance(raw, dict):
        value = as_value(raw)
        flat = value if isinstance(value, tuple) else (value,)
        if any(item is None or isinstance(item, tuple) for item in flat):
            raise StudyError(f"must be a value, a list of values or a domain, got {shown(raw)}", path)
        return Constant(value)
    kinds = [kind for kind in raw if kind in DOMAINS]
    if len(kinds) != 1:
        raise StudyError(_no_domain(raw, options), path)
    try:
        domain = DOMAINS[kinds[0]].model_validate({key: as_value(value) for key, value in raw.items()})
    except ValidationError as error:
        raise first_fault(error, raw, path) from None
    return domain.model_copy(update={"prior": _prior(domain, raw["prior"], path)}) if "prior" in raw else domain


def _prior(domain: Domain, raw: Any, path: Path_) -> Any:
    """Return the domain's own value that is given as its prior."""
    prior = None if raw is None else domain.find(as_value(raw))
    if prior is None:
        raise StudyError(f"prior must be a value that can be drawn, got {shown(raw)}", (*path, "prior"))
    return prior


def _no_domain(raw: dict[Any, Any], options: Mapping[str, Owner]) -> str:
    if raw and set(raw) <= set(options):
        return f"options stand inside choice, as {{choice: {{{': ..., '.join(map(str, raw))}: ...}}}}"
    strange = [] if any(name in DOMAINS for name in raw) else map(str, raw)
    near = next(filter(None, (nearest(name, [*DOMAINS, *options]) for name in strange)), None)
    hint = "" if near is None else f" (did you mean {near!r}?)"
    return f"a domain has one of {', '.join(DOMAINS)}, got {clipped(', '.join(map(str, raw))) or 'nothing'}{hint}"


def _check_leaf(owner: Owner, name: str, leaf: Leaf, path: Path_, is_item: bool = False) -> None:
    """Refuse values that the parameter, or an item of it, may not have."""
    if isinstance(leaf, Choice):
        for i, value in enumerate(leaf.choice):
            _check_value(owner, name, value, (*path, leaf.word, i), is_item)
        return
    for value in leaf.extremes() if isinstance(leaf, Domain) else (leaf.value,):
        _check_value(owner, name, value, path, is_item)


def _check_value(owner: Owner, name: str, value: Value, path: Path_, is_item: bool = False) -> None:
    """Refuse a value that the parameter may not have; the values of a branch are the names of its options."""
    if owner is TrialConfig and name in BRANCHES:
        if value not in BRANCHES[name]:
            raise StudyError(f"unknown {name} {shown(value)}{did_you_mean(str(value), BRANCHES[name])}", path)
        return
    whole: Value = (cast(Scalar, value),) if is_item else value
    try:
        _adapter(owner, name).validate_python(whole)
    except ValidationError as error:
        fault = first_fault(error, whole, path)
        raise StudyError(fault.rule, path if is_item else fault.path) from None


@cache
def _adapter(owner: Owner, name: str) -> TypeAdapter[Any]:
    return field_adapter(owner, name)


def _settings(nodes: Mapping[str, Node], path: Path_, option: Owner | None = None) -> dict[str, Path_]:
    """Return the settings of a trial that these parameters may set, with their paths; a setting that could be set twice in one
    trial is refused."""
    found: dict[str, Path_] = {}
    for name, node in nodes.items():
        inner: dict[str, Path_] = {}
        if isinstance(node, Branch):
            for choice, below in node.options.items():
                inner |= _settings(below, (*path, name, choice), BRANCHES.get(name, {}).get(str(choice)))
        here = {} if name in own_settings(option) else {name: (*path, name)}
        for group in (here, inner):
            for setting, place in group.items():
                _alone(setting, place, found)
            found |= group
    return found


def _alone(setting: str, place: Path_, found: Mapping[str, Path_]) -> None:
    if setting in found:
        other = ".".join(map(str, found[setting]))
        raise StudyError(f"{setting!r} is set twice in one trial, here and at {other}", place)
    for other in EXCLUSIVE.get(setting, ()):
        if other in found:
            depth = other if setting == "widths" else setting
            raise StudyError(f"widths gives the layers one by one; it can't go with {depth}", place)
