"""Changes of a study that advice proposes, and how each is made in the study's tree."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tune_mlp.errors import TuneMlpError

STEPS = (1.0, 0.5, 0.25)
"""A range is extended by this share of the usual step, the first that makes a valid study."""


@dataclass(frozen=True)
class Change:
    """A change of the space or of the budget."""

    advice: str
    """`extend` a range, `cut` it, `pin` a parameter, or raise `epochs`."""
    parameter: str
    """The parameter's path, or the setting."""
    value: Any
    """The end to go beyond, the values to keep (the ends of a range; None leaves an end), the value to pin to, or the setting's new value."""
    why: str


def possible(study: Mapping[str, Any], change: Change) -> bool:
    """True if a change makes a valid study: no batch is smaller than 1, and no parameter of a fixed value has a range."""
    return applied(study, change) is not None


def applied(study: Mapping[str, Any], change: Change) -> dict[str, Any] | None:
    """Return a study's tree with a change; None where that makes no valid study."""
    from tune_mlp.study.study import (
        Study,
    )  # the study's settings take 0.5 s to import, and tables from elsewhere have none

    for step in STEPS:
        tree = copy.deepcopy(dict(study))
        if not _apply(tree, change, step) or tree == study:
            return None
        try:
            Study.from_dict(tree)
        except TuneMlpError:
            continue
        return tree
    return None


def _apply(tree: dict[str, Any], change: Change, step: float) -> bool:
    """Make one change in a study's tree; False where it can't be made there."""
    if change.advice == "epochs":
        tree["epochs"] = change.value
        return True
    holder, name = _place(tree["space"], change.parameter)
    if holder is None or not isinstance(holder[name], dict):
        return False
    if change.advice == "pin":
        holder[name] = list(change.value) if isinstance(change.value, tuple) else change.value
        return True
    domain = holder[name]
    word = next((word for word in ("log", "uniform", "int", "choice", "grid") if word in domain), None)
    if word is None:
        return False
    domain[word] = (_cut if change.advice == "cut" else _extended)(domain[word], change.value, word, step)
    return bool(domain[word])


def _place(space: dict[str, Any], path: str) -> tuple[dict[str, Any] | None, str]:
    """Return the mapping that holds a parameter's domain, and its name there."""
    first, *rest = path.split(".")
    holder, name = space, first
    while rest:
        option, name, *rest = rest if len(rest) > 1 else (*rest, "")
        options = holder.get(first, {}).get("choice") if isinstance(holder.get(first), dict) else None
        if not isinstance(options, dict) or not isinstance(options.get(option), dict):
            return None, name
        holder, first = options[option], name
    return (holder, name) if name in holder else (None, name)


def _cut(domain: Any, kept: Any, word: str, step: float) -> Any:
    if isinstance(domain, dict):
        return {name: inner for name, inner in domain.items() if name in kept}
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in domain):
        low, high = (-math.inf if kept[0] is None else kept[0]), (math.inf if kept[1] is None else kept[1])
        if word in ("choice", "grid"):
            return [value for value in domain if low <= value <= high]
        ends = [max(domain[0], _rounded(low, down=True)), min(domain[1], _rounded(high, down=False))]
        return [round(end) for end in ends] if word == "int" else ends
    return [value for value in domain if value in kept]


def _extended(domain: Any, end: Any, word: str, step: float) -> Any:
    """Return the domain with its range half as wide again, on the side of the end; a list gets two more values."""
    if isinstance(domain, dict) or not all(isinstance(value, int | float) for value in domain):
        return None
    upwards = abs(end - domain[-1]) < abs(end - domain[0])
    if word == "log":
        factor = (domain[1] / domain[0]) ** (0.5 * step)
        return [domain[0], _rounded(domain[1] * factor)] if upwards else [_rounded(domain[0] / factor), domain[1]]
    if word in ("uniform", "int"):
        width = (domain[1] - domain[0]) * 0.5 * step
        width = max(1, round(width)) if word == "int" else width
        return [domain[0], _rounded(domain[1] + width)] if upwards else [_rounded(domain[0] - width), domain[1]]
    more = list(domain) if upwards else list(reversed(domain))
    for _ in range(2 if step == 1 else 1):
        before, last = more[-2:] if len(more) > 1 else (more[0], more[0])
        grows = last * before > 0 and (last / before >= 1.5 or before / last >= 1.5)
        added = last * last / before if grows else 2 * last - before
        more.append(round(added) if isinstance(last, int) else _rounded(added))
    more = list(dict.fromkeys(more))
    return more if upwards else list(reversed(more))


def _rounded(value: float, down: bool | None = None) -> Any:
    """Round to two digits, or outwards to them."""
    if isinstance(value, int) or value == 0 or math.isinf(value):
        return value
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    scaled = value / unit
    whole = round(scaled) if down is None else math.floor(scaled + 1e-9) if down else math.ceil(scaled - 1e-9)
    return float(f"{whole * unit:.2g}")
