"""Packed data: tables as columns, deflated and in base64, as a page holds them; JavaScript unpacks the same form."""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from tune_mlp.results.answer import plain

LARGEST = 2**53
"""A whole number beyond it is no number in JavaScript, and is packed as text."""
MOST_BYTES = 2 * 10**8
"""The largest size of what is unpacked."""
DIGITS = 6
"""The digits of a number in a chart, which are more than anybody sees."""


def pack(value: Any) -> str:
    """Return a value as deflated JSON in base64."""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    except ValueError:  # a number that isn't finite
        text = json.dumps(plain(value), allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode("utf-8", "backslashreplace"))).decode()


def unpack(text: str) -> Any:
    """Return the value that was packed; a ValueError says that it is damaged."""
    try:
        inflater = zlib.decompressobj()
        content = inflater.decompress(base64.b64decode(text, validate=True), MOST_BYTES)
        if not inflater.eof:
            raise ValueError("it is cut off or too large")
        return json.loads(content)
    except (zlib.error, RecursionError) as error:
        raise ValueError(str(error)) from None


def pack_table(frame: pd.DataFrame) -> dict[str, Any]:
    """Return a table as plain columns. Numbers keep all their digits, and words that come again are written once."""
    return {str(name): _column(frame[name]) for name in frame.columns}


def unpack_table(columns: Mapping[str, Any]) -> pd.DataFrame:
    """Return the table that `pack_table` packed."""
    return pd.DataFrame(
        {name: pd.Series(_values(column), dtype=column["kind"]) for name, column in columns.items()},
    )


def _column(values: pd.Series[Any]) -> dict[str, Any]:
    kind = str(values.dtype)
    whole = pd.api.types.is_integer_dtype(values.dtype)
    items = [None if _missing(value) else plain(value) for value in values]
    if pd.api.types.is_float_dtype(values.dtype):
        # Infinite numbers are no JSON; a missing one is null.
        items = [_number(value) for value in values.tolist()]
    elif whole and any(value is not None and abs(value) > LARGEST for value in items):
        items = [None if value is None else str(value) for value in items]
    elif not whole and kind not in ("bool", "boolean"):
        names = list(dict.fromkeys(json.dumps(value, ensure_ascii=False) for value in items))
        places = {name: place for place, name in enumerate(names)}
        codes = [places[json.dumps(value, ensure_ascii=False)] for value in items]
        return {"kind": kind, "names": [json.loads(name) for name in names], "codes": codes}
    return {"kind": kind, "values": items}


def _values(column: Mapping[str, Any]) -> list[Any]:
    if "codes" in column:
        return [column["names"][code] for code in column["codes"]]
    if column["kind"] in ("int64", "Int64"):
        return [None if value is None else int(value) for value in column["values"]]
    if column["kind"].startswith("float"):
        return [math.nan if value is None else float(value) for value in column["values"]]
    return list(column["values"])


def _missing(value: Any) -> bool:
    return value is None or (pd.api.types.is_scalar(value) and bool(pd.isna(value)))


def _number(value: float) -> float | str | None:
    if math.isfinite(value):
        return value
    return None if math.isnan(value) else repr(value)


def pack_rows(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any] | list[Any]:
    """Return the rows of a chart as columns, with fewer digits; rows that differ in their fields stay as they are."""
    if not rows or any(row.keys() != rows[0].keys() for row in rows):
        return [{name: _rounded(value) for name, value in row.items()} for row in rows]
    return {"rows": len(rows), "columns": {name: _repeated([_rounded(row[name]) for row in rows]) for name in rows[0]}}


def _repeated(values: list[Any]) -> Any:
    """Return values as they are, or where all are the same the one."""
    return {"all": values[0]} if all(value == values[0] for value in values) else values


def _rounded(value: Any) -> Any:
    if isinstance(value, float) and not value.is_integer():
        return float(f"{value:.{DIGITS}g}")
    return value
