"""A report goes through Ray's dict and comes back whole; schedulers see finite values only."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tune_mlp.records import EpochRecord, TrialState
from tune_mlp.runs.history import WORST
from tune_mlp.tuning.report import TAKEN, Report


def record(epoch: int, fold: int, value: float) -> EpochRecord:
    return EpochRecord(epoch, fold, {"val_loss": value}, 1, 0.1, 0.1)


def report(**changes: Any) -> Report:
    facts = {"epoch": 2, "state": TrialState.STOPPED, "node": "here", "seconds": 1.5} | changes
    return Report(**facts)


def test_a_report_comes_back_from_ray_as_it_was() -> None:
    sent = report(
        records=[record(1, 0, 0.5), record(2, 0, 0.25)],
        best=0.25,
        weights=7,
        weights_digest="ab",
        error="an error",
        note="a note",
        files={"state.pt": b"x"},
    )
    result = sent.to_ray("val_loss", "min")
    assert Report.take(result) == sent
    assert not set(TAKEN) & set(result), "Ray needn't keep them"


def test_the_curve_has_the_mean_over_the_folds_of_each_epoch() -> None:
    sent = report(records=[record(1, 0, 1.0), record(1, 1, 3.0), record(2, 0, 0.5), record(2, 1, 0.5)])
    result = sent.to_ray("val_loss", "min")
    assert result["curve"] == [(1, 2.0), (2, 0.5)]
    assert result["val_loss"] == 0.5


@pytest.mark.parametrize(("mode", "worst"), [("min", WORST), ("max", -WORST)])
@pytest.mark.parametrize(
    ("state", "value"),
    [(TrialState.STOPPED, math.nan), (TrialState.DIVERGED, 0.5), (TrialState.FAILED, 0.5), (TrialState.STOPPED, None)],
)
def test_a_trial_without_a_metric_is_worst_to_a_scheduler(
    mode: Any, worst: float, state: TrialState, value: Any
) -> None:
    records = [] if value is None else [record(1, 0, value)]
    assert report(state=state, records=records).to_ray("val_loss", mode)["val_loss"] == worst


@pytest.mark.parametrize("state", list(TrialState))
def test_only_a_stopped_trial_may_go_on(state: TrialState) -> None:
    assert report(state=state).to_ray("val_loss", "min")["done"] is (state is not TrialState.STOPPED)
