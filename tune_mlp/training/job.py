"""A train job: all that decides what a trainer trains. The same job gives the same weights wherever it is trained again."""

from __future__ import annotations

from dataclasses import dataclass

from tune_mlp.config import TrialConfig
from tune_mlp.data.dataset import Problem
from tune_mlp.engines.base import Engine
from tune_mlp.errors import UsageError
from tune_mlp.records import Mode, metric_names


@dataclass(frozen=True)
class TrainJob:
    """One configuration on one problem, to be trained by one engine from one seed or several.

    `dataclasses.replace(job, seed=..., epochs=...)` describes the same training from another seed or for longer.
    """

    config: TrialConfig
    problem: Problem
    engine: Engine
    seed: int
    """The trial's seed; its folds' and its repetitions' seeds are derived from it."""
    metric: str
    """The metric that decides which epoch is the best, such as `val_loss`."""
    mode: Mode
    epochs: int
    """The training ends after this number of epochs at the latest."""
    patience: int | None = None
    """The training ends after this number of epochs in a row without a better metric; None lets all epochs run."""
    seeds: int = 1
    """The number of repetitions, each from a seed of its own; the metric is their mean."""
    further: tuple[str, ...] = ()
    """The scores that are measured beside those of the task, on the validation and the test part."""
    keep_steps: bool = False
    """Keep the loss of each step."""
    device: str = "cpu"

    def __post_init__(self) -> None:
        task = self.problem.dataset.task
        names = metric_names(task, "train") + metric_names(task, "val", self.further)
        if self.metric not in names:
            raise UsageError(f"metric: {task} has {', '.join(names)}, got {self.metric}")
