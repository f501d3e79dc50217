"""Scores of an epoch, computed from sums over its batches, and each sample's outcome; outputs are kept only for further scores."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from tune_mlp.data.transforms import TargetScaler
from tune_mlp.engines.further_scores import ClassAnswers, probabilities, score_classes, score_numbers
from tune_mlp.records import SCORES, Task

Floats = NDArray[np.floating[Any]]
Best = Callable[[Floats], NDArray[np.int64]]
"""A function that returns, for each row, the index of its largest number; of equals, the first."""


class Measure(Protocol):
    """Collects the scores of one task beside the loss."""

    def add(self, outputs: Floats, y: NDArray[Any]) -> NDArray[Any]:
        """Take in some samples, and return their outcomes."""

    def scores(self, n: int) -> dict[str, float]: ...


def _best(outputs: Floats) -> NDArray[np.int64]:
    found: NDArray[np.int64] = outputs.argmax(axis=1)
    return found


class Classification:
    """Collects the accuracy."""

    def __init__(self, scaler: TargetScaler, best: Best) -> None:
        self._best = best
        self._right = 0

    def add(self, outputs: Floats, y: NDArray[Any]) -> NDArray[np.bool_]:
        right: NDArray[np.bool_] = self._best(outputs) == y
        self._right += int(np.count_nonzero(right))
        return right

    def scores(self, n: int) -> dict[str, float]:
        return {"accuracy": self._right / n}


class Regression:
    """Collects rmse over all outputs in the target's own unit, and r2 as scikit-learn has it: the mean of each output's own.

    An output that doesn't vary has r2 1 where it is met exactly and 0 where it isn't, so that r2 is always finite.
    """

    def __init__(self, scaler: TargetScaler, best: Best) -> None:
        self._std = scaler.std.astype(np.float64)
        outputs = len(scaler.std)
        self._shift: NDArray[np.float64] | None = None
        self._residual, self._sum, self._square = np.zeros((3, outputs))
        self._low, self._high = np.full(outputs, math.inf), np.full(outputs, -math.inf)

    def add(self, outputs: Floats, y: NDArray[Any]) -> NDArray[np.float32]:
        predicted, wanted = outputs.astype(np.float64), y.astype(np.float64)
        errors = predicted - wanted
        self._residual += np.square(errors).sum(axis=0)
        self._low = np.minimum(self._low, wanted.min(axis=0))
        self._high = np.maximum(self._high, wanted.max(axis=0))
        if self._shift is None:  # unscaled targets may be far from 0, where the spread would be lost in rounding
            self._shift = wanted.mean(axis=0)
        centred = wanted - self._shift
        self._sum += centred.sum(axis=0)
        self._square += np.square(centred).sum(axis=0)
        in_its_unit: NDArray[np.float32] = (errors * self._std).astype(np.float32)
        return in_its_unit

    def scores(self, n: int) -> dict[str, float]:
        rmse = math.sqrt(float((self._residual * np.square(self._std)).mean()) / n)
        varies = self._high > self._low  # by range: the difference of two sums needn't come to 0
        spread = np.where(varies, self._square - np.square(self._sum) / n, 1.0)
        r2 = np.where(varies, 1.0 - self._residual / spread, self._residual == 0)
        return {"rmse": rmse, "r2": float(r2.mean())}


MEASURES: dict[Task, type[Classification] | type[Regression]] = {
    "classification": Classification,
    "regression": Regression,
}


class Further(NamedTuple):
    """The scores that are measured beside those of the task."""

    names: Sequence[str]
    loss: str
    """The loss that the net is trained with, which says what its outputs mean."""


NOTHING_FURTHER = Further((), "")
NO_OUTCOMES = np.empty(0, np.bool_)
"""The outcomes of no samples."""


class RunningScores:
    """Collects the loss and a task's own scores; all of them are NaN as soon as a loss or an output isn't finite."""

    def __init__(
        self, task: Task, scaler: TargetScaler, best: Best = _best, further: Further = NOTHING_FURTHER
    ) -> None:
        self._task = task
        self._scaler = scaler
        self._best = best
        self._measure: Measure = MEASURES[task](scaler, best)
        self._further = further
        self._kept: list[tuple[Floats, NDArray[Any]]] = []
        """Outputs and targets, kept only for further scores."""
        self._outcomes: list[NDArray[Any]] = []
        self._loss = 0.0
        self._n = 0
        self.finite = True

    def add(self, outputs: Floats, y: NDArray[Any], losses: Floats, batch_size: int) -> None:
        """Add samples, in batches of `batch_size` of which the last may be short, and the mean loss of each batch."""
        n = len(y)
        last = n - (len(losses) - 1) * batch_size
        # In doubles: a sum of large but finite float32 losses is finite.
        self._loss += float(losses[:-1].sum(dtype=np.float64)) * batch_size + float(losses[-1]) * last
        self._n += n
        # The loss alone won't do: multi_margin's is finite for NaN outputs.
        if math.isfinite(self._loss) and np.isfinite(outputs).all():
            self._outcomes.append(self._measure.add(outputs, y))
            if self._further.names:
                self._kept.append((outputs, y))
        else:
            self.finite = False

    def scores(self) -> dict[str, float]:
        if not self.finite or self._n == 0:
            return nan_scores(self._task, self._further.names)
        return {"loss": self._loss / self._n, **self._measure.scores(self._n), **self._further_scores()}

    def outcomes(self) -> NDArray[Any]:
        """Return what became of each sample, in the order in which they were added: a class that is right or wrong, or the
        error of each target in its own unit. It is empty where something wasn't finite."""
        return np.concatenate(self._outcomes) if self.finite and self._outcomes else NO_OUTCOMES

    def _further_scores(self) -> dict[str, float]:
        if not self._further.names:
            return {}
        outputs, wanted = (np.concatenate(parts) for parts in zip(*self._kept, strict=True))
        if self._task == "classification":
            given = probabilities(outputs, self._further.loss)
            return score_classes(self._further.names, ClassAnswers(wanted, self._best(outputs), given))
        std = self._scaler.std.astype(np.float64)
        return score_numbers(self._further.names, wanted * std, outputs * std)


def nan_scores(task: Task, further: Sequence[str] = ()) -> dict[str, float]:
    """Return the scores of an epoch that diverged: NaN for each."""
    return dict.fromkeys((*SCORES[task], *further), math.nan)
