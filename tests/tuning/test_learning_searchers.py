"""Searches that learn, and quasi-random search: what they find, what they refuse, and that a resume draws the same."""

from __future__ import annotations

import math
from itertools import islice
from typing import Any

import pytest

from tests.studies import study
from tune_mlp.errors import StudyError
from tune_mlp.records import TrialState
from tune_mlp.results.journal import Drawn, Ended
from tune_mlp.runs.history import NO_HISTORY, History
from tune_mlp.tuning.searchers import NumberedSearcher

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # ray calls what Python deprecates

NUMBERS: dict[str, Any] = {
    "lr": {"log": [1e-4, 1e-1]},
    "dropout": {"uniform": [0.0, 0.9]},
    "weight_decay": {"log": [1e-6, 1e-1]},
}


def score(params: dict[str, Any]) -> float:
    """Return a made-up accuracy with its maximum, 1, at a rate of 0.01, dropout 0.3 and weight decay 1e-4."""
    distance = (math.log10(params["lr"]) + 2) ** 2 + (params["dropout"] - 0.3) ** 2 * 4
    return 1 - (distance + (math.log10(params["weight_decay"]) + 4) ** 2 / 4) / 10


def search(name: Any, trials: int, history: History = NO_HISTORY, **settings: Any) -> NumberedSearcher:
    goals = {"metrics": ["val_accuracy", "weights"]} if "nsga2" in name else {}
    bound = study(**{"search": name, "space": NUMBERS, "trials": trials, **goals, **settings}).bound("classification")
    return NumberedSearcher(bound, history)


def result(state: str, value: float) -> dict[str, Any]:
    return {"state": state, "curve": [(1, value)], "best": value, "best_goals": (value, 100 * value)}


def drawn_one_by_one(it: NumberedSearcher, ends: dict[int, str], count: int) -> list[dict[str, Any]]:
    """Draw trials, each of which ends before the next; `ends` names the ends that aren't `finished`."""
    found = []
    for i in range(count):
        config = it.suggest(f"id{i}")
        found.append(config)
        state = ends.get(config["trial"], "finished")
        it.on_trial_complete(f"id{i}", result(state, score(config["params"])))
    return found


ENDS = {1: "stopped", 4: "diverged", 6: "failed", 9: "stopped"}


@pytest.mark.parametrize(
    "name", [{"tpe": {"startup": 5}}, {"gp": {"startup": 6}}, "cmaes", {"nsga2": {"population": 5}}, "qmc"]
)
def test_a_run_that_is_resumed_draws_as_one_that_was_not_interrupted(name: Any) -> None:
    count = 9 if "gp" in name else 20
    whole = [config["params"] for config in drawn_one_by_one(search(name, 20), ENDS, count)]
    for kept in (1, 5, count - 2):
        history = History(
            drawn={i: Drawn(i, whole[i], i) for i in range(kept)},
            ended={i: Ended(i, TrialState(ENDS.get(i, "finished")), 1.0, "") for i in range(kept)},
            curves={i: {1: score(whole[i])} for i in range(kept)},
            bests={i: score(whole[i]) for i in range(kept)},
            goals={i: (score(whole[i]), 100 * score(whole[i])) for i in range(kept)},
        )
        later = drawn_one_by_one(search(name, 20, history), ENDS, count - kept)
        assert [config["params"] for config in later] == whole[kept:], f"{kept} were kept"
    different = len({tuple(params.values()) for params in whole})
    assert different == count or "nsga2" in name, "no draw comes twice, but a child that is equal to its parent"


