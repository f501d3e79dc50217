"""The plan: made-up costs give known forecasts, and a tiny study is calibrated for real."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.studies import study
from tune_mlp import cli
from tune_mlp.config import TrialConfig
from tune_mlp.data.sources import load_dataset
from tune_mlp.data.split import make_problem
from tune_mlp.data_settings import DataSettings
from tune_mlp.planning import calibration
from tune_mlp.planning import plan as planning
from tune_mlp.planning.calibration import Draw, Measured, line_through
from tune_mlp.planning.forecast import evenly_spaced, filled_in, products, simulations
from tune_mlp.planning.memory import family, proportional
from tune_mlp.planning.plan import Layout, Memory, Plan, candidates, costs_of, shares
from tune_mlp.planning.plan_view import advice, forecast_lines, remarks, smallest_batch
from tune_mlp.seeds import trial_seed
from tune_mlp.study.study import Study
from tune_mlp.tuning import simulation
from tune_mlp.tuning.cluster import Cluster
from tune_mlp.tuning.simulation import Cost, Simulation, simulate

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # ray calls what Python deprecates

SCHEDULERS = ["asha", "promotion_asha", "pasha", "top_k", "hyperband", "median", "pbt", "fifo"]

WAITING = ("promotion_asha", "pasha", "top_k", "hyperband")
"""Those whose last trials may go on late, while other slots have nothing left to do."""


@pytest.fixture
def idle_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the driver's costs for results and starts to zero."""
    monkeypatch.setattr(simulation, "RESULT_SECONDS", 0.0)
    monkeypatch.setattr(simulation, "BEGIN_SECONDS", 0.0)


def bound(**settings: Any) -> Study:
    return study(**settings).bound("classification")


def level(number: int, epoch: int) -> float:
    return 0.0


@pytest.mark.parametrize(
    ("slots", "seconds"),
    [(1, 100), (2, 70), (3, 50), (4, 40), (9, 40)],
)
def test_without_a_scheduler_the_time_is_that_of_all_epochs_in_the_order_of_the_draws(
    slots: int, seconds: float, idle_driver: None
) -> None:
    """1, 2, 3 and 4 seconds an epoch, 10 epochs: of two slots one takes 10 + 30 and the other 20 + 40, to 60."""
    found = simulate(bound(epochs=10), [Cost(i) for i in (1.0, 2.0, 3.0, 4.0)], slots, level)
    assert found.epochs == (10, 10, 10, 10)
    assert found.seconds == pytest.approx({2: 60}.get(slots, seconds))


def test_what_begins_and_is_written_counts_too(idle_driver: None) -> None:
    """Epochs of 2 s each make a result, so that people see progress; the last leaves no state to go on from."""
    found = simulate(bound(epochs=3), [Cost(2.0, begin=5.0, best=0.25, state=0.5)], 1, level)
    assert found.seconds == pytest.approx(5 + 3 * 2 + 3 * 0.25 + 2 * 0.5)


def test_one_driver_serves_all_slots() -> None:
    costs = [Cost(0.0)] * 100
    least = 100 * (simulation.RESULT_SECONDS + simulation.BEGIN_SECONDS)
    assert simulate(bound(trials=100), costs, 50, level).seconds >= least * 0.99


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("slots", [1, 2, 7])
def test_no_scheduler_takes_more_than_none(scheduler: str, slots: int, idle_driver: None) -> None:
    costs = [Cost(1.0 + i % 5) for i in range(20)]
    most = simulate(bound(trials=20, epochs=9), costs, slots, level)
    ways = simulations(bound(trials=20, epochs=9, scheduler=scheduler), costs, slots, {}, seconds=0.3)
    for way in ways:
        assert all(1 <= epochs <= 9 for epochs in way.epochs)
        assert way.seconds <= most.seconds + (5 * 9 if scheduler in WAITING else 1e-6)
    if scheduler not in ("pbt", "fifo"):
        assert np.mean([sum(way.epochs) for way in ways]) < 0.8 * 20 * 9
    else:
        assert ways[0].epochs == most.epochs


def test_hyperband_trains_as_many_epochs_as_it_really_did() -> None:
    """25 trials of 10 epochs, two at a time: a run of digits_quick has 140, whatever the scores."""
    way = simulate(bound(trials=25, epochs=10, scheduler="hyperband"), [Cost(0.1)] * 25, 2, lambda i, e: i % 7)
    assert sum(way.epochs) == 140


