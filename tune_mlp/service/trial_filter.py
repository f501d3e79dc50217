"""Filters of a table: `lr<0.01 and activation==relu`. A filter is read by a small parser of its own, and nothing of it is executed."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import pandas as pd

from tune_mlp.errors import clipped, did_you_mean
from tune_mlp.service.faults import Refused

MOST_CHARACTERS, MOST_PARTS = 2000, 20
TOKEN = re.compile(
    r"""\s*(?:(?P<operator>==|!=|<=|>=|=|<|>|~)|(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<word>[^\s"'=!<>~]+))""",
    re.DOTALL,
)
EXAMPLE = "such as lr<0.01 and activation==relu"


class ColumnComparison(NamedTuple):
    """One part of a filter."""

    column: str
    operator: str
    value: str
    quoted: bool
    """The value stood in quotes, so it is text and no number."""


def parse_filter(text: str) -> list[ColumnComparison]:
    """Read a filter: comparisons joined by `and`."""
    if len(text) > MOST_CHARACTERS:
        raise Refused(f"filter: has at most {MOST_CHARACTERS} characters, got {len(text)}")
    tokens = _tokens(text)
    found: list[ColumnComparison] = []
    while tokens:
        if found:
            joined, kind = tokens.pop(0)
            if kind != "word" or joined.lower() != "and":
                raise Refused(f"filter: comparisons are joined by and, {EXAMPLE}, got {clipped(joined)!r}")
        if (
            len(tokens) < 3
            or [kind for _, kind in tokens[:3]][1] != "operator"
            or "operator"
            in (
                tokens[0][1],
                tokens[2][1],
            )
        ):
            said = " ".join(one for one, _ in tokens[:3])
            raise Refused(f"filter: write a column, an operator and a value, {EXAMPLE}, got {clipped(said)!r}")
        (column, _), (sign, _), (value, kind) = tokens[:3]
        del tokens[:3]
        found.append(ColumnComparison(column, "==" if sign == "=" else sign, value, kind == "text"))
        if len(found) > MOST_PARTS:
            raise Refused(f"filter: has at most {MOST_PARTS} comparisons")
    return found


def filtered(frame: pd.DataFrame, text: str) -> pd.DataFrame:
    """Return the rows that meet all comparisons of a filter. A missing value meets none."""
    kept = pd.Series(True, index=frame.index)
    for comparison in parse_filter(text):
        if comparison.column not in frame.columns:
            hint = did_you_mean(comparison.column, map(str, frame.columns))
            raise Refused(f"filter: there is no column {clipped(comparison.column)!r}{hint}")
        kept &= _meets(frame[comparison.column], comparison)
    return frame[kept]


def _tokens(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        match = TOKEN.match(text, at)
        if match is None:
            raise Refused(f"filter: can't be read from {clipped(text[at:].strip())!r} on, write {EXAMPLE}")
        kind = str(match.lastgroup)
        said = match[kind]
        found.append((re.sub(r"\\(.)", r"\1", said[1:-1], flags=re.DOTALL) if kind == "text" else said, kind))
        at = match.end()
    return found


ORDERS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
WORDS = {"true": 1.0, "false": 0.0}


def _meets(column: pd.Series[Any], comparison: ColumnComparison) -> pd.Series[Any]:
    """Return for each row whether its value meets the comparison."""
    present = column.notna()
    if comparison.operator == "~":
        texts = column.astype(str).str.lower()
        return texts.str.contains(comparison.value.lower(), regex=False).fillna(False).astype(bool) & present
    compare = ORDERS[comparison.operator]
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        number = _number(comparison)
        values = column.astype("Float64")
        met = compare(values, number)
    else:
        met = compare(column.astype(str), comparison.value)
    kept: pd.Series[Any] = met.fillna(False).astype(bool) & present
    return kept


def _number(comparison: ColumnComparison) -> float:
    word = comparison.value.lower()
    if not comparison.quoted and word in WORDS:
        return WORDS[word]
    try:
        return float(word)
    except ValueError:
        raise Refused(
            f"filter: column {clipped(comparison.column)!r} holds numbers, got {clipped(comparison.value)!r}"
        ) from None
