"""Made searches: studies over a real space whose score is a formula, so that the right advice is known."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmarks.made_studies import results_of
from tune_mlp.insight.advice import advice
from tune_mlp.insight.next_study import next_study
from tune_mlp.results.results import Results
from tune_mlp.space.files import read_yaml
from tune_mlp.study.study import Study

Score = Callable[[Mapping[str, Any]], float]
SPACE: dict[str, Any] = {
    "lr": {"log": [1e-4, 1e-1]},
    "batch_size": {"choice": [8, 32, 128]},
    "width": {"choice": [32, 64, 128]},
    "activation": {"choice": ["relu", "tanh", "sigmoid"]},
    "dropout": {"uniform": [0.0, 0.5]},
}
"""A space of five parameters."""


def study_of(space: Mapping[str, Any] = SPACE, seed: int = 0, trials: int = 60) -> Study:
    """Return a random search over a space."""
    return Study.from_dict({"data": {"name": "digits"}, "space": dict(space), "trials": trials, "seed": seed})


def search(study: Study, score: Score, trials: int, first: int = 0, noise: float = 0.01) -> Results:
    """Return the results of draws of a study whose scores are a formula's, with some noise."""
    drawn = [dict(one) for one in itertools.islice(study.draws(), first, first + trials)]
    random = np.random.default_rng((study.seed, first))
    results = results_of(drawn, np.array([score(one) + noise * random.standard_normal() for one in drawn]))
    results.study.update(read_yaml(study.dump(), "study.yaml").tree)
    return results


def place(value: float, low: float, high: float) -> float:
    """Return where a value lies in a range on a logarithmic scale, from 0 to 1 inside of it."""
    return math.log(value / low) / math.log(high / low)


def problem(seed: int) -> Score:
    """Return a formula over the five parameters with an optimum of its own, some of whose parameters don't matter."""
    random = np.random.default_rng(seed)
    best_lr, best_dropout = random.uniform(-0.3, 1.3), random.uniform(-0.3, 0.8)
    heights = dict(zip(("relu", "tanh", "sigmoid"), random.permutation([0.0, 0.05, 0.3]), strict=True))
    per_width, per_batch = random.choice([0.0, 0.05, 0.1]), random.choice([0.0, -0.05, 0.05])
    weight = random.choice([0.0, 0.5])

    def score(one: Mapping[str, Any]) -> float:
        lr = place(one["lr"], 1e-4, 1e-1)
        found = 0.9 - 0.4 * (lr - best_lr) ** 2 - weight * (one["dropout"] - best_dropout) ** 2
        found -= heights[one["activation"]]
        return float(
            found + per_width * math.log2(one["width"] / 32) / 2 + per_batch * math.log2(one["batch_size"] / 8) / 4
        )

    return score


def advised_wins(problems: int, trials: int = 40) -> int:
    """Count the problems in which the advised study finds a better configuration than as many more draws of the first one.

    Both are judged by the formula itself, without noise, at the trial that looks best in each.
    """
    wins = 0
    for seed in range(problems):
        score, study = problem(seed), study_of(seed=seed)
        results = search(study, score, trials)
        _, changes = advice(results)
        advised = Study.from_text(next_study(results, changes))
        more = [search(study, score, trials, first=trials), search(advised, score, trials)]
        truth = []
        for one in more:
            best = one.best
            assert best is not None
            truth.append(score(one.params[int(best["trial"])]))
        wins += truth[1] > truth[0]
    return wins
