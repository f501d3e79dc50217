"""A space is a tree: what is nested exists only where its option was drawn."""

from __future__ import annotations

from typing import Any

import pytest

from tune_mlp.config import BRANCHES, TrialConfig
from tune_mlp.errors import StudyError
from tune_mlp.space.choosers import grid_draws, random_chooser
from tune_mlp.space.parsing import EXCLUSIVE, parse_space
from tune_mlp.space.space import Params, combinations, finite, resolve, to_config

NESTED: dict[str, Any] = {
    "lr": {"log": [1e-3, 1e-1]},
    "optimizer": {"choice": {"sgd": {"momentum": {"uniform": [0.0, 0.9]}, "weight_decay": 0.01}, "adam": None}},
    "depth": {"choice": {1: {"width": {"int": [4, 8]}}, 2: {"width": {"int": [16, 32]}, "dropout": 0.1}}},
}


def draws(raw: dict[Any, Any], count: int = 100, seed: int = 0) -> list[Params]:
    space = parse_space(raw)
    return [resolve(space, random_chooser(seed, trial)) for trial in range(count)]


def test_a_parameter_inside_a_branch_exists_only_where_its_option_was_drawn() -> None:
    found = draws(NESTED)
    assert {params["optimizer"] for params in found} == {"sgd", "adam"}
    for params in found:
        assert ("optimizer.sgd.momentum" in params) == (params["optimizer"] == "sgd")
        assert ("depth.2.dropout" in params) == (params["depth"] == 2)
        assert {"lr", "optimizer", "depth", f"depth.{params['depth']}.width"} <= params.keys()


def test_a_draw_keeps_the_order_of_the_file() -> None:
    params = next(params for params in draws(NESTED) if params["optimizer"] == "sgd" and params["depth"] == 2)
    assert list(params) == [
        "lr",
        "optimizer",
        "optimizer.sgd.momentum",
        "optimizer.sgd.weight_decay",
        "depth",
        "depth.2.width",
        "depth.2.dropout",
    ]


def test_a_nested_parameter_sets_its_options_field_or_else_the_trials() -> None:
    for params in draws(NESTED):
        config = to_config(params)
        assert config.lr == params["lr"]
        assert config.optimizer.name == params["optimizer"]
        assert config.depth == params["depth"]
        assert config.width == params[f"depth.{config.depth}.width"]
        assert config.dropout == params.get("depth.2.dropout", 0.0)
        if config.optimizer.name == "sgd":
            assert config.optimizer.momentum == params["optimizer.sgd.momentum"]
            assert config.weight_decay == 0.01


def test_branches_nest_in_branches() -> None:
    space = {
        "batch_norm": False,
        "depth": {"choice": {0: {}, 1: {"optimizer": {"choice": {"sgd": {"momentum": 0.5}}}}}},
    }
    params = next(params for params in draws(space) if params["depth"] == 1)
    assert params["depth.1.optimizer.sgd.momentum"] == 0.5
    assert to_config(params).optimizer.momentum == 0.5  # type: ignore[union-attr]


def test_an_option_can_be_pinned_with_its_settings() -> None:
    (params,) = draws({"optimizer": {"sgd": {"momentum": 0.9}}}, 1)
    assert params == {"optimizer": "sgd", "optimizer.sgd.momentum": 0.9}


def test_what_is_not_named_keeps_its_default() -> None:
    assert to_config({}) == TrialConfig()
    assert to_config(draws({}, 1)[0]) == TrialConfig()


def test_a_constant_is_drawn_as_it_is() -> None:
    assert draws({"lr": 0.5, "activation": "tanh", "widths": [3, 4], "batch_norm": True}, 1) == [
        {"lr": 0.5, "activation": "tanh", "widths": (3, 4), "batch_norm": True}
    ]


def test_a_list_of_domains_draws_each_item() -> None:
    found = draws({"widths": [{"choice": [8, 16]}, 32, {"int": [4, 6]}]})
    assert {params["widths"][0] for params in found} == {8, 16}  # type: ignore[index]
    assert {params["widths"][1] for params in found} == {32}  # type: ignore[index]
    assert {params["widths"][2] for params in found} == {4, 5, 6}  # type: ignore[index]


def test_a_list_is_as_long_as_its_length_says() -> None:
    found = draws({"widths": {"list": {"choice": [8, 16]}, "length": {"int": [0, 3]}}})
    assert {len(params["widths"]) for params in found} == {0, 1, 2, 3}  # type: ignore[arg-type]
    assert {width for params in found for width in params["widths"]} == {8, 16}  # type: ignore[union-attr]
    assert all(to_config(params).hidden == params["widths"] for params in found)


def test_a_grid_search_has_every_combination_once() -> None:
    raw = {
        "lr": {"uniform": [0.1, 0.3], "step": 0.1},
        "optimizer": {"choice": {"sgd": {"momentum": {"choice": [0.0, 0.9]}}, "adam": {}}},
        "widths": {"list": {"choice": [8, 16]}, "length": {"int": [0, 2]}},
        "activation": "relu",
    }
    space = parse_space(raw)
    found = list(grid_draws(space))
    assert len(found) == len({tuple(params.items()) for params in found}) == combinations(space.nodes)
    assert len(found) == 3 * (2 + 1) * (1 + 2 + 4)
    assert finite(space) is None


def test_what_a_grid_search_cannot_count_is_named_by_its_path() -> None:
    for raw, path in [
        ({"depth": {"int": [0, 2]}, "lr": {"log": [0.1, 1]}}, "lr"),
        ({"optimizer": {"choice": {"sgd": {"momentum": {"uniform": [0, 0.9]}}}}}, "optimizer.sgd.momentum"),
        ({"widths": [3, {"int": [1, 10**6]}]}, "widths.1"),
        ({"widths": {"list": {"log_int": [1, 10**6]}, "length": 2}}, "widths.list"),
    ]:
        assert finite(parse_space(raw)) == path


@pytest.mark.parametrize(
    "raw",
    [
        {"lr": 0.1, "optimizer": {"choice": {"sgd": {"lr": 0.2}, "adam": {}}}},
        {"optimizer": {"choice": {"sgd": {"lr": 0.2}}}, "depth": {"choice": {1: {"lr": 0.1}}}},
        {"depth": {"choice": {1: {"depth": 2}}}},
        {"widths": [3], "depth": 2},
        {"width": 3, "optimizer": {"choice": {"adam": {"widths": [3]}}}},
        {"depth": {"choice": {1: {"widths": [3]}}}},
    ],
)
def test_two_values_for_one_setting_are_refused_however_rare_the_draw(raw: dict[str, Any]) -> None:
    with pytest.raises(StudyError, match=r"twice|widths"):
        parse_space(raw)


def test_options_that_exclude_each_other_may_set_the_same_thing() -> None:
    raw = {"optimizer": {"choice": {"sgd": {"lr": 0.2, "width": 3}, "adam": {"lr": 0.1, "widths": [3]}}}}
    assert {to_config(params).lr for params in draws(raw)} == {0.2, 0.1}


def test_a_fault_that_only_a_draw_shows_names_the_option_it_is_in() -> None:
    with pytest.raises(StudyError, match="nesterov needs momentum") as caught:
        to_config({"depth": 1, "depth.1.optimizer": "sgd", "depth.1.optimizer.sgd.nesterov": True})
    assert caught.value.path == ("space", "depth", "1", "optimizer", "sgd")


def test_branches_and_exclusions_speak_of_settings_that_exist() -> None:
    assert set(BRANCHES) < TrialConfig.FIELDS
    assert set(EXCLUSIVE) < TrialConfig.FIELDS
