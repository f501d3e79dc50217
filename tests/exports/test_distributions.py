"""Each parameter of a space has the distribution that Optuna would draw it from."""

from __future__ import annotations

import json

import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from tune_mlp.exports.distributions import describe
from tune_mlp.results.journal import Param
from tune_mlp.space.parsing import parse_space

DOMAINS: list[tuple[object, list[Param], BaseDistribution]] = [
    ({"uniform": [0, 0.8], "step": 0.1}, [0.3, 0.7], FloatDistribution(0, 0.8, step=0.1)),
    ({"uniform": [0, 1], "step": 0.3}, [0.3], FloatDistribution(0, 0.9, step=0.3)),
    ({"uniform": [0, 1], "step": 0.3}, [0.4], FloatDistribution(0, 0.9)),  # which population-based training can make
    ({"log": [0.01, 0.1]}, [0.05, 0.12], FloatDistribution(0.01, 0.12, log=True)),
    ({"log": [0.01, 0.1], "step": 0.01}, [0.05], FloatDistribution(0.01, 0.1, log=True)),
    ({"int": [1, 8], "step": 3}, [4, 7], IntDistribution(1, 7, step=3)),
    ({"int": [1, 8], "step": 3}, [5], IntDistribution(1, 7)),
    ({"log_int": [1, 64]}, [8], IntDistribution(1, 64, log=True)),
    ({"normal": [5, 1], "low": 1, "high": 9, "round": True}, [4], IntDistribution(1, 9)),
    ({"grid": [1, 2]}, [1], CategoricalDistribution([1, 2])),
    (3, [3], CategoricalDistribution([3])),
]


@pytest.mark.parametrize(("domain", "values", "distribution"), DOMAINS)
def test_each_domain_has_its_distribution(domain, values, distribution) -> None:
    name = "dropout" if isinstance(values[0], float) else "batch_size"
    (described,) = describe(parse_space({name: domain}), [{name: value} for value in values]).values()
    assert described.distribution == distribution
    for value in values:
        inner = described.distribution.to_internal_repr(described.write(value))
        assert described.distribution._contains(inner)
        assert described.distribution.to_external_repr(inner) == value


def test_named_experiments_share_a_name_and_its_distribution() -> None:
    space = {"experiment": {"choice": {"a": {"lr": 0.5}, "b": {"lr": {"log": [0.01, 0.1]}}}}, "batch_size": 8}
    found = describe(parse_space(space), [{"experiment": "a", "lr": 0.5, "batch_size": 8}])
    assert found["lr"].distribution == FloatDistribution(0.01, 0.5, log=True)
    assert found["experiment"].distribution == CategoricalDistribution(["a", "b"])


def test_without_a_space_the_values_make_the_distributions() -> None:
    found = describe(None, [{"a": 1, "b": "x", "c": 0.5}, {"a": 3, "b": "y", "c": 1, "d": [1, "z"]}])
    assert {name: one.distribution for name, one in found.items()} == {
        "a": IntDistribution(1, 3),
        "b": CategoricalDistribution(["x", "y"]),
        "c": FloatDistribution(0.5, 1),
        "d": CategoricalDistribution(['[1, "z"]']),
    }


def test_values_that_optuna_would_not_tell_apart_become_text() -> None:
    values: list[Param] = [True, 1, "1", 1.5]
    described = describe(None, [{"x": value} for value in values])["x"]
    assert [json.loads(str(described.write(value))) for value in values] == values
    assert len(described.distribution.choices) == 4
