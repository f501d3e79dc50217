"""What other settings of the scheduler would have saved and lost on recorded curves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.followup.exhaustive import Table, power_laws, stopped_by
from tests.studies import study
from tune_mlp.followup.other_settings import Recorded, compare_settings, described, same_as_recorded, settings_to_try
from tune_mlp.tuning.simulation import Cost, simulate

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # ray calls what Python deprecates

ASHA: dict[str, Any] = {"asha": {"grace_period": 3, "reduction_factor": 2}}


def recorded(table: Table, scheduler: Any, mode: str = "max") -> Recorded:
    curves = stopped_by(table, scheduler)
    bound = study(scheduler=scheduler, epochs=table.shape[1], trials=len(table)).bound("classification")
    return Recorded(bound, curves, float(np.nanmax(curves.values)), 4)


def rows(run: Recorded) -> pd.DataFrame:
    return compare_settings(run).set_index("setting")


def test_on_exhaustive_curves_nothing_is_unknown_and_each_row_is_what_the_scheduler_really_does() -> None:
    table = power_laws(40, 10, np.random.default_rng(0))
    found = rows(recorded(table, "fifo"))
    assert set(found["unknown"]) == {0}
    assert (found["epochs_saved_low"] == found["epochs_saved_high"]).all()
    asha = {"asha": {"grace_period": 1, "reduction_factor": 4}}
    for settings in (asha, {"median": {"grace_period": 2}}, {"hyperband": {}}):
        bound = study(scheduler=settings, epochs=10, trials=40).bound("classification")
        way = simulate(bound, [Cost(1.0)] * 40, 4, lambda number, epoch: float(table[number, epoch - 1]))
        row = found.loc[described(bound.scheduler)]
        trained = np.arange(10) < np.array(way.epochs)[:, None]
        assert row["epochs_saved_low"] == row["seconds_saved_high"] == 400 - sum(way.epochs)
        assert row["lost_at_most"] == pytest.approx(table.max() - table[trained].max())


def test_fifo_saves_and_loses_nothing() -> None:
    row = rows(recorded(power_laws(20, 8, np.random.default_rng(0)), "fifo")).loc["fifo"]
    assert (row["epochs_saved_low"], row["seconds_saved_high"], row["lost_at_most"], row["unknown"]) == (0, 0, 0, 0)


def test_a_plain_cut_loses_the_trial_that_begins_slowly() -> None:
    table = np.tile(np.linspace(0.5, 0.8, 10)[:, None], 8)
    table[0] = [0.1, 0.1, 0.1, 0.9, 0.9, 0.9, 0.9, 0.9]
    found = rows(recorded(table, "fifo"))
    row = found.loc["best 50% go on after epoch 2"]
    assert row["epochs_saved_low"] == 5 * 6
    assert row["lost_at_most"] == pytest.approx(0.1)


def test_what_stopped_curves_do_not_say_is_counted_and_the_truth_is_within_what_is_said() -> None:
    table = power_laws(24, 12, np.random.default_rng(2))
    run, whole = recorded(table, ASHA), recorded(table, "fifo")
    found, truth = rows(run), rows(whole).reindex(rows(run).index)
    assert found.loc["fifo", "unknown"] == run.curves.stopped.sum()
    assert found.loc[described(run.study.scheduler), "unknown"] == 0
    assert (found["unknown"] > 0).sum() > 5
    known, both = found["unknown"] == 0, truth["unknown"].notna()
    assert (found["epochs_saved_low"] <= truth["epochs_saved_low"])[both].all()
    assert (found["epochs_saved_high"] >= truth["epochs_saved_low"])[both].all()
    better_than_recorded = whole.winner - run.winner
    lost = truth["lost_at_most"] - better_than_recorded
    assert np.allclose(found["lost_at_most"][known & both], lost[known & both])
    assert (found["lost_at_most"] >= lost - 1e-9)[both].all()


def test_the_runs_own_setting_gives_every_trial_the_epochs_that_it_had() -> None:
    run = recorded(power_laws(40, 12, np.random.default_rng(2)), ASHA)
    assert same_as_recorded(run, run.curves) == 40


def test_a_trial_that_ended_by_itself_is_never_unknown() -> None:
    table = power_laws(20, 8, np.random.default_rng(0))
    table[3, 2:] = np.nan  # it diverges in epoch 3
    run = recorded(table, "fifo")
    curves = run.curves
    for name, value in {"recorded": 3, "whole": True, "able": False}.items():
        getattr(curves, name)[3] = value
    found = rows(run)
    assert set(found["unknown"]) == {0}
    assert run.trained_to_end[3] == 3


@pytest.mark.parametrize("epochs", [1, 2, 3, 40])
def test_settings_fit_the_epochs_and_none_comes_twice(epochs: int) -> None:
    settings = settings_to_try(study(scheduler="asha", epochs=epochs).bound("classification"))
    names = [setting.name for setting in settings]
    assert len(set(names)) == len(names)
    assert all(setting.cut < epochs for setting in settings)


def test_the_median_rule_is_not_tried_where_it_takes_minutes() -> None:
    def names(trials: int) -> set[str]:
        asked = study(scheduler="asha", trials=trials, epochs=10).bound("classification")
        return {setting.name.partition(",")[0] for setting in settings_to_try(asked)}

    assert "median" in names(200)
    assert "median" not in names(1000)
