"""When schedulers decide, and what population-based training changes."""

from __future__ import annotations

import logging
import pickle
import tracemalloc
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.experiment import Trial

from tests.studies import study
from tune_mlp.space.domains import Choice, Int, Log, Uniform
from tune_mlp.study.settings import Scheduler
from tune_mlp.tuning.ray_compat.schedulers import neighbour
from tune_mlp.tuning.schedulers import MILESTONES, SCHEDULERS, make_scheduler, milestones
from tune_mlp.tuning.simulation import Cost, SimulatedController, SimulatedTrial, simulate

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
        ({"promotion_asha": {"grace_period": 1, "reduction_factor": 3}}, 10, (1, 3, 9, 10)),
        ({"pasha": {"grace_period": 2, "reduction_factor": 2}}, 9, (2, 4, 8, 9)),
        ({"top_k": {"after": 3}}, 10, (3, 10)),
        ({"top_k": {"after": 10}}, 10, (10,)),
        ("median", 3, (1, 2, 3)),
        ("hyperband", 3, (1, 3)),
        ("hyperband", 27, (1, 3, 9, 27)),
        ({"hyperband": {"reduction_factor": 1.5}}, 10, (1, 2, 3, 4, 6, 10)),
        ({"pbt": {"interval": 4}}, 10, (4, 8, 10)),
        ("fifo", 10, (10,)),
    ],
)
def test_trials_report_at_the_epochs_where_their_scheduler_decides(
    scheduler: Any, epochs: int, expected: tuple[int, ...]
) -> None:
    assert tuple(milestones(study(scheduler=scheduler, epochs=epochs))) == expected


@pytest.mark.parametrize(
    "scheduler", ["asha", "promotion_asha", "pasha", "top_k", "hyperband", "median", "pbt", "fifo"]
)
def test_milestones_take_no_memory_for_their_number(scheduler: str) -> None:
    a_study = study(scheduler=scheduler, epochs=999_999)
    tracemalloc.start()
    try:
        found = milestones(a_study)
        assert found.after(999_998) == 999_999
        assert found.after(0) >= 1
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
        assert len(pickle.dumps(found)) < 10_000, "it is sent to every worker"
    finally:
        tracemalloc.stop()


def test_ashas_own_rungs_are_the_milestones() -> None:
    a_study = study(scheduler={"asha": {"grace_period": 3}}, epochs=10).bound("classification")
    rungs = sorted(rung for rung, _ in make_scheduler(a_study)._brackets[0]._rungs)
    assert rungs == [3, 6]
    assert tuple(milestones(a_study)) == (3, 6, 10)


@pytest.mark.parametrize("slots", [1, 2, 3, 8, 40])
def test_hyperband_halves_whole_brackets_however_few_run_at_once(slots: int) -> None:
    """40 trials of which each is better than those before: brackets of 4, 6, 12 and, of 27, the 18 that are left."""
    a_study = study(scheduler="hyperband", trials=40, epochs=27).bound("classification")
    found = simulate(a_study, [Cost(0.01)] * 40, slots, lambda number, epoch: number).epochs
    assert found[:4] == (27,) * 4
    assert found[4:10] == (9,) * 4 + (27,) * 2
    assert found[10:22] == (3,) * 8 + (9,) * 2 + (27,) * 2
    assert found[22:] == (1,) * 9 + (3,) * 6 + (9,) * 2 + (27,)


def test_hyperband_does_not_wait_for_draws_that_a_plan_leaves_out() -> None:
    def found(trials: int) -> tuple[int, ...]:
        a_study = study(scheduler="hyperband", trials=trials, epochs=27).bound("classification")
        return simulate(a_study, [Cost(0.01)] * 15, 2, lambda number, epoch: number).epochs

    assert found(5000) == found(15)


def test_hyperband_goes_on_when_the_last_trial_that_others_wait_for_ends() -> None:
    """Three trials of a bracket of nine go on to epoch 3. Two have reached it when the third ends at epoch 2 by patience."""
    a_study = study(scheduler="hyperband", trials=17, epochs=9).bound("classification")
    scheduler = make_scheduler(a_study)
    controller = SimulatedController(scheduler)
    trials = [SimulatedTrial(number) for number in range(17)]
    for trial in trials:
        controller.add(trial)

    def report(number: int, epoch: int) -> None:
        trials[number].status = Trial.RUNNING
        decision = scheduler.on_trial_result(controller, trials[number], {"epoch": epoch, "val_accuracy": number})
        trials[number].status = {"PAUSE": Trial.PAUSED, "STOP": Trial.TERMINATED}.get(decision, Trial.RUNNING)

    last = range(8, 17)
    for number in last:
        report(number, 1)
    for number in (14, 15):
        report(number, 3)
    assert trials[15].status == Trial.PAUSED
    trials[16].status = Trial.RUNNING
    scheduler.on_trial_complete(controller, trials[16], {"epoch": 2, "val_accuracy": 0.0})
    chosen = {number for number in last if trials[number] in scheduler._trial_info[trials[number]][0].trials_to_unpause}
    assert chosen == {15}


def test_hyperband_leaves_no_trial_paused_that_is_ahead_of_its_brackets_milestones() -> None:
    """A resumed trial comes at epoch 3 to a bracket that it is alone in, and that halves at epochs 1 and 3."""
    a_study = study(scheduler="hyperband", trials=9, epochs=9).bound("classification")
    scheduler = make_scheduler(a_study)
    controller = SimulatedController(scheduler)
    trials = [SimulatedTrial(number) for number in range(9)]
    for trial in trials:
        controller.add(trial)
    trials[8].status = Trial.RUNNING
    assert scheduler.on_trial_result(controller, trials[8], {"epoch": 3, "val_accuracy": 0.5}) == "CONTINUE"
    assert [(decided.rung, decided.competed) for decided in scheduler.decisions] == [("bracket 2, epoch 3", 1)] * 2


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


def test_a_simulation_leaves_no_log_of_rays() -> None:
    """HyperBand logs "Bracket too small" where so few epochs leave no room for one."""
    said: list[str] = []
    ray = logging.getLogger("ray")
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    level = ray.level
    ray.addHandler(handler)
    ray.setLevel(logging.INFO)
    try:
        a_study = study(scheduler={"hyperband": {"reduction_factor": 3}}, epochs=8, trials=40).bound("classification")
        simulate(a_study, [Cost(0.01)] * 40, 4, lambda number, epoch: number)
        assert said == []
        assert ray.level == logging.INFO
    finally:
        ray.removeHandler(handler)
        ray.setLevel(level)
