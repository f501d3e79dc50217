"""When schedulers decide, and what population-based training changes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.studies import study
from tune_mlp.space.domains import Choice, Int, Log, Uniform
from tune_mlp.tuning.schedulers import MILESTONES, SCHEDULERS, make_scheduler, milestones, neighbour
from tune_mlp.tuning.settings import Scheduler

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # ray calls what Python deprecates


def test_every_scheduler_of_the_settings_has_an_implementation_and_milestones() -> None:
    assert SCHEDULERS.keys() == MILESTONES.keys() == Scheduler.model_fields.keys()


@pytest.mark.parametrize(
    ("scheduler", "epochs", "expected"),
    [
        ({"asha": {"grace_period": 3, "reduction_factor": 2}}, 10, (3, 6, 10)),
        ({"asha": {"grace_period": 1, "reduction_factor": 2}}, 8, (1, 2, 4, 8)),
        ({"asha": {"grace_period": 2, "reduction_factor": 1.5}}, 10, (2, 3, 5, 7, 10)),
        ({"asha": {"grace_period": 10}}, 4, (4,)),
        ("median", 3, (1, 2, 3)),
        ("hyperband", 3, (1, 2, 3)),
        ({"pbt": {"interval": 4}}, 10, (4, 8, 10)),
        ("fifo", 10, (10,)),
    ],
)
def test_trials_report_at_the_epochs_where_their_scheduler_decides(
    scheduler: Any, epochs: int, expected: tuple[int, ...]
) -> None:
    assert milestones(study(scheduler=scheduler, epochs=epochs)) == expected


def test_ashas_own_rungs_are_the_milestones() -> None:
    a_study = study(scheduler={"asha": {"grace_period": 3}}, epochs=10).bound("classification")
    rungs = sorted(rung for rung, _ in make_scheduler(a_study)._brackets[0]._rungs)
    assert rungs == [3, 6]
    assert milestones(a_study)[:-1] == (3, 6)


def test_a_neighbour_is_the_next_value_or_a_fifth_away_and_never_outside() -> None:
    choice = Choice(choice=(16, 32, 64))
    assert [neighbour(choice, 32, up) for up in (True, False)] == [64, 16]
    assert [neighbour(choice, 64, True), neighbour(choice, 16, False)] == [64, 16]
    log = Log(log=(1e-4, 1e-1))
    assert neighbour(log, 0.01, up=True) == pytest.approx(0.012)
    assert neighbour(log, 0.01, up=False) == pytest.approx(0.008)
    assert neighbour(log, 0.09, up=True) == 0.1
    assert neighbour(Uniform(uniform=(0.0, 1.0), step=0.5), 0.5, up=True) == 1.0
    assert neighbour(Int(int=(1, 9)), 9, up=True) == 9


def test_a_trial_that_takes_another_over_keeps_its_number_and_changes_only_what_may_change() -> None:
    a_study = study(scheduler="pbt").bound("classification")
    population = make_scheduler(a_study)
    draws = a_study.draws()
    mine, better = (SimpleNamespace(config={"trial": i, "seed": 10 + i, "params": next(draws)}) for i in range(2))
    changed, _ = population._get_new_config(mine, better)
    assert (changed["trial"], changed["seed"]) == (0, 10)
    assert changed["params"]["depth"] == better.config["params"]["depth"]
    assert changed["params"]["width"] == better.config["params"]["width"]
    assert changed["params"] != better.config["params"]
    again, _ = make_scheduler(a_study)._get_new_config(mine, better)
    assert again == changed, "by the study's seed, not by chance"
