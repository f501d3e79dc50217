"""Records of a trial: an EpochRecord for each epoch and fold, and the state in which the trial ended."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NamedTuple, Protocol

Task = Literal["classification", "regression"]
Mode = Literal["min", "max"]
ENGINE_NAMES = ("eager", "compiled")
"""The engines that train; a study may also ask for `auto`, which chooses one of them."""


class Say(Protocol):
    """Shows a person one line, in a style such as `yellow`."""

    def __call__(self, line: str, style: str = "") -> None: ...


SCORES: dict[Task, tuple[str, ...]] = {
    "classification": ("loss", "accuracy"),
    "regression": ("loss", "rmse", "r2"),
}
"""The scores of each task, measured on the training, validation and test part; a metric is named `PART_SCORE`."""

FURTHER_SCORES: dict[Task, tuple[str, ...]] = {
    "classification": ("balanced_accuracy", "macro_f1", "roc_auc", "log_loss"),
    "regression": ("mae",),
}
"""The scores that are measured where a study asks for them, on the validation and the test part."""

BETTER: dict[str, Mode] = {
    "loss": "min",
    "accuracy": "max",
    "rmse": "min",
    "r2": "max",
    "balanced_accuracy": "max",
    "macro_f1": "max",
    "roc_auc": "max",
    "log_loss": "min",
    "mae": "min",
}
"""The direction in which each score is better."""


Metric = Literal[
    "val_loss",
    "val_accuracy",
    "val_balanced_accuracy",
    "val_macro_f1",
    "val_roc_auc",
    "val_log_loss",
    "val_rmse",
    "val_r2",
    "val_mae",
]
"""The metrics that trials can be ranked by: each score of each task, on the validation part."""
DEFAULT_METRIC: dict[Task, Metric] = {"classification": "val_accuracy", "regression": "val_rmse"}
GoalName = Literal[Metric, "weights", "train_seconds"]
"""What a study can have as a goal: a metric, or what a trial costs, which are columns of the table of trials."""
COSTS = ("weights", "train_seconds")
"""The goals that are no metrics; less of each is better."""


class Goal(NamedTuple):
    """One of the goals of a study, and whether its smallest or its largest value is best."""

    name: str
    mode: Mode


def usual_goal(name: str) -> Goal:
    """Return a goal in its usual direction."""
    return Goal(name, "min" if name in COSTS else BETTER[name.removeprefix("val_")])


def goal_values(
    goals: Iterable[Goal], metrics: Mapping[str, float], weights: int, train_seconds: float
) -> tuple[float, ...]:
    """Return a trial's value of each goal, given its metrics in one epoch and what it cost so far."""
    known = {**metrics, "weights": float(weights), "train_seconds": train_seconds}
    return tuple(known[goal.name] for goal in goals)


def metric_names(task: Task, part: str, further: Sequence[str] = ()) -> list[str]:
    """Return the names of a part's metrics: `metric_names("classification", "val") == ["val_loss", "val_accuracy"]`.

    `further` are the scores that are measured beside those of the task.
    """
    return [f"{part}_{score}" for score in (*SCORES[task], *further)]


def further_scores(metrics: Iterable[str]) -> tuple[str, ...]:
    """Return the further scores among these metrics: `further_scores(["val_loss", "val_roc_auc"]) == ("roc_auc",)`."""
    named = dict.fromkeys(metric.removeprefix("val_") for metric in metrics)
    return tuple(score for score in named if any(score in scores for scores in FURTHER_SCORES.values()))


def metrics_to_rank_by(task: Task) -> list[str]:
    """Return the metrics that a study of this task can rank its trials by."""
    return metric_names(task, "val", FURTHER_SCORES[task])


class TrialState(StrEnum):
    """How a trial ended."""

    FINISHED = "finished"
    """It trained all its epochs, or its patience ran out."""
    STOPPED = "stopped"
    """The scheduler or the time budget ended it early."""
    DIVERGED = "diverged"
    """A loss, a metric or a weight became non-finite."""
    FAILED = "failed"
    """It raised; the table's `error` says what."""


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """One epoch of one fold; `metrics` holds `train_*` and `val_*`."""

    epoch: int
    """Counted from 1."""
    fold: int
    """Counted from 0; a hold-out split is fold 0 of one."""
    metrics: Mapping[str, float]
    steps: int
    """Weight updates in this epoch."""
    train_seconds: float
    seconds: float
    """Training and evaluation together."""
    repeat: int = 0
    """Which of a trial's seeds, counted from 0."""

    @property
    def finite(self) -> bool:
        return all(math.isfinite(value) for value in self.metrics.values())


def mean_metrics(records: Sequence[EpochRecord]) -> dict[str, float]:
    """Return the mean of each metric over folds and seeds, for the records of one epoch."""
    if len(records) == 1:
        return {name: value + 0.0 for name, value in records[0].metrics.items()}  # a mean is never -0.0
    return {name: _mean([record.metrics[name] for record in records]) for name in records[0].metrics}


def _mean(values: Sequence[float]) -> float:
    try:
        return math.fsum(values) / len(values)
    except (ValueError, OverflowError):  # fsum refuses inf - inf, and a sum beyond the largest float
        return sum(values) / len(values)


def spread(values: Sequence[float]) -> float:
    """Return the standard deviation of a sample of values, one for each seed; NaN for a single value."""
    if len(values) < 2 or not all(map(math.isfinite, values)):
        return math.nan
    return statistics.stdev(values)


def better(candidate: float, best: float | None, mode: Mode) -> bool:
    """Return True if `candidate` is strictly better. A NaN never is, and any finite value is better than None."""
    if not math.isfinite(candidate):
        return False
    if best is None:
        return True
    return candidate > best if mode == "max" else candidate < best


LAST_RANK = (math.inf, math.inf)
"""What `rank` gives where there is no finite metric."""


def rank(value: float, val_loss: float, mode: Mode) -> tuple[float, float]:
    """Return a key that sorts epochs or trials best first: by the metric's value, and equal ones by their validation loss.

    What is still equal is told apart by the caller: epochs by their number, trials by their weights and their number.
    """
    if not math.isfinite(value):
        return LAST_RANK
    return -value if mode == "max" else value, val_loss if math.isfinite(val_loss) else math.inf


def best_of(values: Iterable[float], mode: Mode) -> int | None:
    """Return the index of the best finite value, the first of equals; None if no value is finite."""
    index, best = None, None
    for i, value in enumerate(values):
        if better(value, best, mode):
            index, best = i, value
    return index
