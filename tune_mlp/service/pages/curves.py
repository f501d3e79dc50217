"""The learning curves of a study as the live page draws them: all of a small study; of a large one the leaders and an envelope."""

from __future__ import annotations

import math
import warnings
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune_mlp.console.formatting import described
from tune_mlp.service.followed import Curve, FollowedRun

MOST_LINES = 200
"""A study of more trials is drawn as an envelope and its leaders."""
LEADERS = 40
MOST_RUNNING = 40
MOST_POINTS = 400
"""A curve of more epochs is thinned."""
QUANTILES = (0.1, 0.5, 0.9)
_KEPT = 16
"""So many studies' curves are kept until their journals grow."""

Json = dict[str, Any]


class CurveCache:
    """The curves that were asked for last, so that many who look at one study are served from one computation."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[Path, tuple[int, Json]] = OrderedDict()

    def of(self, run: FollowedRun) -> Json:
        """Return the curves of a study as of now."""
        offset = run.offset
        with self._lock:
            kept = self._kept.get(run.folder)
            if kept is not None and kept[0] == offset:
                return kept[1]
        found = curves_of(run)
        with self._lock:
            self._kept[run.folder] = offset, found
            self._kept.move_to_end(run.folder)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return found


def curves_of(run: FollowedRun) -> Json:
    """Return a study's curves in its metric, with the offset from which its events go on."""
    offset, summary, curves = run.offset, run.summary, run.curves()
    trained = [curve for curve in curves if len(curve.epochs)]
    most = max((int(curve.epochs[-1]) for curve in trained), default=0)
    epochs = _thinned(most)
    large = len(trained) > MOST_LINES
    shown = _leaders(trained, summary.mode or "max") if large else trained
    return {
        "offset": offset,
        "metric": summary.metric,
        "mode": summary.mode,
        "total": len(curves),
        "best": summary.best.trial if summary.best else None,
        "epochs": epochs.tolist(),
        "large": large,
        "lines": [
            {
                "trial": curve.trial,
                "state": curve.state,
                "settings": described(curve.params),
                "values": _at(curve, epochs),
            }
            for curve in shown
        ],
        "band": _band(trained, epochs) if large else None,
    }


def _thinned(most: int) -> NDArray[np.int64]:
    if most <= MOST_POINTS:
        return np.arange(1, most + 1)
    return np.unique(np.linspace(1, most, MOST_POINTS).round().astype(np.int64))


def _leaders(curves: Sequence[Curve], mode: str) -> list[Curve]:
    """Return the best trials and those under way, in the order of their numbers."""

    def score(curve: Curve) -> float:
        finite = curve.values[np.isfinite(curve.values)]
        if not len(finite):
            return -math.inf
        return float(finite.max()) if mode == "max" else -float(finite.min())

    best = sorted(curves, key=score, reverse=True)[:LEADERS]
    running = [curve for curve in curves if curve.state == "running"][-MOST_RUNNING:]
    return sorted({curve.trial: curve for curve in (*best, *running)}.values(), key=lambda curve: curve.trial)


def _at(curve: Curve, epochs: NDArray[np.int64]) -> list[float | None]:
    """Return the values of a curve at these epochs, up to its last one."""
    known = dict(zip(curve.epochs.tolist(), curve.values.tolist(), strict=True))
    last = int(curve.epochs[-1])
    values = [known.get(epoch) for epoch in epochs.tolist() if epoch <= last]
    return [None if value is None or not math.isfinite(value) else float(f"{value:.5g}") for value in values]


def _band(curves: Sequence[Curve], epochs: NDArray[np.int64]) -> Json:
    """Return the quantiles of all trials at each epoch."""
    most = int(epochs[-1])
    table = np.full((len(curves), most + 1), np.nan)
    for row, curve in enumerate(curves):
        table[row, curve.epochs] = curve.values
    table[~np.isfinite(table)] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # an epoch that no trial has a finite value of
        low, middle, high = np.nanquantile(table[:, epochs], QUANTILES, axis=0)
    return {name: _plain(row) for name, row in (("low", low), ("middle", middle), ("high", high))}


def _plain(values: NDArray[np.float64]) -> list[float | None]:
    return [float(f"{value:.5g}") if math.isfinite(value) else None for value in values.tolist()]
