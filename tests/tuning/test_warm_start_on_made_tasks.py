"""What a warm start brings on made-up tasks whose best settings are known: related ones, and ones that mislead."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from tests.studies import study
from tune_mlp.results.journal import Told
from tune_mlp.runs.history import History
from tune_mlp.tuning.searchers import NumberedSearcher

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # ray calls what Python deprecates

SPACE: dict[str, Any] = {
    "lr": {"log": [1e-4, 1e-1]},
    "dropout": {"uniform": [0.0, 0.9]},
    "weight_decay": {"log": [1e-6, 1e-1]},
    "activation": {"choice": ["relu", "tanh", "gelu", "sigmoid"]},
}
TRIALS = 20
Task = Callable[[dict[str, Any]], float]


def task(centre: Any, activation: str, level: float) -> Task:
    """Return a task whose best score, `level`, lies at `centre` of the unit cube and at this activation."""

    def score(params: dict[str, Any]) -> float:
        place = [
            (math.log10(params["lr"]) + 4) / 3,
            params["dropout"] / 0.9,
            (math.log10(params["weight_decay"]) + 6) / 5,
        ]
        return level - float(((np.array(place) - centre) ** 2).sum()) - 0.15 * (params["activation"] != activation)

    return score


def best_so_far(name: str, a_task: Task, seed: int, past: list[tuple[dict[str, Any], float]], trials: int) -> Any:
    """Return the best score after each trial of a search, which takes over a past as a warm start does."""
    first = [params for params, _ in past[: TRIALS // 10]]
    told = tuple(Told(params, value) for params, value in past[TRIALS // 10 :])
    bound = study(search=name, space=SPACE, trials=trials, seed=seed, first=first).bound("classification")
    it = NumberedSearcher(bound, History(told=told))
    scores = []
    for i in range(trials):
        scores.append(a_task(it.suggest(str(i))["params"]))
        it.on_trial_complete(str(i), {"state": "finished", "curve": [(1, scores[-1])], "best": scores[-1]})
    return np.maximum.accumulate(scores)


def past_of(a_task: Task, seed: int) -> list[tuple[dict[str, Any], float]]:
    """Return 40 random trials of an earlier run with their scores, the best first."""
    it = NumberedSearcher(study(space=SPACE, trials=40, seed=seed + 1000).bound("classification"))
    draws = [it.suggest(str(i))["params"] for i in range(40)]
    return sorted(((params, a_task(params)) for params in draws), key=lambda one: -one[1])


def three_searches(name: str, seeds: int) -> Iterator[tuple[Any, Any, Any]]:
    """Yield for each pair of tasks the curves of a cold search, of one with a related past, and of one with a wrong past."""
    for seed in range(seeds):
        generator = np.random.default_rng(seed)
        centre = generator.uniform(0.15, 0.85, 3)
        here = task(centre, "gelu", 1.0)
        related = task(np.clip(centre + generator.normal(0, 0.03, 3), 0, 1), "gelu", 2.0)
        wrong = task(1 - centre, "sigmoid", 2.0)
        cold = best_so_far(name, here, seed, [], TRIALS)
        warm = best_so_far(name, here, seed, past_of(related, seed), TRIALS // 2)
        misled = best_so_far(name, here, seed, past_of(wrong, seed), TRIALS + TRIALS // 10)
        yield cold, warm, misled


@pytest.mark.parametrize("name", ["random", "qmc"])  # qmc is what `auto` takes
def test_a_search_with_a_related_past_needs_half_the_trials_and_with_a_wrong_one_a_tenth_more(name: str) -> None:
    curves = list(three_searches(name, 200))
    assert sum(warm[-1] >= cold[-1] for cold, warm, _ in curves) >= 150
    cold, misled = (
        float(np.median([1 - curve[-1] for curve in column])) for column in list(zip(*curves, strict=True))[::2]
    )
    assert misled <= cold * 1.1


def test_tpe_with_a_related_past_has_less_than_half_the_regret_after_ten_trials() -> None:
    curves = list(three_searches("tpe", 6))
    half = TRIALS // 2
    assert (
        np.median([1 - warm[-1] for _, warm, _ in curves])
        < np.median([1 - cold[half - 1] for cold, _, _ in curves]) / 2
    )
    assert np.mean([1 - misled[-1] for *_, misled in curves]) < np.mean([1 - cold[half - 1] for cold, *_ in curves])
