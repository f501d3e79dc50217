"""A trial's report: what a worker tells the driver after some epochs. It is a typed value on both sides, and a dict for Ray only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tune_mlp.records import EpochRecord, Mode, TrialState, mean_metrics
from tune_mlp.runs.history import WORST

TAKEN = ("records", "files", "note", "outcomes")
"""What the driver takes out of a result, so that Ray doesn't keep it."""


@dataclass(frozen=True)
class Report:
    """What a worker tells of a trial after it has trained some epochs, or couldn't."""

    epoch: int
    state: TrialState
    """The trial's state if nothing more is heard of it: stopped, unless it ended by itself."""
    node: str
    seconds: float
    """The trial's wall time in this worker."""
    records: Sequence[EpochRecord] = ()
    """The epochs that the driver may not know yet."""
    best: float | None = None
    """The metric of the trial's best epoch."""
    weights: int = 0
    weights_digest: str = ""
    error: str = ""
    """Why the trial failed. If the state isn't `failed`, the error is the run's, for example a full disk."""
    note: str = ""
    """A warning for the person who runs the study."""
    files: dict[str, bytes] | None = None
    """Files that the worker couldn't write, by name."""
    goals: tuple[float, ...] | None = None
    """The value of each goal after the last epoch, of a study that has several."""
    best_goals: tuple[float, ...] | None = None
    """The value of each goal as of the best epoch."""
    outcomes: bytes = b""
    """The line of the best epoch's outcomes; empty where the driver has it."""

    def curve(self, metric: str) -> list[tuple[int, float]]:
        """Return the metric of each epoch, the mean over its folds."""
        by_epoch: dict[int, list[EpochRecord]] = {}
        for record in self.records:
            by_epoch.setdefault(record.epoch, []).append(record)
        return [(number, mean_metrics(group)[metric]) for number, group in by_epoch.items()]

    def to_ray(self, metric: str, mode: Mode) -> dict[str, Any]:
        """Return the report as the result that Ray Tune's schedulers see. Their value is finite: see WORST."""
        curve = self.curve(metric)
        value = curve[-1][1] if curve else math.nan
        bad = self.state in (TrialState.DIVERGED, TrialState.FAILED) or not math.isfinite(value)
        if bad:
            value = -WORST if mode == "max" else WORST
        return {
            "epoch": self.epoch,
            metric: value,
            "state": self.state.value,
            "done": self.state is not TrialState.STOPPED,
            "curve": curve,
            "best": self.best,
            "goals": None if bad else self.goals,
            "best_goals": self.best_goals,
            "records": list(self.records),
            "weights": self.weights,
            "weights_digest": self.weights_digest,
            "node": self.node,
            "seconds": self.seconds,
            "error": self.error,
            "note": self.note,
            "files": self.files or {},
            "outcomes": self.outcomes,
        }

    @classmethod
    def take(cls, result: dict[str, Any]) -> Report:
        """Read a result of Ray Tune's, and take out of it what Ray need not carry any further."""
        taken = {name: result.pop(name) for name in TAKEN}
        return cls(
            epoch=result["epoch"],
            state=TrialState(result["state"]),
            node=result["node"],
            seconds=result["seconds"],
            best=result["best"],
            goals=result["goals"],
            best_goals=result["best_goals"],
            weights=result["weights"],
            weights_digest=result["weights_digest"],
            error=result["error"],
            **taken,
        )