def test_asha_stops_the_worse_and_a_loss_is_better_when_it_is_small(idle_driver: None) -> None:
    asha = {"asha": {"grace_period": 1, "reduction_factor": 2}}
    for metric in ("val_accuracy", "val_loss"):
        a_study = bound(trials=8, epochs=4, scheduler=asha, metric=metric)
        best_first = simulate(a_study, [Cost(1.0)] * 8, 1, lambda number, epoch: -number)
        assert best_first.epochs == (4, 1, 1, 1, 1, 1, 1, 1)


def test_what_the_calibration_saw_makes_a_draw_likelier_to_survive() -> None:
    a_study = bound(trials=20, epochs=9, scheduler="asha")
    ways = simulations(a_study, [Cost(1.0)] * 20, 2, {i: float(i % 2) for i in range(20)}, seconds=0.5)
    epochs = np.mean([way.epochs for way in ways], axis=0)
    assert epochs[1::2].mean() > 1.3 * epochs[::2].mean()


def test_a_draw_that_diverged_ends_in_its_first_epoch(idle_driver: None) -> None:
    way = simulate(bound(epochs=10), [Cost(1.0), Cost(0.0, last_epoch=1)], 1, level)
    assert way.epochs == (10, 1)
    assert way.seconds == pytest.approx(10)


def test_draws_that_were_not_measured_follow_the_power_law_exactly() -> None:
    sizes = [(10.0 ** (i % 4 + 3), 2 ** (i % 7)) for i in range(40)]
    truth = [3e-9 * size**0.8 * batch**-0.6 for size, batch in sizes]
    measured = {i: truth[i] for i in range(0, 40, 3)}
    found = filled_in(measured, [size for size, _ in sizes], [batch for _, batch in sizes])
    assert found == pytest.approx(truth, rel=1e-6)


def test_a_law_is_never_trusted_far_beyond_what_was_measured() -> None:
    found = filled_in({0: 1.0, 1: 2.0}, [1e3, 1e4, 1e12], [1, 1, 1])
    assert found[:2] == [1.0, 2.0]
    assert found[2] <= 8.0
    assert filled_in({1: 5.0}, [1e3, 1e3, 1e3], [8, 8, 8]) == pytest.approx([5.0, 5.0, 5.0])
    assert filled_in({0: 0.0}, [1e3, 1e3], [8, 8]) == [0.0, 0.0]


def test_what_is_measured_reaches_from_the_cheapest_to_the_most_costly() -> None:
    rough = [float((i * 37) % 101) for i in range(101)]
    chosen = evenly_spaced(rough, 10)
    assert len(chosen) == 10
    assert {rough[i] for i in chosen} >= {0.0, 100.0}
    assert evenly_spaced(rough[:5], 10) == [0, 1, 2, 3, 4]


def test_multiply_adds_are_those_of_the_layers() -> None:
    assert products(TrialConfig(widths=(128, 32)), 784, 10, (28, 28)) == 784 * 128 + 128 * 32 + 32 * 10
    cnn = TrialConfig.model_validate({"model": {"name": "cnn", "channels": [8], "kernel": 5}, "widths": []})
    assert products(cnn, 784, 10, (28, 28)) == 28 * 28 * 25 * 8 + 14 * 14 * 8 * 10


def test_two_sizes_give_the_seconds_a_sample_and_those_besides() -> None:
    assert line_through(100, 3.0, 1100, 23.0) == pytest.approx((0.02, 1.0))
    assert line_through(100, 3.0, 100, 2.0) == (0.02, 0.0)
    slope, rest = line_through(100, 3.0, 1000, 2.0)  # noise: more samples in less time
    assert slope >= 0
    assert rest >= 0
    assert slope * 1000 + rest == pytest.approx(2.0)


def test_a_trial_costs_its_folds_and_seeds_and_nothing_where_it_cannot_train() -> None:
    data = DataSettings.model_validate({"name": "digits", "validation": {"folds": 5}})
    problem = make_problem(load_dataset(data, None, None, say=print), data, 0)
    one = Measured(1e-3, 1e-4, 0.5, 0.0, 0.0, 0.0, 10, 20, metric=0.5)
    draws = [Draw(i, TrialConfig(), 0) for i in range(4)]
    found = costs_of(
        bound(seeds=2, data={"validation": {"folds": 5}}),
        problem,
        draws,
        {0: one, 1: "ValueError: no", 2: replace(one, metric=None)},
    )
    train, validation = planning.fold_sizes(problem)
    assert (train + validation, len(problem.folds)) == (len(problem.dataset.x), 5)
    expected = 10 * (0.5 + train * 1e-3 + validation * 1e-4)
    assert [cost.epoch for cost in found] == pytest.approx([expected, 0.0, 0.0, expected])
    assert [cost.last_epoch for cost in found] == [None, 1, 1, None]