@pytest.mark.parametrize("name", ["tpe", "gp", "cmaes"])
def test_a_search_that_learns_comes_nearer_to_the_best_than_chance(name: str) -> None:
    late = []
    for seed in range(1 if name == "gp" else 3):  # a Gaussian process takes a tenth of a second for a draw
        trials = 18 if name == "gp" else 40
        draws = drawn_one_by_one(search(name, trials, seed=seed), {}, trials)
        late += [1 - score(config["params"]) for config in draws[-trials // 4 :]]
    chance = drawn_one_by_one(search("random", 200), {}, 200)
    typical = sorted(1 - score(config["params"]) for config in chance)[100]
    assert sorted(late)[len(late) // 2] < typical / 2


@pytest.mark.parametrize("name", ["tpe", "gp", "cmaes"])
def test_named_settings_and_priors_are_drawn_first_and_are_learnt_from(name: str) -> None:
    space = NUMBERS | {"lr": {"log": [1e-4, 1e-1], "prior": 0.02}}
    it = search(name, 6, space=space, first=[{"lr": 0.005, "dropout": 0.25}, {"weight_decay": 1e-3}])
    params = [config["params"] for config in drawn_one_by_one(it, {}, 4)]
    assert (params[0]["lr"], params[0]["dropout"]) == (0.005, 0.25)
    assert params[1]["weight_decay"] == 1e-3
    assert params[2]["lr"] == 0.02
    told = [it._source._told({})[i] for i in range(3)]
    assert [one.params["lr"] for one in told] == [one["lr"] for one in params[:3]]
    assert [one.value for one in told] == [score(one) for one in params[:3]]


def test_what_stopped_and_what_diverged_counts_for_a_search_that_learns_from_complete_trials_alone() -> None:
    it = search("gp", 6)
    for i, (state, value) in enumerate((("finished", 0.5), ("stopped", 0.3), ("diverged", 0.9), ("failed", 0.9))):
        it.suggest(str(i))
        it.on_trial_complete(str(i), result(state, value))
    told = list(it._source._told({}).values())
    assert [one.state.name for one in told] == ["COMPLETE", "COMPLETE", "COMPLETE", "FAIL"]
    assert [one.value for one in told] == [0.5, 0.3, 0.3, None]


def test_a_quasi_random_search_leaves_no_gap() -> None:
    """Of 2^k points, each parameter has one in each of 2^k equal intervals, also inside an option."""
    space = NUMBERS | {"optimizer": {"choice": {"sgd": {"momentum": {"uniform": [0.0, 0.9]}}, "adam": {}}}}
    draws = list(islice(study(search="qmc", space=space).draws(), 32))
    assert sorted(int((math.log10(one["lr"]) + 4) / 3 * 32) for one in draws) == list(range(32))
    assert sorted(int(one["dropout"] / 0.9 * 32) for one in draws) == list(range(32))
    assert sum(one["optimizer"] == "sgd" for one in draws) == 16
    assert draws != list(islice(study(search="qmc", space=space, seed=1).draws(), 32))


def test_a_quasi_random_search_draws_lists() -> None:
    space = {"widths": {"list": {"int": [4, 64]}, "length": {"int": [0, 3]}}}
    draws = list(islice(study(search="qmc", space=space).draws(), 64))
    assert {len(one["widths"]) for one in draws} == {0, 1, 2, 3}
    fixed = list(islice(study(search="qmc", space={"widths": [{"int": [1, 8]}, 4]}).draws(), 16))
    assert sorted(one["widths"][0] for one in fixed) == sorted([*range(1, 9)] * 2)


@pytest.mark.parametrize(
    ("name", "change", "place", "rule"),
    [
        ("gp", {"optimizer": {"choice": {"sgd": {"momentum": {"uniform": [0, 0.9]}}, "adam": {}}}}, "optimizer", "gp can't learn about parameters that exist only with an option"),
        ("cmaes", {"optimizer": {"choice": {"sgd": {"momentum": {"uniform": [0, 0.9]}}, "adam": {}}}}, "optimizer", "cmaes can't learn about parameters that exist only"),
        ("gp", {"widths": {"list": {"int": [4, 64]}, "length": {"int": [0, 3]}}}, "widths", "gp can't learn about a list whose length is drawn"),
        ("cmaes", {"activation": {"choice": ["relu", "tanh"]}}, "activation", "cmaes searches numbers alone, and this is a choice"),
        ("cmaes", {"optimizer": {"choice": {"sgd": {}, "adam": {}}}}, "optimizer", "cmaes searches numbers alone, and this is a choice"),
    ],
)  # fmt: skip
def test_a_space_that_a_search_can_not_learn_about_is_refused(
    name: str, change: dict[str, Any], place: str, rule: str
) -> None:
    with pytest.raises(StudyError, match=f"^space.{place}: {rule}"):
        study(search=name, space=NUMBERS | change)


def test_options_without_parameters_of_their_own_are_a_choice_that_a_gaussian_process_can_search() -> None:
    it = search("gp", 12, space=NUMBERS | {"optimizer": {"choice": {"sgd": {}, "adam": {}}}})
    assert {config["params"]["optimizer"] for config in drawn_one_by_one(it, {}, 12)} == {"sgd", "adam"}


def test_an_evolution_strategy_needs_two_numbers_at_least() -> None:
    with pytest.raises(StudyError, match=r"^space: cmaes needs two parameters at least that are drawn"):
        study(search="cmaes", space={"lr": {"log": [1e-4, 1e-1]}})
