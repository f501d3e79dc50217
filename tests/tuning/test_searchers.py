"""What the searcher suggests, and what it tells of how trials ended."""

from __future__ import annotations

import math
import tracemalloc
from typing import Any

import pytest

from tests.studies import study
from tune_mlp.space.space import to_config
from tune_mlp.study.settings import Search
from tune_mlp.tuning.searchers import SOURCES, NumberedSearcher

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # ray calls what Python deprecates

NESTED = {
    "lr": {"log": [1e-4, 1e-1]},
    "optimizer": {"choice": {"sgd": {"momentum": {"uniform": [0.0, 0.9]}}, "adam": {}}},
    "widths": {"list": {"int": [4, 64]}, "length": {"int": [0, 3]}},
    "dropout": {"normal": [0.2, 0.1], "low": 0.0, "high": 0.5},
}


def searcher(**settings: Any) -> NumberedSearcher:
    return NumberedSearcher(study(**settings).bound("classification"))


def result(state: str, curve: list[tuple[int, float]], best: float | None) -> dict[str, Any]:
    return {"state": state, "curve": curve, "best": best}


def test_every_search_of_the_settings_has_a_source() -> None:
    assert SOURCES.keys() == Search.model_fields.keys() - {"auto"}, "auto is resolved to one of the others"


@pytest.mark.parametrize("search", ["random", "tpe", "qmc"])
def test_draws_are_numbered_and_end_with_the_last(search: str) -> None:
    it = searcher(search=search, space=NESTED, trials=3)
    given = [it.suggest(f"id{i}") for i in range(3)]
    assert [draw["trial"] for draw in given] == [0, 1, 2]
    assert len({draw["seed"] for draw in given}) == 3
    assert it.suggest("id3") == it.FINISHED
    for draw in given:
        to_config(draw["params"])


def test_a_random_draw_depends_on_the_seed_and_its_number_alone() -> None:
    first, longer, other = searcher(trials=3), searcher(trials=5, epochs=9), searcher(trials=3, seed=1)
    draws = [[it.suggest(str(i)) for i in range(3)] for it in (first, longer, other)]
    assert draws[0] == draws[1]
    assert draws[0] != draws[2]


def test_seeds_fit_where_every_tool_keeps_all_digits() -> None:
    it = searcher(trials=200)
    assert all(0 <= it.suggest(str(i))["seed"] < 2**32 for i in range(200))


def told(it: NumberedSearcher) -> list[Any]:
    return list(it._source._told({}).values())


def test_optuna_is_told_how_each_trial_ended() -> None:
    it = searcher(search="tpe", space=NESTED, trials=5)
    for i in range(5):
        it.suggest(str(i))
    it.on_trial_result("0", result("stopped", [(1, 0.3), (2, 0.5)], 0.5))
    it.on_trial_complete("0", result("finished", [(3, 0.4)], 0.5))
    it.on_trial_complete("1", result("stopped", [(1, 0.2)], 0.2))
    it.on_trial_result("2", result("stopped", [(1, 0.9)], 0.9))
    it.on_trial_complete("2", result("diverged", [(2, math.nan)], 0.9))
    it.on_trial_complete("3", error=True)
    it.on_trial_complete("4", result("failed", [], None))
    states = [trial.state.name for trial in told(it)]
    assert states == ["COMPLETE", "PRUNED", "PRUNED", "FAIL", "FAIL"]
    assert told(it)[0].value == 0.5
    assert told(it)[1].intermediate_values == {1: 0.2}
    assert told(it)[2].intermediate_values == {}, "what was seen before it diverged doesn't count for it"


def test_tpe_finds_a_good_region_of_a_nested_space() -> None:
    """It beats chance: later draws lie nearer to the optimum than the first ones."""
    it = searcher(search="tpe", space=NESTED, trials=60)
    distances = []
    for i in range(60):
        params = it.suggest(str(i))["params"]
        distance = abs(math.log10(params["lr"]) + 2) + (params["optimizer"] != "adam")
        distances.append(distance)
        it.on_trial_complete(str(i), result("finished", [(1, -distance)], -distance))
    assert sum(distances[-20:]) < sum(distances[:20]) / 2


def test_a_million_trials_cost_no_memory_before_they_are_drawn() -> None:
    bound = study(trials=1_000_000).bound("classification")
    tracemalloc.start()
    try:
        searcher = NumberedSearcher(bound)
        assert [searcher.suggest(f"t{i}")["trial"] for i in range(3)] == [0, 1, 2]
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
