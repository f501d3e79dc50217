"""What a search that learns is told of trials that wait at a rung or were let go on, and that a resume draws the same."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from ray.tune.experiment import Trial

from tests.studies import study
from tests.tuning.played_runs import World, play, play_on
from tune_mlp.results.journal import Decided, Drawn
from tune_mlp.results.journal_reader import read
from tune_mlp.tuning.pausing import PausingScheduler
from tune_mlp.tuning.schedulers import make_scheduler
from tune_mlp.tuning.searchers import NumberedSearcher
from tune_mlp.tuning.simulation import SimulatedController, SimulatedTrial

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # ray calls what Python deprecates

PAUSING: dict[str, Any] = {
    "promotion_asha": {"promotion_asha": {"reduction_factor": 2}},
    "pasha": {"pasha": {"reduction_factor": 2}},
    "top_k": {"top_k": {"after": 2, "keep": 4}},
}
SPACE = {"lr": {"log": [1e-4, 1e-1]}, "dropout": {"uniform": [0.0, 0.9]}}


class Rungs:
    """A search whose trials come to rungs when a test says so."""

    def __init__(self, search: Any, factor: int = 4) -> None:
        scheduler = {"promotion_asha": {"reduction_factor": factor}}
        asked = study(search=search, space=SPACE, scheduler=scheduler, epochs=9, trials=100).bound("classification")
        found = make_scheduler(asked, 100)
        assert isinstance(found, PausingScheduler)
        self.scheduler, self.searcher = found, NumberedSearcher(asked, pausing=found)
        self.controller = SimulatedController(found)
        self.trials: list[SimulatedTrial] = []

    def draw(self) -> dict[str, Any]:
        trial = SimulatedTrial(len(self.trials))
        config = self.searcher.suggest(trial.trial_id)
        self.trials.append(trial)
        self.controller.add(trial)
        params: dict[str, Any] = config["params"]
        return params

    def come(self, number: int, epoch: int, score: float) -> str:
        """Bring a trial to an epoch with a score, as Ray does."""
        trial = self.trials[number]
        trial.status = Trial.RUNNING
        result = {"epoch": epoch, "val_accuracy": score, "curve": [(epoch, score)]}
        decision = self.scheduler.on_trial_result(self.controller, trial, result)
        self.searcher.on_trial_result(trial.trial_id, result)
        return str(decision)

    def told(self) -> list[tuple[str, dict[int, float], float | None]]:
        records = self.searcher._source._told(self.searcher._at_rungs())
        return [(one.state.name, one.intermediate_values, one.value) for one in records.values()]


def test_tpe_takes_a_trial_at_a_rung_as_one_that_was_stopped_there() -> None:
    """Also while it trains on: what it has trained since its last rung depends on the moment, and isn't told."""
    rungs = Rungs("tpe", factor=2)
    for _ in range(3):
        rungs.draw()
    assert [rungs.come(0, 1, 0.5), rungs.come(1, 1, 0.7)] == ["NOOP", "CONTINUE"], "the better of two goes on"
    stand = [("PRUNED", {1: 0.5}, None), ("PRUNED", {1: 0.7}, None), ("RUNNING", {}, None)]
    assert rungs.told() == stand
    for trial, epoch in (("1", 2), ("2", 1)):  # as if a person wanted to see progress
        rungs.searcher.on_trial_result(trial, {"curve": [(epoch, 0.9)]})
    assert rungs.told() == stand
    assert rungs.come(1, 2, 0.8) == "NOOP"
    assert rungs.told()[1] == ("PRUNED", {1: 0.7, 2: 0.8}, None)


def test_a_search_that_learns_from_complete_trials_takes_a_trial_at_a_rung_with_its_best_value() -> None:
    rungs = Rungs("gp")
    rungs.draw()
    rungs.come(0, 1, 0.5)
    assert rungs.told() == [("COMPLETE", {}, 0.5)]
    rungs.searcher.on_trial_complete("0")  # the scheduler stops it while it waits, and Ray has no result
    assert rungs.told() == [("COMPLETE", {}, 0.5)]


def test_tpe_learns_from_trials_of_which_none_has_ended() -> None:
    """Its draws lie nearer to the optimum than chance, whose mean distance is 0.78, though all trials wait at the first rung."""
    rungs, distances = Rungs({"tpe": {"startup": 5}}, factor=100), []
    for number in range(40):
        params = rungs.draw()
        distances.append(abs(math.log10(params["lr"]) + 2.2))
        assert rungs.come(number, 1, 1 - distances[-1]) == "NOOP"
    assert sum(distances[10:]) / 30 < 0.6


@pytest.mark.parametrize("name", PAUSING)
def test_a_search_that_was_killed_draws_as_one_that_was_not(name: str, tmp_path: Path) -> None:
    asked = study(scheduler=PAUSING[name], search={"tpe": {"startup": 3}}, trials=12, epochs=9)
    whole = read(play(World(tmp_path / "whole", slots=1), asked) / "journal.jsonl")
    drawn = [event.params for event in whole if isinstance(event, Drawn)]
    paused = next(place for place, event in enumerate(whole) if isinstance(event, Decided) and event.trial == 4)
    for lines in (paused + 1, 2 * len(whole) // 3):
        world = World(tmp_path / f"killed-{lines}", slots=1)
        play(world, asked, kill_after=lines)
        again = read(play_on(world) / "journal.jsonl")
        assert [event.params for event in again if isinstance(event, Drawn)] == drawn
