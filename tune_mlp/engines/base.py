"""What an engine is: it starts a FoldRun for one fold of one config, and a FoldRun trains, evaluates and gives its weights out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import nn

from tune_mlp.config import TrialConfig
from tune_mlp.data.dataset import Problem


@dataclass(frozen=True, slots=True)
class TrainedEpoch:
    """One epoch's training: the running scores over its batches, before each batch's update."""

    scores: Mapping[str, float]
    """By the task's score names: `loss` and `accuracy`, or `loss`, `rmse` and `r2`. NaN once anything was non-finite."""
    steps: int
    losses: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    """Each step's, before its update; non-finite ones where that ended the epoch."""


class FoldRun(Protocol):
    """One fold of one config in training. Depends on the seed, never on what ran before in this process."""

    @property
    def weights(self) -> int:
        """How many numbers are trained."""

    def train_epoch(self, epoch: int) -> TrainedEpoch:
        """Train epoch `epoch` (from 1); batch order and dropout come from (seed, fold, epoch). A non-finite loss or
        weight ends the epoch at once and shows as NaN scores."""

    def evaluate(self, x: NDArray[Any], y: NDArray[Any], index: NDArray[Any] | None = None) -> dict[str, float]:
        """Scores on raw samples (all, or those at `index`), in evaluation mode; NaN where an output is non-finite."""

    def state(self) -> dict[str, Any]:
        """All that a later `load_state` needs to go on bit for bit: tensors and plain values only, copied."""

    def load_state(self, state: Mapping[str, Any]) -> None: ...

    def module(self) -> nn.Module:
        """The model as PyTorch, sharing this run's weights."""


class Engine(Protocol):
    """Starts runs."""

    name: str

    def start(self, config: TrialConfig, problem: Problem, fold: int, seed: int, device: str = "cpu") -> FoldRun:
        """`seed` is the trial's; the fold and the purpose are derived from it."""
