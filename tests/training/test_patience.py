from __future__ import annotations

import math

import pytest

from tune_mlp.records import Mode
from tune_mlp.training.patience import Patience


@pytest.mark.parametrize(
    ("limit", "mode", "values", "last"),
    [
        (1, "min", [3, 2, 2, 1], 3),
        (2, "min", [3, 2, 2, 1, 5, 5, 0], 6),
        (2, "max", [1, 2, 2, 2, 3], 4),
        (2, "max", [math.nan, math.nan, 1], 2),
        (2, "min", [1, math.inf, 0.5, 2, 2], 5),
        (None, "min", [1] * 50, None),
    ],
)
def test_patience_is_over_after_so_many_epochs_without_improvement(
    limit: int | None, mode: Mode, values: list[float], last: int | None
) -> None:
    patience = Patience(limit, mode)
    over = []
    for epoch, value in enumerate(values, 1):
        patience = patience.after(value)
        over += [epoch] if patience.over else []
    assert (over[0] if over else None) == last


def test_only_a_strictly_better_epoch_restores_patience() -> None:
    patience = Patience(None, "max")
    waited = []
    for value in (math.nan, 1.0, 1.0, 2.0, 0.5, math.inf):
        patience = patience.after(value)
        waited.append(patience.waited)
    assert waited == [1, 0, 1, 0, 1, 2]
    assert patience.best == 2.0
