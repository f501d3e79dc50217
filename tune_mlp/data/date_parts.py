"""Dates and times of day as numbers that a net can learn from."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tune_mlp.data.kinds import Column

Numbers = NDArray[np.float64]
CYCLES = {"month": (1, 12), "day": (1, 31), "weekday": (0, 7), "hour": (0, 24), "minute": (0, 60)}
"""The parts that begin again, each with its first value and the number of its values."""
PARTS = {"date": ("year", "month", "day", "weekday", "hour", "minute"), "time": ("hour", "minute")}
"""The parts of dates and of times of day that become inputs."""
ORDINAL = {"date": "days", "time": "hours"}
"""The one number that a date or a time of day can become: days since 1970, or hours since midnight."""


def date_parts(column: Column, how: Literal["parts", "cyclic", "ordinal", "ignore"]) -> dict[str, Numbers]:
    """Return numbers by the name of the part, with NaN where the date is missing; only parts that vary."""
    if how == "ignore" or column.missing.all():
        return {}
    names: list[str] = [ORDINAL[column.kind]] if how == "ordinal" else list(PARTS[column.kind])
    if how == "cyclic":
        names = [cycle for name in names for cycle in (_cycle_names(name) if name in CYCLES else (name,))]
    every = all_date_parts(column)
    varying = {name for name, values in every.items() if np.nanmin(values) < np.nanmax(values)}
    if not varying & {"month", "day"}:  # dates that stand for whole years: their weekday says nothing
        varying -= {"weekday"}
    plain = {name: name.removesuffix(" sine").removesuffix(" cosine") for name in names}
    return {name: every[name] for name in names if plain[name] in varying}


def all_date_parts(column: Column) -> dict[str, Numbers]:
    """Return every number that a date or a time of day can become, by its name, with NaN where the date is missing."""
    when, missing = column.values.astype("datetime64[s]"), column.missing
    days, months, years = (when.astype(f"datetime64[{unit}]") for unit in "DMY")
    seconds = (when - days).astype(np.float64)
    found = {
        "year": years.astype(np.float64) + 1970,
        "month": (months - years.astype("datetime64[M]")).astype(np.float64) + 1,
        "day": (days - months.astype("datetime64[D]")).astype(np.float64) + 1,
        "weekday": (days.astype(np.float64) + 3) % 7,  # 1970-01-01 was a Thursday; Monday is 0
        "hour": seconds // 3600,
        "minute": seconds // 60 % 60,
        "days": when.astype(np.float64) / 86400,
        "hours": seconds / 3600,
    }
    for name, (first, length) in CYCLES.items():
        angle = 2 * np.pi * (found[name] - first) / length
        sine, cosine = _cycle_names(name)
        found |= {sine: np.sin(angle), cosine: np.cos(angle)}
    return {name: np.where(missing, np.nan, values) for name, values in found.items()}


def _cycle_names(name: str) -> tuple[str, str]:
    return f"{name} sine", f"{name} cosine"
