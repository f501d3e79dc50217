"""The parameters of a run as Optuna describes them: each with one distribution, which holds for all trials."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from tune_mlp.exports.trial_history import plain
from tune_mlp.results.journal import Param
from tune_mlp.space.domains import LARGEST, Choice, Int, Log, LogInt, Normal, Uniform
from tune_mlp.space.space import EXPERIMENT, Branch, Constant, Node, Space

Single = str | int | float | bool | None


class Described(NamedTuple):
    """A parameter's distribution, and how a value of it is written."""

    distribution: BaseDistribution
    write: Callable[[Param], Single]


class _Range(NamedTuple):
    low: float
    high: float
    log: bool
    step: float | None
    whole: bool


def describe(space: Space | None, draws: Iterable[Mapping[str, Param]]) -> dict[str, Described]:
    """Return the description of each parameter that a draw has.

    Optuna wants one distribution for each name. So values that the space doesn't have, as population-based training makes
    them, widen it, and so do several places of a name in the space. Where there is no space, the values alone make it.
    """
    nodes: dict[str, list[Node]] = {}
    for path, node in space.walk() if space else ():
        nodes.setdefault(path.split(".", 2)[2] if path.startswith(f"{EXPERIMENT}.") else path, []).append(node)
    values: dict[str, dict[Single, Single]] = {}
    for draw in draws:
        for name, value in draw.items():
            one = plain(value)
            values.setdefault(name, {})[json.dumps(one)] = one  # by its JSON, since True == 1 == 1.0
    return {name: _describe(nodes.get(name, []), list(found.values())) for name, found in values.items()}


def _describe(nodes: Sequence[Node], values: Sequence[Single]) -> Described:
    ranges = [_range(node) for node in nodes]
    known = [one for one in ranges if one is not None]
    constant = bool(nodes) and all(isinstance(node, Constant) for node in nodes)
    if len(known) == len(ranges) and not constant and all(map(_is_number, values)):
        return _numbers(known, [float(value) for value in values if value is not None], values)
    listed = {json.dumps(one): one for node in nodes for one in map(plain, _listed(node))}
    choices = list((listed | {json.dumps(value): value for value in values}).values())
    if len(set(choices)) < len(choices):  # such as True and 1, which Optuna wouldn't tell apart
        return Described(CategoricalDistribution([json.dumps(one) for one in choices]), lambda v: json.dumps(plain(v)))
    return Described(CategoricalDistribution(choices), plain)


def _numbers(ranges: Sequence[_Range], values: Sequence[float], written: Sequence[Single]) -> Described:
    low = min([*values, *(one.low for one in ranges)])
    high = max([*values, *(one.high for one in ranges)])
    whole = all(one.whole for one in ranges) and all(isinstance(value, int) for value in written)
    log = any(one.log for one in ranges) and low > 0
    step = ranges[0].step if len(ranges) == 1 and low == ranges[0].low and high == ranges[0].high and not log else None
    if whole:
        whole_step = int(step) if step and all((value - low) % step == 0 for value in values) else 1
        return Described(IntDistribution(int(low), int(high), log, whole_step), lambda value: int(_number(value)))
    if step and any(abs((value - low) / step - round((value - low) / step)) > 1e-8 for value in values):
        step = None
    return Described(FloatDistribution(low, high, log, step), _number)


def _range(node: Node) -> _Range | None:
    """Return the numbers that a domain can give; None if it gives values of a list."""
    match node:
        case Constant(value=value) if _is_number(value):
            return _Range(_number(value), _number(value), False, None, isinstance(value, int))
        case Uniform() | Log() | Int() | LogInt() | Normal():
            low, high = map(_number, node.extremes())
            whole = isinstance(node, Int | LogInt) or (isinstance(node, Normal) and node.round)
            step = getattr(node, "step", None)
            return _Range(low, high, isinstance(node, Log | LogInt), step, whole)
    return None


def _listed(node: Node) -> Sequence[Any]:
    match node:
        case Constant(value=value):
            return [value]
        case Choice(choice=choice):
            return choice
        case Branch(options=options):
            return list(options)
    return []


def _number(value: Any) -> float:
    return float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST
