"""The interface of an engine: it starts a FoldRun, which trains one fold of one config, evaluates it and gives its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import nn

from tune_mlp.config import TrialConfig
from tune_mlp.data.dataset import Problem


@dataclass(frozen=True, slots=True)
class TrainedEpoch:
    """The result of one epoch's training: scores over its batches, each taken before the batch's update."""

    scores: Mapping[str, float]
    """By the task's score names: `loss` and `accuracy`, or `loss`, `rmse` and `r2`. All are NaN if anything wasn't finite."""
    steps: int
    losses: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    """The loss of each step, before its update; the last one isn't finite if that ended the epoch."""


class FoldRun(Protocol):
    """The training of one fold of one config. It depends on the seed, and never on what ran before in this process."""

    @property
    def weights(self) -> int:
        """The number of weights that are trained."""

    def train_epoch(self, epoch: int) -> TrainedEpoch:
        """Train epoch `epoch` (from 1), whose order of batches and dropout follow from (seed, fold, epoch).

        A loss or a weight that isn't finite ends the epoch at once, and all scores are NaN.
        """

    @property
    def outcomes(self) -> NDArray[Any]:
        """What became of each sample of the last evaluation, in their order: bool [n], whether its class was found; or float32
        [n, outputs], the errors in the targets' own units. It is empty where an output wasn't finite."""

    def evaluate(
        self, x: NDArray[Any], y: NDArray[Any], index: NDArray[Any] | None = None, further: Sequence[str] = ()
    ) -> dict[str, float]:
        """Score raw samples (all, or those at `index`) in evaluation mode; NaN if an output isn't finite.

        `further` names scores beside those of the task, of `FURTHER_SCORES`.
        """

    def state(self) -> dict[str, Any]:
        """Return all that a later `load_state` needs to go on bit for bit, as copied tensors and plain values."""

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned, in this process or another one."""

    def module(self) -> nn.Module:
        """Return the model as PyTorch, which shares this run's weights."""


class Engine(Protocol):
    """Starts runs."""

    name: str

    def load(self, problem: Problem | None = None, device: str = "cpu") -> None:
        """Load all that a process's first epoch would otherwise pay for: code, kernels, and what the problem's runs share.

        It may be called again, and costs milliseconds then.
        """

    def start(self, config: TrialConfig, problem: Problem, fold: int, seed: int, device: str = "cpu") -> FoldRun:
        """Start a run; `seed` is the trial's, from which the fold's own seeds are derived."""
