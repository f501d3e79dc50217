"""The evaluation of a module of PyTorch on raw samples, whichever code trained it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tune_mlp.config import TrialConfig
from tune_mlp.data.batches import CHUNK, chunks
from tune_mlp.data.dataset import Dataset, Fold
from tune_mlp.engines.denormals import denormals_as_zero
from tune_mlp.engines.eager.losses import LOSSES, loss_targets
from tune_mlp.engines.running_scores import Further, RunningScores

PICTURES_TOGETHER = 128
"""The number of pictures that are evaluated together: the outputs of convolutions are many times their inputs."""


class TrainedOn(NamedTuple):
    """What a module was trained on, and with which settings."""

    config: TrialConfig
    dataset: Dataset
    fold: Fold
    device: torch.device


@denormals_as_zero()
def evaluate(
    model: nn.Module,
    trained: TrainedOn,
    x: NDArray[Any],
    y: NDArray[Any],
    index: NDArray[Any] | None = None,
    further: Sequence[str] = (),
) -> RunningScores:
    """Return the scores of a module, as `FoldRun.evaluate` measures a run's; the module is left in evaluation mode."""
    config, dataset, fold, device = trained
    index = np.arange(len(x)) if index is None else index
    running = RunningScores(dataset.task, fold.targets, further=Further(further, config.loss))
    together = CHUNK if config.model.name == "mlp" else PICTURES_TOGETHER
    loss_of = LOSSES[config.loss]
    model.eval()
    with torch.no_grad():
        for scaled, wanted in chunks(x, y, index, 1, fold.inputs, fold.targets):
            labels = torch.from_numpy(wanted).to(device)
            parts = torch.split(torch.from_numpy(scaled).to(device), together)
            outputs = torch.cat([model(part) for part in parts])
            loss = loss_of(outputs, loss_targets(config.loss, labels, dataset.outputs))
            running.add(outputs.cpu().numpy(), wanted, loss.reshape(1).cpu().numpy(), len(wanted))
    return running
