"""A difference between what a journal says and what was derived anew, and how two decisions are compared."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import NamedTuple

from tune_mlp.results.journal import Decided

TOLERANCE = 1e-9
"""Releases of NumPy may round a percentile differently in its last digit."""


class Difference(NamedTuple):
    """What the journal says and what was derived anew are not the same."""

    trial: int
    epoch: int | None
    journal: str
    derived: str


class DifferenceFound(Exception):
    """The first difference was found; what follows rests on it."""

    def __init__(self, difference: Difference) -> None:
        self.difference = difference


def same_decision(one: Decided, other: Decided) -> bool:
    """True if two decisions are the same; numbers may differ in their last digits."""
    return all(_equal(getattr(one, field.name), getattr(other, field.name)) for field in fields(Decided))


def _equal(one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=1e-12)
    return one == other


def said_apart(written: Decided | None, derived: Decided | None) -> tuple[str, str]:
    """Write both decisions, only with what isn't the same."""
    if written is None or derived is None:
        one = f"{(written or derived).decision}"  # type: ignore[union-attr]
        return (one, "no decision") if written else ("no decision", one)
    names = [
        field.name
        for field in fields(Decided)
        if not _equal(getattr(written, field.name), getattr(derived, field.name))
    ]
    here, there = (", ".join(f"{name} {getattr(one, name)}" for name in names) for one in (written, derived))
    return here, there
