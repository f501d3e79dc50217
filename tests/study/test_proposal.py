"""The study that is proposed for a table fits its size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tune_mlp.data.profile import profile_table
from tune_mlp.data_settings import DataSettings
from tune_mlp.study.proposal import propose_study
from tune_mlp.study.study import Study


@pytest.mark.parametrize(
    ("rows", "epochs", "scheduler", "retrain", "validation"),
    [
        (1_999, 200, "fifo", 5, {"folds": 5}),
        (2_000, 100, "fifo", 5, 0.2),
        (9_999, 100, "fifo", 5, 0.2),
        (10_000, 100, "asha", True, 0.2),
        (50_001, 20, "asha", True, 0.2),
    ],
)
def test_trials_on_few_rows_are_never_stopped_and_the_winner_is_an_average(
    rows: int, epochs: int, scheduler: str, retrain: bool | int, validation: Any, tmp_path: Path
) -> None:
    size = np.random.default_rng(0).normal(0, 1, rows).round(3)
    pd.DataFrame({"size": size, "kind": np.where(size > 0, "x", "y")}).to_csv(tmp_path / "t.csv", index=False)
    profile = profile_table(DataSettings(name=f"csv:{tmp_path}/t.csv"), tmp_path)
    study = Study.from_text(propose_study(profile, tmp_path / "s.yaml"))
    assert (study.epochs, study.scheduler.name, study.retrain) == (epochs, scheduler, retrain)
    assert study.data.model_dump()["validation"] == validation
