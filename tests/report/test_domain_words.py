"""Each domain that a study can name is said in words."""

from __future__ import annotations

from typing import Any

import pytest

from tune_mlp.published.studies import load, published_studies
from tune_mlp.report.domain_words import domains
from tune_mlp.space.domains import DOMAINS
from tune_mlp.space.files import shipped
from tune_mlp.study.study import Study

SAID: dict[str, tuple[Any, str]] = {
    "fixed": (0.1, "fixed at 0.1"),
    "log": ({"log": [0.1, 1]}, "0.1 to 1, uniform in the logarithm"),
    "uniform": ({"uniform": [0, 1], "step": 0.25}, "0 to 1, uniform, in steps of 0.25"),
    "int": ({"int": [0, 5]}, "0 to 5, whole numbers"),
    "log_int": ({"log_int": [1, 64]}, "1 to 64, whole numbers, uniform in the logarithm"),
    "normal": ({"normal": [0, 1], "low": -1}, "normal with mean 0 and deviation 1, cut off from -1"),
    "choice": ({"choice": ["relu", "tanh"]}, "one of relu, tanh"),
    "grid": ({"grid": [1, 2]}, "each of 1, 2 in turn"),
    "list": ({"list": {"int": [1, 8]}, "length": 3}, "a list: each item 1 to 8, whole numbers; its length fixed at 3"),
    "uniform law": ({"uniform": {"bound": 1.0}}, "fixed at uniform (bound 1)"),
    "normal law": ({"normal": {"std": 1.0}}, "fixed at normal (std 1)"),
    "law": (
        {"kaiming": {"distribution": "normal", "gain": 1.0}},
        "fixed at kaiming (distribution normal, gain 1)",
    ),
}


@pytest.mark.parametrize("name", SAID)
def test_a_domain_is_said_in_words(name: str) -> None:
    raw, words = SAID[name]
    assert domains({"space": {"x": raw}}) == {"x": words}


def test_every_domain_has_its_words() -> None:
    assert set(DOMAINS) <= set(SAID)


def test_the_settings_of_a_choice_are_said_by_their_paths() -> None:
    space = {"init": {"choice": {"default": None, "normal": {"std": {"log": [0.01, 1]}}}}}
    assert domains({"space": space}) == {
        "init": "one of default, normal",
        "init.normal.std": "0.01 to 1, uniform in the logarithm",
    }


@pytest.mark.parametrize("name", sorted(shipped()))
def test_the_space_of_a_shipped_study_is_said(name: str) -> None:
    study = Study.load(name).model_dump(mode="json")
    assert set(study["space"]) <= set(domains(study))


@pytest.mark.parametrize("name", sorted(published_studies()))
def test_the_space_of_each_published_experiment_is_said(name: str) -> None:
    published = load(name)
    for name, experiment in published.published.experiments.items():
        if experiment.check:
            continue
        study = published.study(name).model_dump(mode="json")
        assert set(study["space"]) <= set(domains(study))
