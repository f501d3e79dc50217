"""The weight of each class in the training loss, so that rare classes can count as much as common ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tune_mlp.config import TrialConfig
from tune_mlp.data.dataset import Dataset, Fold


def class_weights(config: TrialConfig, dataset: Dataset, fold: Fold) -> NDArray[np.float32]:
    """Return a weight for each class, whose mean over the fold's training samples is 1; empty where all samples count alike.

    They are those of scikit-learn's `compute_class_weight("balanced")`. A batch's loss is the mean of its samples' weighted
    losses; it isn't divided by the sum of their weights, as PyTorch's is, which would undo the weights in a batch of one.
    """
    if config.class_weight == "none":
        return np.empty(0, np.float32)
    counts = np.bincount(dataset.y[fold.train].astype(np.int64), minlength=dataset.outputs)
    there = np.count_nonzero(counts)
    weights = len(fold.train) / (there * np.maximum(counts, 1))
    return np.where(counts > 0, weights, 0.0).astype(np.float32)