def test_layouts_fill_the_machine_and_never_exceed_what_was_asked_for() -> None:
    def pairs(cores: float, busy: int, **settings: Any) -> set[tuple[int, int]]:
        found = candidates(bound(trials=50, **settings), Cluster(({"CPU": cores, "GPU": 1.0},)), busy)
        assert found[0].slots == busy
        return {(layout.slots, layout.threads) for layout in found}

    assert pairs(2, 2, concurrent=None) == {(2, 1), (1, 1), (1, 2)}
    assert pairs(16, 4, resources={"cpu": 4}) == {(4, 4), (1, 4), (16, 1), (2, 8), (1, 16)}
    assert pairs(4, 2, concurrent=2) == {(2, 1), (1, 1), (2, 2), (1, 4)}
    assert pairs(4, 2, resources={"cpu": 1, "gpu": 0.5}) == {(2, 1), (1, 1)}


def a_plan(**changes: Any) -> Plan:
    """Make a plan of 10 draws of digits, of which 3 have a batch size of 1 and cost ten times as much as the others."""
    settings = {"trials": 10, "epochs": 4, "space": {"batch_size": {"choice": [1, 32]}}, **changes.pop("settings", {})}
    a_study = bound(**settings)
    problem = make_problem(load_dataset(a_study.data, None, None, say=print), a_study.data, 0)
    costs = tuple(Cost(10.0 if i < 3 else 1.0) for i in range(10))
    ways = tuple(simulations(a_study, costs, 2, {}, seconds=0.2))
    plan = Plan(
        study=a_study,
        problem=problem,
        engine="compiled",
        slots=2,
        draws=tuple({"batch_size": 1 if i < 3 else 32} for i in range(10)),
        measured=10,
        calibration=9.0,
        costs=costs,
        failures=(),
        start=5.0,
        ways=ways,
        end=1.0,
        layouts=(Layout(2, 1), Layout(1, 1, 0.5), Layout(1, 2, 0.8)),
        memory=Memory(100 << 20, 50 << 20, 2 << 20, here=True),
        disk=(3 << 20, 1 << 20),
    )
    return replace(plan, **changes)


def test_a_small_batch_is_said_to_mean_many_updates() -> None:
    plan = a_plan()
    train, _ = planning.fold_sizes(plan.problem)
    assert smallest_batch(plan) == (
        f"batch_size 1 means {train:,} updates an epoch: 3 of the 10 draws, 81% of the training time."
    )
    assert sum(shares(plan.costs, plan.ways)) == pytest.approx(1)


def test_a_batch_that_the_space_allows_and_nobody_drew_is_named() -> None:
    plan = a_plan(draws=tuple({"batch_size": 32} for _ in range(10)))
    assert smallest_batch(plan).endswith("The space allows 1, 1,150 updates; none of these draws has it.")


def test_the_forecast_adds_start_trials_and_end() -> None:
    """30 epochs of a second by seven draws, and 120 of them by three, on two slots: 4 x (10 + 10) on one of them."""
    plan = a_plan()
    assert plan.seconds == pytest.approx(5 + plan.ways[0].seconds + 1)
    lines = dict(forecast_lines(plan))
    assert lines["wall time"].startswith("about 1:2")
    assert lines["epochs"] == "about 40 of 40"
    assert lines["memory"].startswith("about 250 MiB: 2 x 100 MiB")


def test_the_end_has_the_training_of_each_net_that_is_trained_anew() -> None:
    asked = study(epochs=10, data={"validation": {"folds": 2}})
    problem = make_problem(load_dataset(asked.data), asked.data, 0)
    costs, way = [Cost(epoch=3.0, begin=0.0)] * 2, SimpleNamespace(epochs=[10, 4])

    def seconds(**settings: Any) -> float:
        given = bound(epochs=10, **settings)
        return planning._end(
            given, problem, SimpleNamespace(imports=0.0), [SimpleNamespace(evaluate=0.0)], costs, [way]
        )  # type: ignore[arg-type, list-item]

    one = 10 / 2 * 3.0 / 2  # half of the epochs, each of half of the seconds that both folds take
    plain = seconds()
    assert [seconds(retrain=nets) - plain for nets in (True, 5)] == pytest.approx([one, 5 * one])
    assert seconds(retrain=2, tested="all", trials=4) - plain == pytest.approx(4 * 2 * one)


