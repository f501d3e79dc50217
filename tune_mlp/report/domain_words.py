"""Domains in words: what each parameter of a study was drawn from, as a paper's table would say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tune_mlp.console.formatting import shown


def domains(study: Mapping[str, Any]) -> dict[str, str]:
    """Return the domain of each parameter by its path, such as `optimizer.sgd.momentum`; fixed values are among them."""
    found: dict[str, str] = {}
    for name, raw in (study.get("space") or {}).items():
        _add(found, str(name), raw)
    return found


def _add(found: dict[str, str], path: str, raw: Any) -> None:
    if not isinstance(raw, Mapping):
        found[path] = f"fixed at {_items(raw)}"
        return
    # `{uniform: [0, 1]}` is a domain, and `{uniform: {bound: 1}}` one fixed law of the initial weights with its setting.
    word = next((word for word in WORDS if word in raw and not (word in RANGES and isinstance(raw[word], Mapping))), "")
    found[path] = WORDS[word](raw) if word else f"fixed at {_settings(raw)}"
    branches = raw.get("choice")
    if isinstance(branches, Mapping):
        for branch, owned in branches.items():
            for name, inner in (owned or {}).items():
                _add(found, f"{path}.{branch}.{name}", inner)


def _settings(raw: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} ({_settings(value)})" if isinstance(value, Mapping) else f"{name} {_items(value)}"
        for name, value in raw.items()
    )


def _range(how: str) -> Any:
    def words(raw: Mapping[str, Any]) -> str:
        low, high = next(value for name, value in raw.items() if isinstance(value, list))
        step = raw.get("step")
        return f"{shown(low)} to {shown(high)}, {how}" + (f", in steps of {shown(step)}" if step is not None else "")

    return words


def _choice(raw: Mapping[str, Any]) -> str:
    values = raw["choice"]
    return f"one of {_items(list(values))}"


def _normal(raw: Mapping[str, Any]) -> str:
    mean, deviation = raw["normal"]
    ends = [
        f"{word} {shown(raw[name])}" for name, word in (("low", "from"), ("high", "to")) if raw.get(name) is not None
    ]
    cut = f", cut off {' '.join(ends)}" if ends else ""
    return f"normal with mean {shown(mean)} and deviation {shown(deviation)}{cut}"


def _list(raw: Mapping[str, Any]) -> str:
    inner: dict[str, str] = {}
    _add(inner, "item", raw["list"])
    _add(inner, "length", raw.get("length", ""))
    return f"a list: each item {inner['item']}; its length {inner['length']}"


RANGES = ("log", "uniform", "int", "log_int", "normal")
WORDS: dict[str, Any] = {
    "log": _range("uniform in the logarithm"),
    "uniform": _range("uniform"),
    "int": _range("whole numbers"),
    "log_int": _range("whole numbers, uniform in the logarithm"),
    "choice": _choice,
    "grid": lambda raw: f"each of {_items(raw['grid'])} in turn",
    "normal": _normal,
    "list": _list,
}
"""The words for each domain, by its name in a study file."""


def _items(values: Any) -> str:
    return ", ".join(map(shown, values)) if isinstance(values, list | tuple) else shown(values)
