"""The events of a study, as a client reads them from its stream: typed and frozen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import model_validator

from tune_mlp.records import TrialState
from tune_mlp.results.journal import Decision, Param, Reason
from tune_mlp.service.messages import Message, StudySummary


class TrialDrawn(Message):
    """A trial begins, or goes on with other settings, as population-based training gives them."""

    trial: int
    params: Mapping[str, Param]
    again: int | None = None
    """The trial of the study that a confirmation or a replay trains again."""


class EpochMetrics(Message):
    """The metrics of one epoch, as means over folds and seeds."""

    epoch: int
    metrics: Mapping[str, float | None]
    """None stands for a value that isn't finite."""

    @model_validator(mode="before")
    @classmethod
    def _of_one_object(cls, raw: Any) -> Any:
        """Read the form of the stream, in which the metrics stand beside the epoch."""
        if isinstance(raw, Mapping) and "metrics" not in raw:
            return {"epoch": raw.get("epoch"), "metrics": {name: raw[name] for name in raw if name != "epoch"}}
        return raw


class EpochsTrained(Message):
    """A trial trained some epochs."""

    trial: int
    epochs: tuple[EpochMetrics, ...]


class TrialDecided(Message):
    """The scheduler decided what a trial does after an epoch."""

    trial: int
    epoch: int
    decision: Decision
    rung: str
    """Where the decision was made, such as `bracket 0, epoch 3`."""
    value: float | None
    cutoff: float | None
    """The value that the trial had to reach."""


class TrialEnded(Message):
    """A trial is over."""

    trial: int
    state: TrialState
    reason: Reason = ""
    """What ended it early."""
    error: str = ""
    seconds: float


class StudyGone(Message):
    """The study was deleted, and its stream ends."""


StudyEvent = TrialDrawn | EpochsTrained | TrialDecided | TrialEnded | StudySummary | StudyGone

STUDY_EVENTS: dict[str, type[StudyEvent]] = {
    "trial": TrialDrawn,
    "epochs": EpochsTrained,
    "decided": TrialDecided,
    "ended": TrialEnded,
    "summary": StudySummary,
    "gone": StudyGone,
}
"""The message of each event, by the name that the stream gives it."""
