"""When schedulers decide, and what population-based training changes."""

from __future__ import annotations

import logging
import pickle
import tracemalloc
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ray.tune.experiment import Trial
from ray.tune.schedulers import HyperBandScheduler, PopulationBasedTraining

from tests.studies import study
from tune_mlp.space.domains import Choice, Int, Log, Uniform
from tune_mlp.study.settings import Scheduler
from tune_mlp.tuning.brackets import one_round
from tune_mlp.tuning.population import neighbour
from tune_mlp.tuning.schedulers import MILESTONES, SCHEDULERS, make_scheduler, milestones
from tune_mlp.tuning.simulation import Cost, SimulatedController, SimulatedTrial, simulate

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # ray calls what Python deprecates


def test_every_scheduler_of_the_settings_has_an_implementation_and_milestones() -> None:
    assert SCHEDULERS.keys() == MILESTONES.keys() == Scheduler.model_fields.keys() - {"auto"}


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


class Brackets:
    """HyperBand with all of its trials added, told by hand what comes."""

    def __init__(self, trials: int, epochs: int = 9) -> None:
        self.study = study(scheduler="hyperband", trials=trials, epochs=epochs).bound("classification")
        self.scheduler = make_scheduler(self.study)
        self.controller = SimulatedController(self.scheduler)
        self.trials = [SimulatedTrial(number) for number in range(trials)]
        for trial in self.trials:
            self.controller.add(trial)

    def report(self, number: int, epoch: int) -> str:
        self.trials[number].status = Trial.RUNNING
        result = {"epoch": epoch, "val_accuracy": float(number)}
        decision: str = self.scheduler.on_trial_result(self.controller, self.trials[number], result)
        if decision == "STOP":
            self.trials[number].status = Trial.TERMINATED
        return decision

    @property
    def waiting(self) -> set[int]:
        """The trials that were let go on and wait for a worker, once those that are to stop have been stopped."""
        self.scheduler.choose_trial_to_run(self.controller)
        return {
            n for n, trial in enumerate(self.trials) if trial.status == "PAUSED" and not self.scheduler.is_paused(n)
        }


def test_hyperband_goes_on_when_the_last_trial_that_others_wait_for_ends() -> None:
    """Three trials of a bracket of nine go on to epoch 3. Two have reached it when the third ends at epoch 2 by patience."""
    brackets = Brackets(17)
    assert [brackets.report(number, 1) for number in range(8, 17)] == [*["NOOP"] * 8, "CONTINUE"]
    assert brackets.waiting == {14, 15}
    assert [brackets.report(number, 3) for number in (14, 15)] == ["NOOP", "NOOP"]
    assert brackets.waiting == set()
    brackets.trials[16].status = Trial.RUNNING
    brackets.scheduler.on_trial_complete(brackets.controller, brackets.trials[16], {"epoch": 2, "val_accuracy": 0.0})
    brackets.controller.end(brackets.trials[16])
    assert brackets.waiting == {15}
    assert brackets.trials[14].status == Trial.TERMINATED


def test_a_trial_that_loses_its_worker_stays_in_its_bracket() -> None:
    brackets = Brackets(17)
    for number in range(8, 16):
        brackets.report(number, 1)
    brackets.scheduler.on_trial_error(brackets.controller, brackets.trials[16])
    brackets.controller.add(brackets.trials[16])
    assert brackets.waiting == set()
    assert brackets.report(16, 1) == "CONTINUE"
    assert [(decided.rung, decided.competed) for decided in brackets.scheduler.decisions] == [
        ("bracket 2, epoch 1", 9)
    ] * 9


def test_a_trial_that_was_let_go_on_waits_while_as_many_run_as_may() -> None:
    """Of five trials two go on to epoch 9: the last to come, which has its worker still, and one that is paused."""
    brackets = Brackets(8)
    scheduler, controller, trials = brackets.scheduler, brackets.controller, brackets.trials
    scheduler.slots = 1
    for number in range(3):
        scheduler.on_trial_complete(controller, trials[number], {"epoch": 9, "val_accuracy": 0.0})
        controller.end(trials[number])
    assert [brackets.report(number, 3) for number in range(3, 8)] == [*["NOOP"] * 4, "CONTINUE"]
    assert brackets.waiting == {6}
    assert scheduler.choose_trial_to_run(controller) is None
    scheduler.on_trial_complete(controller, trials[7], {"epoch": 9, "val_accuracy": 0.0})
    controller.end(trials[7])
    assert scheduler.choose_trial_to_run(controller) is trials[6]


@pytest.mark.parametrize("factor", [1.5, 2.0, 2.7, 3.0, 4.0])
def test_brackets_are_those_of_rays_hyperband(factor: float) -> None:
    for epochs in (1, 2, 3, 8, 9, 10, 27, 50, 81, 100, 243):
        rays = HyperBandScheduler(max_t=epochs, reduction_factor=factor)
        theirs = []
        for s in range(rays._s_max_1):
            if rays._get_r0(s):
                bracket, milestones = rays._create_bracket(s), []
                kept = [bracket._n]
                while bracket._halves:
                    milestones.append(bracket._cumul_r)
                    bracket.successive_halving("", 1.0)
                    kept.append(bracket._n)
                theirs.append((s, kept, tuple(milestones)))
        ours = [
            (bracket.name, [bracket.kept(count) for count in range(len(bracket.milestones) + 1)], bracket.milestones)
            for bracket in one_round(epochs, factor)
        ]
        assert ours == theirs, epochs


@pytest.mark.parametrize("seed", range(5))
def test_the_worst_and_the_best_of_a_population_are_those_that_ray_takes(seed: int) -> None:
    random = np.random.default_rng(seed)
    for count in range(1, 20):
        quantile = float(random.choice([0.1, 0.25, 0.4, 0.5]))
        asked = study(scheduler={"pbt": {"quantile": quantile}}, trials=count).bound("classification")
        rays = PopulationBasedTraining(
            time_attr="epoch",
            metric="val_accuracy",
            mode="max",
            quantile_fraction=quantile,
            custom_explore_fn=lambda config: config,
        )
        ours = make_scheduler(asked)
        for number in range(count):
            score, over = float(random.integers(0, 6)), bool(random.random() < 0.2)
            ours._enter(number, 1, score)
            trial = SimulatedTrial(number)
            trial.is_finished = lambda over=over: over  # type: ignore[attr-defined]  # Ray asks for it
            rays._trial_state[trial] = SimpleNamespace(last_score=score)
            if over:
                ours._over(number)
        assert ours._quantiles() == tuple([int(trial.trial_id) for trial in part] for part in rays._quantiles())


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


def test_a_trial_that_takes_another_over_changes_only_what_may_change() -> None:
    a_study = study(scheduler="pbt").bound("classification")
    population = make_scheduler(a_study)
    params = next(a_study.draws())
    changed = population.changed(0, 1, params)
    assert changed["depth"] == params["depth"]
    assert changed["width"] == params["width"]
    assert changed != params
    assert make_scheduler(a_study).changed(0, 1, params) == changed, "by the study's seed, not by chance"
    assert population.changed(0, 2, params) != changed


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
