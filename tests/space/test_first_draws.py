"""The settings that a study names for its first trials, and the values that it believes to be good."""

from __future__ import annotations

import math
from itertools import islice
from statistics import NormalDist
from typing import Any

import pytest

from tests.studies import study
from tune_mlp.errors import StudyError
from tune_mlp.space.domains import DOMAINS, Domain
from tune_mlp.study.study import Study

SPACE: dict[str, Any] = {
    "lr": {"log": [1e-4, 1e-1]},
    "optimizer": {"choice": {"sgd": {"momentum": {"uniform": [0.0, 0.9]}}, "adam": {}}},
    "widths": {"list": {"int": [4, 64]}, "length": {"int": [0, 3]}},
    "dropout": {"normal": [0.2, 0.1], "low": 0.0, "high": 0.5},
    "batch_size": 32,
}


def draws(count: int, **settings: Any) -> list[dict[str, Any]]:
    return list(islice(study(**{"space": SPACE, **settings}).draws(), count))


@pytest.mark.parametrize("search", ["random", "qmc"])
def test_named_settings_are_the_first_draws_and_the_rest_is_drawn_as_usual(search: str) -> None:
    usual = draws(5, search=search)
    first = [{"lr": 0.003, "optimizer.sgd.momentum": 0.5}, {"widths": [5, 7], "batch_size": 32}]
    found = draws(5, search=search, first=first)
    assert found[0] == usual[0] | {"lr": 0.003, "optimizer": "sgd", "optimizer.sgd.momentum": 0.5}
    assert found[1] == usual[1] | {"widths": (5, 7)}
    assert found[2:] == usual[2:]


def test_a_grid_trains_the_combinations_with_these_values_first_and_none_twice() -> None:
    space = {"depth": {"choice": [1, 2]}, "width": {"choice": [4, 8]}}
    first = [{"depth": 2}, {"depth": 2}, {"width": 8}]
    found = list(study(space=space, search="grid", trials=None, first=first).draws())
    assert [tuple(one.values()) for one in found] == [(2, 4), (2, 8), (1, 8), (1, 4)]


def test_first_settings_belong_to_an_experiment_that_is_named() -> None:
    space = {"experiment": {"choice": {"a": {"lr": {"log": [1e-3, 1]}}, "b": {"lr": {"log": [1e-5, 1e-3]}}}}}
    assert draws(1, space=space, first=[{"experiment": "b", "lr": 1e-4}]) == [{"experiment": "b", "lr": 1e-4}]
    with pytest.raises(StudyError, match=r"^first\.0: name the experiment"):
        study(space=space, first=[{"lr": 1e-4}])


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"lr": 5}, "first.1.lr: must be a value that the space can draw, got 5"),
        ({"lr": True}, "first.1.lr: must be a value that the space can draw, got true"),
        ({"lrr": 0.1}, "first.1.lrr: the space has no parameter 'lrr' (did you mean 'lr'?)"),
        ({"optimizer": "adm"}, "first.1.optimizer: must be a value that the space can draw, got 'adm'"),
        ({"optimizer": "adam", "optimizer.sgd.momentum": 0.5}, "doesn't exist with the other settings here"),
        ({"widths": [5, 7, 8, 9]}, "first.1.widths: must be a value that the space can draw, got 4"),
        ({"widths": [500]}, "first.1.widths: must be a value that the space can draw, got 500"),
        ({"widths": 5}, "first.1.widths: must be a list that the space can draw, got 5"),
        ({"batch_size": 64}, "first.1.batch_size: the space fixes it at 32, got 64"),
        ({"dropout": 0.7}, "first.1.dropout: must be a value that the space can draw, got 0.7"),
    ],
)
def test_a_setting_that_the_space_can_not_draw_is_refused(settings: dict[str, Any], fault: str) -> None:
    with pytest.raises(StudyError) as caught:
        study(space=SPACE, first=[{}, settings])
    assert fault in str(caught.value)


def test_an_error_in_first_names_the_line() -> None:
    text = "data: {name: digits}\nspace:\n  lr: {log: [0.001, 0.1]}\nfirst:\n- {lr: 0.01}\n- lr: 3\n"
    with pytest.raises(StudyError, match=r"^text:6 first\.1\.lr: must be a value that the space can draw, got 3$"):
        Study.from_text(text)


def test_first_settings_and_priors_are_written_and_read_again() -> None:
    space = SPACE | {"lr": {"log": [1e-4, 1e-1], "prior": 0.01}}
    one = study(space=space, first=[{"widths": [5, 7]}])
    again = Study.from_text(one.dump())
    assert list(islice(again.draws(), 9)) == list(islice(one.draws(), 9))


