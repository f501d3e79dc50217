"""An answer: one plain sentence, a table, and how it was worked out. Every word that asks something of a run gives one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Answer:
    """What was found out about a run or a table of trials."""

    sentence: str
    """The answer in one sentence, for a person."""
    table: pd.DataFrame
    """The rows that the sentence is based on."""
    method: tuple[str, ...]
    """How it was worked out, in two lines at most."""
    notes: tuple[str, ...] = ()
    """Further lines that a person must know, such as what could not be judged."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Members of the JSON form that stand beside `rows`, such as the metric and the number of trials."""
    shown: pd.DataFrame | None = None
    """The table as a person reads it, with figures in words; None where the table is it."""

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as plain values for strict JSON. A number that isn't finite is null."""
        rows = [dict(zip(self.table.columns, row, strict=True)) for row in self.table.itertuples(index=False)]
        said = {"sentence": self.sentence, **self.facts, "rows": rows, "notes": self.notes, "method": self.method}
        return {name: plain(value) for name, value in said.items()}

    def top(self, rows: int) -> Answer:
        """Return the answer with its first rows alone, and a note of how many more there are."""
        more = len(self.table) - rows
        if more <= 0:
            return self
        note = f"... and {more:,} more: --to json or --to csv has all of them."
        shown = None if self.shown is None else self.shown.head(rows)
        return replace(self, table=self.table.head(rows), shown=shown, notes=(note, *self.notes))

    def to_frame(self) -> pd.DataFrame:
        """Return the table; its `attrs` hold the sentence, the notes, the method and the other facts."""
        frame = self.table.copy()
        frame.attrs = {name: value for name, value in self.to_dict().items() if name != "rows"}
        return frame


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: `1 trial`, `2 trials`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def listed(words: Sequence[str]) -> str:
    """Return words as a sentence lists them: `lr, depth and width`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def trials_named(numbers: Iterable[int]) -> str:
    """Return trials by their numbers: `trial 7`, `trials 7, 3 and 9`."""
    words = [str(number) for number in numbers]
    return f"trial{'' if len(words) == 1 else 's'} {listed(words)}"


def percent(share: float, digits: int = 0) -> str:
    """Write a share as a percentage: `12 %`."""
    return f"{100 * share:.{digits}f} %"


def told_apart(one: float, other: float) -> tuple[str, str]:
    """Write two numbers with as many digits as tell them apart, four at least."""
    texts = ((f"{one:.{digits}g}", f"{other:.{digits}g}") for digits in range(4, 18))
    return next((pair for pair in texts if pair[0] != pair[1]), (f"{one:.4g}", f"{other:.4g}"))


def plain(value: Any) -> Any:
    """Return a value that strict JSON can hold."""
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return None if value is None or value is pd.NA or value is pd.NaT else value
