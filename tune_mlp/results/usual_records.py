"""Records of epochs as they nearly always stand in a journal, read in a fraction of the time. Any other is left to the slow reader.

A long journal is records for the most part: a study of 6,000 trials with 100 epochs each has 600,000. The slow reader checks one field
after the other and says which one is wrong; here all are looked at together, and nothing is said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from operator import itemgetter
from typing import Any

from tune_mlp.records import FURTHER_SCORES, SCORES, EpochRecord

FIELDS = tuple(field.name for field in fields(EpochRecord))
KINDS = (int, int, dict, int, float, float, int)
"""The kinds of these fields' values."""
METRICS = frozenset(
    f"{part}_{score}"
    for part in ("train", "val")
    for known in (SCORES, FURTHER_SCORES)
    for scores in known.values()
    for score in scores
)
FLOATS = {float}


def record_reader(
    limits: Mapping[str, tuple[int, int]], slow: Callable[[Any], EpochRecord]
) -> Callable[[Any], EpochRecord]:
    """Return a reader that gives the same record as the `slow` one for anything, or raises the same error."""
    values_of = itemgetter(*FIELDS)
    (least_epoch, most_epoch), (least_fold, most_fold), (least_steps, most_steps), (least_repeat, most_repeat) = (
        limits[name] for name in ("epoch", "fold", "steps", "repeat")
    )

    def read(data: Any) -> EpochRecord:
        if type(data) is not dict or len(data) != len(FIELDS):
            return slow(data)
        try:
            values = values_of(data)
        except KeyError:
            return slow(data)
        epoch, fold, metrics, steps, _, _, repeat = values
        if (
            tuple(map(type, values)) == KINDS
            and least_epoch <= epoch <= most_epoch
            and least_fold <= fold <= most_fold
            and least_steps <= steps <= most_steps
            and least_repeat <= repeat <= most_repeat
            and METRICS.issuperset(metrics)
            and set(map(type, metrics.values())) == FLOATS
        ):
            return EpochRecord(*values)
        return slow(data)

    return read
