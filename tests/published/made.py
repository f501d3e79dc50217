"""A run's tables made by hand, and claims and study files for tests of what is measured on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from tune_mlp.published.experiments import Claim
from tune_mlp.records import Mode

STUDY = """\
name: tiny
description: digits, twice
data: {name: digits, samples: 200}
space:
  lr: {choice: [0.05, 0.1]}
  width: 8
search: grid
epochs: 2
published:
  citation: Somebody, A report, 2024
  found_out: that the rate was 0.1
  experiments:
    base:
      about: two rates
      set: {batch_size: 16, space.activation: tanh}
      quick: {epochs: 1}
    one:
      about: one rate
      set: {lr: 0.1}
  claims:
    - claim: It learns
      experiment: base
      value: {column: val_accuracy, where: {lr: 0.1}}
      published: 0.2
      below: 0.15
    - claim: It learns everything
      experiment: one
      value: {column: val_accuracy}
      published: 1.0
      within: 0.0001
      note: two epochs are few
    - claim: The large rate is better
      experiment: base
      order: {by: lr, column: train_loss, best: min, names: [[0.1], [0.05]]}
    - claim: It takes long
      experiment: one
      value: {column: epochs}
      published: 2
"""


@dataclass
class Tables:
    """A stand-in for Results with given tables."""

    trials: pd.DataFrame
    epochs: pd.DataFrame
    metric: str = "val_accuracy"
    mode: Mode = "max"
    steps: pd.DataFrame = field(default_factory=pd.DataFrame)


def tables(**changes: Any) -> Tables:
    """Four trials, of which the third diverged; the second is best. The last has two seeds' worth of nothing special."""
    trials = pd.DataFrame(
        {
            "trial": [0, 1, 2, 3],
            "state": ["finished", "stopped", "diverged", "finished"],
            "epochs": [3, 2, 1, 3],
            "val_accuracy": [0.91, 0.95, float("nan"), 0.93],
            "val_loss": [0.4, 0.3, float("nan"), 0.35],
            "train_loss": [0.2, 0.25, float("nan"), 0.5],
            "best_val_accuracy": [0.92, 0.96, float("nan"), 0.94],
            "best_val_accuracy_std": [0.01, 0.02, float("nan"), 0.03],
            "test_accuracy": [float("nan"), 0.955, float("nan"), float("nan")],
            "error": ["", "", "", ""],
            "lr": [0.1, 0.01, 10.0, 0.1],
            "widths": ["[64, 128]", "[64]", "[64]", "[128]"],
            "experiment": ["relu", "tanh", "none", "gelu"],
            "batch_norm": [True, False, False, False],
            "momentum": [0.9, None, None, 0.5],
        }
    )
    rows = [
        (trial, epoch, repeat, 0.9 + epoch / 100 + repeat / 1000)
        for trial, last in ((0, 3), (1, 2), (3, 3))
        for epoch in range(1, last + 1)
        for repeat in (0, 1)
    ]
    epochs = pd.DataFrame(rows, columns=["trial", "epoch", "repeat", "val_accuracy"])
    steps = pd.DataFrame({"trial": 1, "epoch": [1, 1, 2, 2], "step": [1, 2, 3, 4], "loss": [2.0, 1.0, 0.6, 0.4]})
    return Tables(**{"trials": trials, "epochs": epochs, "steps": steps, **changes})


def claim(**settings: Any) -> Claim:
    return Claim.model_validate({"claim": "It holds", "experiment": "base", **settings})
