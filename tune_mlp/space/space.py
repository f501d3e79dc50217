"""The search space: a tree of domains in which an option owns the parameters that exist only with it, and how it is drawn from."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from pydantic import ValidationError

from tune_mlp.config import BRANCHES, TrialConfig
from tune_mlp.errors import StudyError
from tune_mlp.space.domains import Choice, Domain, Scalar, Value
from tune_mlp.space.faults import Path_, first_fault

Params = dict[str, Value]
"""The parameters of one draw in a flat mapping: `{"optimizer": "sgd", "optimizer.sgd.momentum": 0.9}`."""
Choose = Callable[[str, Domain], Value]
"""A function that chooses the value of the parameter at a path from its domain."""
EXPERIMENT = "experiment"
"""The name of the branch of named experiments, the only branch that is no setting of a trial. It owns all parameters, and these
keep their plain names, so that all experiments share a table's columns."""


@dataclass(frozen=True)
class Constant:
    """A fixed value, which is not drawn."""

    value: Value


Leaf = Domain | Constant


@dataclass(frozen=True)
class Branch:
    """A choice whose options own parameters; these exist only if their option was drawn."""

    options: Mapping[str | int, Mapping[str, Node]]
    prior: str | int | None = None
    """The option that is believed to be good."""

    @cached_property
    def names(self) -> Choice:
        return Choice(choice=tuple(self.options), prior=self.prior)


@dataclass(frozen=True)
class Items:
    """A list in which each item may have a domain of its own."""

    items: tuple[Leaf, ...]


@dataclass(frozen=True)
class Sized:
    """A list of values that are drawn from `item`; their number is drawn from `length`."""

    item: Leaf
    length: Leaf


Node = Leaf | Branch | Items | Sized


@dataclass(frozen=True)
class Space:
    """The parameters of a study, by name."""

    nodes: Mapping[str, Node]

    def walk(self) -> Iterator[tuple[str, Node]]:
        """Yield the path and the node of every parameter, those inside branches included."""
        yield from _walk("", self.nodes)

    def values_of(self, name: str) -> list[Value]:
        """Return every value that the space lists for a parameter, wherever it stands; none for a range."""
        found: list[Value] = []
        for path, node in self.walk():
            if path.split(".")[-1] == name:
                if isinstance(node, Constant):
                    found.append(node.value)
                elif isinstance(node, Branch):
                    found += node.options
                elif isinstance(node, Domain):
                    found += node.values() or ()
        return found


def _walk(prefix: str, nodes: Mapping[str, Node]) -> Iterator[tuple[str, Node]]:
    for name, node in nodes.items():
        yield prefix + name, node
        if isinstance(node, Branch):
            for option, inner in node.options.items():
                yield from _walk(f"{prefix}{name}.{option}.", inner)


def resolve(space: Space, choose: Choose) -> Params:
    """Make one draw: choose a value for every parameter that exists in it, in the order of the study file."""
    params: Params = {}

    def leaf(path: str, node: Leaf) -> Value:
        return choose(path, node) if isinstance(node, Domain) else node.value

    def visit(prefix: str, nodes: Mapping[str, Node], within: str = "") -> None:
        """Choose for the parameters of a mapping; `within` names the experiment, which is part of a path but not of a column's name."""
        for name, node in nodes.items():
            path, key = within + prefix + name, prefix + name
            if isinstance(node, Branch):
                option = cast(str | int, choose(path, node.names))
                params[key] = option
                if key == EXPERIMENT:
                    visit("", node.options[option], f"{key}.{option}.")
                else:
                    visit(f"{key}.{option}.", node.options[option], within)
            elif isinstance(node, Items):
                params[key] = tuple(cast(Scalar, leaf(f"{path}.{i}", item)) for i, item in enumerate(node.items))
            elif isinstance(node, Sized):
                length = cast(int, leaf(f"{path}.length", node.length))
                params[key] = tuple(cast(Scalar, leaf(f"{path}.{i}", node.item)) for i in range(length))
            else:
                params[key] = leaf(path, node)

    visit("", space.nodes)
    return params


def to_config(params: Params) -> TrialConfig:
    """Return the typed settings of a draw. A parameter inside a branch sets a field of its option if there is one, else the trial's."""
    fields: dict[str, Any] = {}
    options: dict[str, dict[str, Any]] = {}
    places: dict[str, Path_] = {}
    within = (EXPERIMENT, params[EXPERIMENT]) if EXPERIMENT in params else ()
    for path, value in params.items():
        if path == EXPERIMENT:
            continue
        *above, name = path.split(".")
        branch, option = above[-2:] if above else ("", "")
        if branch in BRANCHES and name in BRANCHES[branch][option].model_fields:
            options.setdefault(branch, {})[name] = value
        else:
            fields[name] = value
            places[name] = (*above, name)
    for branch in BRANCHES:
        if branch in fields:
            fields[branch] = {"name": fields[branch], **options.get(branch, {})}
    try:
        return TrialConfig.model_validate(fields)
    except ValidationError as error:
        fault = first_fault(error, fields)
        where = [*places[str(fault.path[0])]]
        if fault.path[0] in BRANCHES:
            where.append(fields[str(fault.path[0])]["name"])
        raise StudyError(fault.rule, ("space", *cast(Path_, within), *where, *fault.path[1:])) from None


def finite(space: Space) -> str | None:
    """Return the path of a parameter whose values can't be counted; None if a grid search can visit all."""
    for path, node in space.walk():
        for suffix, leaf in _leaves(node).items():
            if isinstance(leaf, Domain) and leaf.values() is None:
                return path + suffix
    return None


def _leaves(node: Node) -> dict[str, Leaf]:
    """Return the values and domains of a parameter itself, by the rest of their path."""
    if isinstance(node, Branch):
        return {}
    if isinstance(node, Items):
        return {f".{i}": item for i, item in enumerate(node.items)}
    if isinstance(node, Sized):
        return {".list": node.item, ".length": node.length}
    return {"": node}


def domains_of(node: Node) -> list[Domain]:
    """Return the domains of a parameter itself: its own, that of a branch's option, or those of a list's items and length."""
    leaves = [node.names] if isinstance(node, Branch) else _leaves(node).values()
    return [leaf for leaf in leaves if isinstance(leaf, Domain)]


def combinations(nodes: Mapping[str, Node]) -> int:
    """Return the number of draws of a finite space."""
    return math.prod(_ways(node) for node in nodes.values())


def _ways(node: Node) -> int:
    if isinstance(node, Branch):
        return sum(combinations(inner) for inner in node.options.values())
    if isinstance(node, Items):
        return math.prod(map(_ways, node.items))
    if isinstance(node, Sized):
        lengths = node.length.values() if isinstance(node.length, Domain) else (node.length.value,)
        return sum(_ways(node.item) ** cast(int, length) for length in lengths or ())
    return len(node.values() or ()) if isinstance(node, Domain) else 1
