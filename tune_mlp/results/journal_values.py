"""Values of a journal's fields: each is checked as it is read, and a ValueError says what it must be."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

from tune_mlp.results.plain_text import checked

_T = TypeVar("_T")
# Only metrics may be non-finite, and a metric is never text: so these words can't be mistaken for a parameter that reads "nan".
_NON_FINITE = {repr(value): value for value in (math.nan, math.inf, -math.inf)}


def exactly(*kinds: type) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if type(value) not in kinds:  # not isinstance: True is no int here
            raise ValueError(f"must be {' or '.join(kind.__name__ for kind in kinds)}, got {value!r:.40}")
        return value

    return check


DICT, INT, FLOAT, STR, SCALAR = (
    exactly(dict),
    exactly(int),
    exactly(float, int),
    exactly(str),
    exactly(str, int, float, bool, type(None)),
)


def one_of(names: tuple[str, ...]) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if value not in names:
            raise ValueError(f"must be one of {', '.join(names)}, got {value!r:.40}")
        return value

    return check


def read_int(value: Any) -> int:
    if not -(2**63) <= INT(value) < 2**63:
        raise ValueError("must have 64 bits at most")
    return int(value)


def read_float(value: Any) -> float:
    return float(FLOAT(value))


def read_optional(read_value: Callable[[Any], _T]) -> Callable[[Any], _T | None]:
    return lambda value: None if value is None else read_value(value)


def write_optional(write_value: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else write_value(value)


def read_metric(value: Any) -> float:
    return _NON_FINITE[value] if isinstance(value, str) and value in _NON_FINITE else read_float(value)


def write_metric(value: float) -> float | str:
    value = float(value)
    return value if math.isfinite(value) else repr(value)


def read_map(read_value: Callable[[Any], _T]) -> Callable[[Any], dict[str, _T]]:
    def read_all(value: Any) -> dict[str, _T]:
        return {checked(name): read_value(item) for name, item in DICT(value).items()}

    return read_all
