"""Scores from sums over batches: nothing is kept of a sample but what the sums need."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import torch

from tune_mlp.data.transforms import TargetScaler
from tune_mlp.records import SCORES, Task


class Measure(Protocol):
    """The scores of one task beside the loss."""

    def add(self, outputs: torch.Tensor, y: torch.Tensor) -> None: ...

    def scores(self, n: int) -> dict[str, float]: ...


Best = Callable[[torch.Tensor], torch.Tensor]


def best_outputs(outputs: torch.Tensor) -> torch.Tensor:
    """Each row's largest output, the first of them: as argmax, which takes three times as long on a CPU."""
    return outputs.max(dim=1).indices


class Classification:
    """Accuracy."""

    def __init__(self, scaler: TargetScaler, best: Best) -> None:
        self._best = best
        self._right = 0

    def add(self, outputs: torch.Tensor, y: torch.Tensor) -> None:
        self._right += int((self._best(outputs) == y).sum().item())

    def scores(self, n: int) -> dict[str, float]:
        return {"accuracy": self._right / n}


class Regression:
    """rmse over all outputs in the target's own unit, and r2 as scikit-learn has it: each output's own, averaged.

    An output that doesn't vary has r2 1 where it is met exactly and 0 where it isn't, so that r2 is always finite.
    """

    def __init__(self, scaler: TargetScaler, best: Best) -> None:
        self._std = torch.from_numpy(scaler.std.copy()).double()
        outputs = len(scaler.std)
        self._shift: torch.Tensor | None = None
        self._residual = torch.zeros(outputs, dtype=torch.float64)
        self._sum = torch.zeros(outputs, dtype=torch.float64)
        self._square = torch.zeros(outputs, dtype=torch.float64)
        self._low = torch.full((outputs,), math.inf, dtype=torch.float64)
        self._high = torch.full((outputs,), -math.inf, dtype=torch.float64)

    def add(self, outputs: torch.Tensor, y: torch.Tensor) -> None:
        predicted, wanted = outputs.cpu().double(), y.cpu().double()
        self._residual += (predicted - wanted).square().sum(dim=0)
        self._low = torch.minimum(self._low, wanted.amin(dim=0))
        self._high = torch.maximum(self._high, wanted.amax(dim=0))
        if self._shift is None:  # unscaled targets may be far from 0, where the spread would be lost in rounding
            self._shift = wanted.mean(dim=0)
        centred = wanted - self._shift
        self._sum += centred.sum(dim=0)
        self._square += centred.square().sum(dim=0)

    def scores(self, n: int) -> dict[str, float]:
        rmse = math.sqrt((self._residual * self._std.square()).mean().item() / n)
        varies = self._high > self._low  # by range: the difference of two sums needn't come to 0
        spread = torch.where(varies, self._square - self._sum.square() / n, 1.0)
        constant = (self._residual == 0).double()
        r2 = torch.where(varies, 1.0 - self._residual / spread, constant)
        return {"rmse": rmse, "r2": r2.mean().item()}


MEASURES: dict[Task, type[Classification] | type[Regression]] = {
    "classification": Classification,
    "regression": Regression,
}


class Tally:
    """The loss and a task's own scores so far; all of them are NaN once a loss or an output was non-finite."""

    def __init__(self, task: Task, scaler: TargetScaler, best: Best = best_outputs) -> None:
        self._task = task
        self._measure: Measure = MEASURES[task](scaler, best)
        self._loss = 0.0
        self._n = 0
        self.finite = True

    def add(self, outputs: torch.Tensor, y: torch.Tensor, losses: torch.Tensor, batch_size: int) -> None:
        """Samples in batches of `batch_size` (the last may be short) and the mean loss of each batch."""
        n = len(y)
        last = n - (len(losses) - 1) * batch_size
        # In doubles: a sum of large but finite float32 losses is finite.
        values = losses.double()
        self._loss += (values[:-1].sum() * batch_size + values[-1] * last).item()
        self._n += n
        # The loss alone won't do: multi_margin's is finite for NaN outputs.
        if math.isfinite(self._loss) and bool(torch.stack(outputs.aminmax()).isfinite().all()):
            self._measure.add(outputs, y)
        else:
            self.finite = False

    def scores(self) -> dict[str, float]:
        if not self.finite or self._n == 0:
            return no_scores(self._task)
        return {"loss": self._loss / self._n, **self._measure.scores(self._n)}


def no_scores(task: Task) -> dict[str, float]:
    """What a run that diverged scores."""
    return dict.fromkeys(SCORES[task], math.nan)
