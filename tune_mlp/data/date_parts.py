"""Dates and times of day as numbers that a net can learn from."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tune_mlp.data.kinds import Column

Numbers = NDArray[np.float64]
CYCLES = {"month": (1, 12), "day": (1, 31), "weekday": (0, 7), "hour": (0, 24), "minute": (0, 60)}
"""The parts that begin again, each with its first value and the number of its values."""


def date_parts(column: Column, how: Literal["parts", "cyclic", "ordinal", "ignore"]) -> dict[str, Numbers]:
    """Return numbers by the name of the part, with NaN where the date is missing; only parts that vary."""
    if how == "ignore":
        return {}
    when, missing = column.values, column.missing
    if how == "ordinal":
        unit = ("hours", 3600.0) if column.kind == "time" else ("days", 86400.0)
        found = {unit[0]: when.astype("datetime64[s]").astype(np.float64) / unit[1]}
    else:
        found = _parts(when)
        if column.kind == "time":
            found = {name: found[name] for name in ("hour", "minute", "second")}
    found = {name: np.where(missing, np.nan, values) for name, values in found.items()}
    found = (
        {name: values for name, values in found.items() if np.nanmin(values) < np.nanmax(values)}
        if not missing.all()
        else {}
    )
    if how == "parts" and "second" in found:
        del found["second"]
    return _as_cycles(found) if how == "cyclic" else found


def _parts(when: NDArray[np.datetime64]) -> dict[str, Numbers]:
    days, months, years = (when.astype(f"datetime64[{unit}]") for unit in "DMY")
    seconds = (when - days).astype(np.float64)
    return {
        "year": years.astype(np.float64) + 1970,
        "month": (months - years.astype("datetime64[M]")).astype(np.float64) + 1,
        "day": (days - months.astype("datetime64[D]")).astype(np.float64) + 1,
        "weekday": (days.astype(np.float64) + 3) % 7,  # 1970-01-01 was a Thursday; Monday is 0
        "hour": seconds // 3600,
        "minute": seconds // 60 % 60,
        "second": seconds % 60,
    }


def _as_cycles(parts: dict[str, Numbers]) -> dict[str, Numbers]:
    """Replace each part that begins again by its sine and cosine."""
    found: dict[str, Numbers] = {}
    for name, values in parts.items():
        if name == "second":
            continue
        if name not in CYCLES:
            found[name] = values
            continue
        first, length = CYCLES[name]
        angle = 2 * np.pi * (values - first) / length
        found |= {f"{name} sine": np.sin(angle), f"{name} cosine": np.cos(angle)}
    return found
