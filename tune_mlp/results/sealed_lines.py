"""A sealed line is a strict-JSON object in one line that ends with its own CRC-32, so that a changed or damaged line is noticed."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

_CHECKSUM = b',"crc":"%08x"}'
_CHECKSUM_LENGTH = len(_CHECKSUM % 0)


def sealed(data: Mapping[str, Any]) -> bytes:
    """Return an object as a line with its checksum and its newline."""
    return _with_checksum(json.dumps(data, allow_nan=False, separators=(",", ":")).encode()) + b"\n"


def unsealed(line: bytes) -> dict[str, Any]:
    """Return the object of a whole line without its newline; a ValueError says what is wrong with it."""
    body = line[:-_CHECKSUM_LENGTH] + b"}"
    if _with_checksum(body) != line:
        raise ValueError("the checksum doesn't fit; the line was changed or damaged")
    try:
        data = _DECODER.decode(body.decode())
    except RecursionError:
        raise ValueError("nested too deep") from None
    if type(data) is not dict:
        raise ValueError(f"must be dict, got {data!r:.40}")
    return data


def _with_checksum(body: bytes) -> bytes:
    return body[:-1] + _CHECKSUM % zlib.crc32(body)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of strict JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)
