"""Defaults: the value that a parameter has where a study doesn't set it, and where it lies among the values that were tried."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from tune_mlp.insight.features import Feature


def default_values(names: Sequence[str]) -> dict[str, Any]:
    """Return the default of each of these parameters that has one."""
    from tune_mlp.config import (
        BRANCHES,
        TrialConfig,
    )  # pydantic takes 0.3 s to import, and tables from elsewhere need none

    found: dict[str, Any] = {}
    for name in names:
        *above, field = name.split(".")
        branch, option = above[-2:] if len(above) > 1 else ("", "")
        settings = BRANCHES[branch].get(option, TrialConfig) if branch in BRANCHES else TrialConfig
        if field in settings.model_fields and not settings.model_fields[field].is_required():
            found[name] = settings.model_fields[field].get_default(call_default_factory=True)
    return {name: value for name, value in found.items() if isinstance(value, str | int | float | bool | tuple | list)}


def nearest_point(feature: Feature, value: Any) -> int | None:
    """Return the place of a value among a feature's points; None where it lies outside of what was tried."""
    if value is None:
        return None
    if not feature.is_number:
        text = json.dumps(list(value)) if isinstance(value, tuple | list) else value
        return feature.points.index(text) if text in feature.points else None
    points = np.array(feature.points, np.float64)
    if isinstance(value, str | tuple | list) or not points.min() <= value <= points.max():
        return None
    return int(np.argmin(np.abs(points - value)))
