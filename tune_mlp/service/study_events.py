"""The events of a study that its stream tells of, as typed and frozen messages; the server writes them, and the client reads them."""

from __future__ import annotations

from collections.abc import Mapping

from tune_mlp.records import TrialState
from tune_mlp.results.journal import Decision, Param
from tune_mlp.service.messages import Message, StudySummary


class TrialDrawn(Message):
    """A trial begins, or goes on with other settings, as population-based training gives them."""

    trial: int
    params: Mapping[str, Param]


class EpochMetrics(Message):
    """The metrics of one epoch, as means over folds and seeds."""

    epoch: int
    metrics: Mapping[str, float | None]
    """None stands for a value that isn't finite."""


class EpochsTrained(Message):
    """A trial trained some epochs."""

    trial: int
    epochs: tuple[EpochMetrics, ...]
    best: float | None = None
    """The trial's best value so far of the metric that the study ranks by."""


class TrialDecided(Message):
    """The scheduler decided what a trial does after an epoch."""

    trial: int
    epoch: int
    decision: Decision
    rung: str
    value: float | None = None
    cutoff: float | None = None


class TrialEnded(Message):
    """A trial is over."""

    trial: int
    state: TrialState
    error: str = ""
    best: float | None = None
    """The trial's best value of the metric that the study ranks by; None where it can't be best."""


class StudyGone(Message):
    """The study was deleted, and its stream ends."""

    name: str


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