def test_more_first_settings_than_trials_are_warned_about() -> None:
    bound = study(first=[{"lr": 0.01}] * 5).bound("classification")
    assert bound.warnings() == ["first names the settings of 5 trials, and only trials=4 are trained"]


def test_the_first_draw_has_all_priors_and_half_of_the_others_lie_near_them() -> None:
    space = {
        "lr": {"log": [1e-4, 1e-1], "prior": 1e-2},
        "depth": {"choice": [0, 1, 2, 3, 4], "prior": 3},
        "width": {"choice": [8, 16]},
    }
    found = draws(4001, space=space)
    assert (found[0]["lr"], found[0]["depth"]) == (1e-2, 3)
    # The share of `depth` at its prior: half of the draws are near, and there 1/2 + 1/2 * 1/5; else 1/5.
    assert sum(one["depth"] == 3 for one in found[1:]) / 4000 == pytest.approx(0.5 * 0.6 + 0.5 * 0.2, abs=0.03)
    # The quantile of the prior is 2/3. Within 0.1 of it lie 0.2 of all uniform draws, and of a normal one with 0.25, truncated:
    # (0.5 + 0.1 / 0.25) and so on, in units of the standard normal distribution.
    quantiles = [(math.log10(one["lr"]) + 4) / 3 for one in found[1:]]
    law = NormalDist()
    inside = (law.cdf(0.4) - law.cdf(-0.4)) / (law.cdf((1 - 2 / 3) / 0.25) - law.cdf(-2 / 3 / 0.25))
    share = sum(abs(u - 2 / 3) <= 0.1 for u in quantiles) / 4000
    assert share == pytest.approx(0.5 * inside + 0.5 * 0.2, abs=0.03)
    usual = draws(
        4001, space={name: {k: v for k, v in domain.items() if k != "prior"} for name, domain in space.items()}
    )
    same = sum(one == other for one, other in zip(found, usual, strict=True)) / 4001
    assert same == pytest.approx(0.5, abs=0.1), "the other half is drawn as it would be without priors"


def test_an_option_may_be_a_prior() -> None:
    branch = {"choice": {"sgd": {"momentum": {"uniform": [0, 0.9], "prior": 0.8}}, "adam": {}}, "prior": "sgd"}
    assert draws(1, space={"optimizer": branch}) == [{"optimizer": "sgd", "optimizer.sgd.momentum": 0.8}]


def test_named_settings_come_before_the_priors() -> None:
    space = SPACE | {"lr": {"log": [1e-4, 1e-1], "prior": 0.01}}
    assert [one["lr"] for one in draws(2, space=space, first=[{"lr": 0.05}])] == [0.05, 0.01]
    grid = {"depth": {"choice": [1, 2, 3], "prior": 2}}
    found = study(space=grid, search="grid", trials=None, first=[{"depth": 3}]).draws()
    assert [one["depth"] for one in found] == [3, 2, 1]


@pytest.mark.parametrize(
    ("domain", "fault"),
    [
        ({"log": [1e-4, 1e-1], "prior": 1}, "space.lr.prior: prior must be a value that can be drawn, got 1"),
        ({"choice": [0.1, 0.2], "prior": 0.3}, "space.lr.prior: prior must be a value that can be drawn, got 0.3"),
        ({"grid": [0.1, 0.2], "prior": 0.1}, "a grid is visited in turn, and has no prior; write choice"),
    ],
)
def test_a_prior_that_can_not_be_drawn_is_refused(domain: dict[str, Any], fault: str) -> None:
    with pytest.raises(StudyError) as caught:
        study(space={"lr": domain})
    assert fault in str(caught.value)


@pytest.mark.parametrize(
    "raw",
    [
        {"uniform": [0, 1]},
        {"uniform": [0, 1], "step": 0.1},
        {"log": [1e-4, 1]},
        {"int": [0, 100_000], "step": 10},
        {"log_int": [1, 50_000]},
        {"normal": [0, 1]},
        {"normal": [8, 2], "round": True},
        {"choice": [1, 2.5, "a", True]},
    ],
)
def test_a_domain_finds_what_it_draws_and_draws_near_its_prior(raw: dict[str, Any]) -> None:
    domain: Domain = DOMAINS[next(iter(raw))].model_validate(raw)
    values = [domain.at(i / 17) for i in range(17)]
    assert [domain.find(value) for value in values] == values
    assert domain.find("b") is None
    near = domain.model_copy(update={"prior": values[9]})
    assert all(domain.find(near.near(i / 17)) is not None for i in range(17))
    assert values[9] in [near.near(i / 1000) for i in range(1000)] or "choice" not in raw