def test_a_time_budget_caps_it_and_patience_is_said_to_shorten_it() -> None:
    plan = a_plan(settings={"time_budget": 30, "patience": 2})
    assert plan.trials_seconds == [30]
    assert plan.seconds == pytest.approx(36)
    assert "the time budget of 0:30 ends the trials" in dict(forecast_lines(plan))["epochs"]
    patient = a_plan(settings={"patience": 2})
    assert "patience=2 can only make it less" in dict(forecast_lines(patient))["epochs"]


def test_more_draws_than_are_looked_at_are_scaled_up() -> None:
    plan = a_plan(settings={"trials": 30})
    assert plan.trials_seconds == pytest.approx([3 * plan.ways[0].seconds])
    assert plan.epochs == 3 * 40


def test_the_best_layout_comes_with_the_options_that_ask_for_it() -> None:
    own = Layout(2, 1)
    assert advice((own, Layout(1, 1, 0.5), Layout(1, 2, 1.02))) == (
        "Best as it is: 2 at a time with 1 thread each, 2.0 times as fast as one alone."
    )
    assert advice((own, Layout(1, 1, 0.5), Layout(1, 2, 1.5))).startswith(
        "Best: 1 at a time with 2 threads each (--cpus 2 --concurrent 1), 1.5 times"
    )
    assert advice((Layout(1, 2), Layout(1, 1, 0.9))) == "Best as it is: 1 at a time with 2 threads each."


def test_what_was_not_foreseen_is_said() -> None:
    plan = a_plan(failures=((4, "ValueError: no"),), settings={"search": "tpe", "scheduler": "pbt"})
    plan = replace(plan, costs=(*plan.costs[:8], *[Cost(0.0, last_epoch=1)] * 2))
    said = " ".join(remarks(plan))
    assert "1 draw can't be trained; the first, 4: ValueError: no" in said
    assert "1 draw diverged" in said
    assert "random draws in their place" in said
    assert "pbt changes settings while trials train" in said


def test_memory_is_that_of_this_process_and_its_children() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert {os.getpid(), child.pid} <= set(family(os.getpid()))
    finally:
        child.communicate(b"\n")
    assert proportional(os.getpid()) > 20 << 20
    assert proportional(2**22 + 1) == 0


QUICK = ["--space", "digits_quick", "--trials", "3", "--epochs", "2", "--concurrent", "2"]


def test_a_plan_is_made_of_a_real_calibration_and_writes_nothing(
    local_ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("CALIBRATING_SECONDS", 0.3), ("PROBE_SECONDS", 0.02)):
        monkeypatch.setattr(planning, name, value)
    monkeypatch.setattr(calibration, "WARM_SECONDS", 0.0)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["plan", *QUICK, "--set", "batch_size=1"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "\x1b" not in out
    too_busy = "warning: other work keeps this machine too busy to compare ways of running the trials"
    lines = [line for line in out.splitlines() if line != too_busy]  # it depends on what else runs here
    assert lines[0].startswith("warning: asha stops nothing")
    assert lines[1] == (
        "digits_quick: digits, 1,150 to train on and 288 to validate; random search, asha, compiled engine"
    )
    assert lines[2].startswith("measured all 3 draws for a moment each, in ")
    words = [line.split("  ")[0] for line in lines]
    for word in ("wall time", "epochs", "memory", "disk"):
        assert word in words
    assert "about 6 of 6" in out
    assert "batch_size 1 means 1,150 updates an epoch: 3 of the 3 draws, 100% of the training time." in out
    assert "The most costly draw is number " in out
    assert lines[-1].startswith("Best") or too_busy in out
    assert list(tmp_path.iterdir()) == []


def test_what_no_node_can_run_is_refused_before_anything_is_measured(
    local_ray: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["plan", *QUICK, "--cpus", "64"]) == 2
    out, err = capsys.readouterr()
    assert "no node can run a trial: resources ask for cpu=64" in err
    assert err.count("\n") == 1
    assert "wall time" not in out


def test_draws_that_are_measured_are_those_that_a_run_would_make() -> None:
    a_study = bound(trials=3)
    from tune_mlp.tuning.searchers import NumberedSearcher

    searcher = NumberedSearcher(a_study)
    suggested = [searcher.suggest(str(i)) for i in range(3)]
    assert [one["params"] for one in suggested] == list(itertools.islice(a_study.draws(), 3))
    assert [one["seed"] for one in suggested] == [trial_seed(a_study.seed, i) for i in range(3)]


def test_a_single_way_stands_for_itself() -> None:
    plan = a_plan(ways=(Simulation(10.0, (4,) * 10),))
    assert "simulations" not in dict(forecast_lines(plan))["wall time"]
