"""An order for pictures that are evaluated in each epoch: those with pixels in the same places stand side by side.

The kernel takes a few pictures at a time, over all pixels that any of them has. Of MNIST these are 240 of 784 pixels in this
order, and 339 in the order in which the pictures come.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tune_mlp.engines.compiled.sparse import FEW_SAMPLES

SOME, DIRECTIONS = 128, 16
"""The number of pictures that tell in which directions pictures differ most, and the number of directions that count."""
TOGETHER = 1024
"""The number of pictures that are turned into float32 at a time, for memory's sake."""

Rows = NDArray[np.int64]


class EvaluationOrder(NamedTuple):
    """The order in which some rows of a dataset are evaluated."""

    places: Rows
    """The place of each among the rows as they were given."""
    rows: Rows

    def undone(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the values, one for each row in this order, in the order in which the rows were given."""
        found = np.empty_like(values)
        found[self.places] = values
        return found


_KEPT: dict[int, tuple[NDArray[Any], EvaluationOrder]] = {}
"""The orders by the id of the rows that were asked about, which are kept with them, so that the id stays theirs."""
MOST_KEPT = 32


def evaluation_order(pictures: NDArray[Any], rows: NDArray[Any]) -> EvaluationOrder:
    """Return such an order of the rows, which is worked out once in a process."""
    if id(rows) not in _KEPT:
        if len(_KEPT) == MOST_KEPT:
            _KEPT.clear()
        places = _order(pictures, rows)
        _KEPT[id(rows)] = rows, EvaluationOrder(places, rows[places].astype(np.int64))
    return _KEPT[id(rows)][1]


def _order(pictures: NDArray[Any], rows: NDArray[Any]) -> Rows:
    """Order the rows by where the pictures lie along their first principal components."""
    if len(rows) <= FEW_SAMPLES:
        return np.arange(len(rows))
    some = _seen(pictures, rows[:: max(1, len(rows) // SOME)])
    some -= some.mean(axis=0)
    _, mixtures = np.linalg.eigh(some @ some.T)
    directions = some.T @ mixtures[:, -DIRECTIONS:]
    return _halved(
        np.concatenate(
            [_seen(pictures, rows[low : low + TOGETHER]) @ directions for low in range(0, len(rows), TOGETHER)]
        )
    )


def _halved(points: NDArray[np.float32]) -> Rows:
    """Order the points by halving: along the direction in which they differ most, then each half again, down to a few.

    All parts of one size are halved together.
    """
    count, parts = len(points), 1
    smallest_parts = 2 ** (count // FEW_SAMPLES).bit_length()
    order = np.arange(-(-count // smallest_parts) * smallest_parts)
    points = points[np.minimum(order, count - 1)]  # those behind the last are left out again
    while parts < smallest_parts:
        by_part = points[order].reshape(parts, -1, points.shape[1])
        widest = by_part.var(axis=1).argmax(axis=1)
        places = np.take_along_axis(by_part, widest[:, None, None], axis=2)[:, :, 0].argsort(axis=1)
        order = np.take_along_axis(order.reshape(parts, -1), places, axis=1).ravel()
        parts *= 2
    return order[order < count]


def _seen(pictures: NDArray[Any], rows: NDArray[Any]) -> NDArray[np.float32]:
    """Return 1 where a picture has a pixel, and 0 elsewhere."""
    seen: NDArray[np.float32] = (pictures[rows] != 0).astype(np.float32)
    return seen
