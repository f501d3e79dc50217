"""Choosers: by seed, by grid, by Optuna."""

from __future__ import annotations

import warnings
from collections import Counter
from typing import Any

import optuna
import pytest

from tune_mlp.space.choosers import SUGGEST, grid_draws, optuna_chooser, random_chooser
from tune_mlp.space.domains import DOMAINS
from tune_mlp.space.parsing import parse_space
from tune_mlp.space.space import Params, resolve, to_config

EVERYTHING: dict[str, Any] = {
    "lr": {"log": [1e-4, 1e-1]},
    "batch_size": {"log_int": [8, 128]},
    "depth": {"choice": {1: {"width": {"int": [4, 32], "step": 4}}, 2: {"width": {"grid": [16, 8]}}}},
    "activation": {"choice": ["relu", "tanh"]},
    "dropout": {"uniform": [0.0, 0.5], "step": 0.1},
    "l1": {"uniform": [0.0, 0.01]},
    "weight_decay": {"normal": [0.01, 0.01], "low": 0.0},
    "optimizer": {"choice": {"sgd": {"momentum": {"uniform": [0.0, 0.9]}}, "adam": {}}},
    "init": {"choice": {"xavier": {"gain": {"log": [0.5, 2.0], "step": 0.5}}, "default": {}}},
}


def draw(raw: dict[str, Any], trial: int, seed: int = 0) -> Params:
    return resolve(parse_space(raw), random_chooser(seed, trial))


def test_a_random_draw_depends_on_the_seed_and_its_number_alone() -> None:
    forwards = [draw(EVERYTHING, trial) for trial in range(20)]
    backwards = [draw(EVERYTHING, trial) for trial in reversed(range(20))]
    assert forwards == backwards[::-1]
    assert len({tuple(params.items()) for params in forwards}) == 20
    assert all(draw(EVERYTHING, trial, seed=1) != forwards[trial] for trial in range(20))


def test_a_known_seed_gives_the_draw_that_it_always_gave() -> None:
    """If this draw changes, each published seed means another search."""
    params = draw({"lr": {"log": [1e-4, 1e-1]}, "depth": {"int": [0, 5]}}, 3)
    assert params == {"lr": pytest.approx(0.018324612560741096, rel=1e-12), "depth": 3}


def test_adding_a_parameter_leaves_the_others_draws_alone() -> None:
    more = {"batch_norm": {"choice": [True, False]}, **EVERYTHING}
    for trial in range(20):
        before, after = draw(EVERYTHING, trial), draw(more, trial)
        assert {name: after[name] for name in before} == before


def test_parameters_are_drawn_independently_of_each_other() -> None:
    raw = {"activation": {"choice": ["relu", "tanh"]}, "batch_norm": {"choice": [True, False]}}
    counts = Counter(tuple(draw(raw, trial).values()) for trial in range(2000))
    assert len(counts) == 4
    assert all(420 < count < 580 for count in counts.values())


def test_the_options_of_a_branch_are_drawn_as_often() -> None:
    counts = Counter(draw(EVERYTHING, trial)["optimizer"] for trial in range(2000))
    assert all(900 < count < 1100 for count in counts.values())


def test_a_grid_goes_round_in_a_random_search_while_the_rest_is_drawn() -> None:
    raw = {"width": {"grid": [8, 16, 32]}, "activation": {"grid": ["relu", "tanh"]}, "lr": {"log": [0.01, 1]}}
    found = [draw(raw, trial) for trial in range(12)]
    pairs = [(params["width"], params["activation"]) for params in found]
    assert len(set(pairs[:6])) == 6
    assert pairs[6:] == pairs[:6]
    assert [width for width, _ in pairs[:4]] == [8, 16, 32, 8]
    assert len({params["lr"] for params in found}) == 12


def test_a_grid_search_changes_the_last_parameter_fastest() -> None:
    space = parse_space({"width": {"grid": [8, 4]}, "depth": {"int": [0, 1]}})
    assert [tuple(params.values()) for params in grid_draws(space)] == [(8, 0), (8, 1), (4, 0), (4, 1)]


def test_a_grid_search_visits_a_branchs_parameters_under_their_option_alone() -> None:
    space = parse_space(
        {"optimizer": {"choice": {"sgd": {"momentum": {"choice": [0.0, 0.9]}}, "adam": {}}}, "depth": {"int": [1, 2]}}
    )
    assert list(grid_draws(space)) == [
        {"optimizer": "sgd", "optimizer.sgd.momentum": 0.0, "depth": 1},
        {"optimizer": "sgd", "optimizer.sgd.momentum": 0.0, "depth": 2},
        {"optimizer": "sgd", "optimizer.sgd.momentum": 0.9, "depth": 1},
        {"optimizer": "sgd", "optimizer.sgd.momentum": 0.9, "depth": 2},
        {"optimizer": "adam", "depth": 1},
        {"optimizer": "adam", "depth": 2},
    ]


def test_a_grid_of_constants_is_one_draw() -> None:
    assert list(grid_draws(parse_space({"lr": 0.1}))) == [{"lr": 0.1}]
    assert list(grid_draws(parse_space({}))) == [{}]


@pytest.mark.parametrize("raw", [EVERYTHING, {"widths": {"list": {"int": [4, 8]}, "length": {"int": [1, 3]}}}])
def test_what_optuna_asks_for_is_a_valid_draw(raw: dict[str, Any]) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = parse_space(raw)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = optuna.create_study(sampler=optuna.samplers.TPESampler(n_startup_trials=5, seed=0))
        for number in range(40):
            trial = study.ask()
            params = resolve(space, optuna_chooser(trial))
            to_config(params)
            _lies_in(params)
            study.tell(trial, float(number % 7))


def _lies_in(params: Params) -> None:
    if "widths" in params:
        assert 1 <= len(params["widths"]) <= 3  # type: ignore[arg-type]
        return
    assert 1e-4 <= params["lr"] <= 1e-1  # type: ignore[operator]
    assert 8 <= params["batch_size"] <= 128  # type: ignore[operator]
    assert params["dropout"] in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
    assert 0 <= params["weight_decay"] < 0.1  # type: ignore[operator]
    assert ("optimizer.sgd.momentum" in params) == (params["optimizer"] == "sgd")
    width = params[f"depth.{params['depth']}.width"]
    assert width in (range(4, 33, 4) if params["depth"] == 1 else (16, 8))


def test_optuna_is_asked_for_every_domain_or_for_its_quantiles() -> None:
    assert set(SUGGEST) <= set(DOMAINS.values())
    assert {kind.__name__ for kind in set(DOMAINS.values()) - set(SUGGEST)} == {"Normal"}
