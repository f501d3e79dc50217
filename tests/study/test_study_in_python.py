"""A study is made in Python from a name, a text or a mapping, and a mistake there is one line that names its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tune_mlp
from tune_mlp.errors import StudyError
from tune_mlp.study.study import Study

TEXT = """\
data: {name: digits}
space:
  lr: {log: [0.001, 0.1]}
trials: 3
"""
SETTINGS: dict[str, Any] = {"data": {"name": "digits"}, "space": {"lr": {"log": [0.001, 0.1]}}, "trials": 3}


def refused(**settings: Any) -> str:
    with pytest.raises(StudyError) as caught:
        Study(**{**SETTINGS, **settings})
    text = str(caught.value)
    assert text.splitlines() == [text]
    assert "pydantic" not in text
    return text


def test_a_study_made_in_python_is_refused_in_our_own_words() -> None:
    assert refused(trials=-1) == "trials: must be greater than or equal to 1, got -1"
    assert refused(trails=1) == "trails: unknown name 'trails' (did you mean 'trials'?)"
    assert refused(data={"name": "digits", "validation": 2}) == "data.validation: must be less than 1, got 2"
    assert refused(space={"lr": {"log": [1, 0.1]}}) == "space.lr: low must be below high, got low=1.0, high=0.1"
    assert refused(scheduler="ashaa") == "scheduler.ashaa: unknown name 'ashaa' (did you mean 'asha'?)"
    assert refused(data=3) == "data: must be a mapping, got 3"
    for retrain, said in (
        (1, "1"),
        (21, "21"),
        (-5, "-5"),
        (2.5, "2.5"),
        ("yes", "'yes'"),
        ([5], "[5]"),
        (None, "null"),
    ):
        rule = "must be true, false, or a number of nets from 2 to 20"
        assert refused(retrain=retrain) == f"retrain: {rule}, got {said}"
    with pytest.raises(StudyError, match=r"^'data' is missing$"):
        Study(space={})


def test_a_text_and_a_mapping_make_the_study_that_a_file_makes(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(TEXT)
    loaded = Study.load(path)
    assert Study.from_text(TEXT).dump() == loaded.dump()
    assert Study.from_dict(SETTINGS).dump() == loaded.dump()


def test_an_error_in_a_text_names_the_line_and_one_in_a_mapping_the_path() -> None:
    with pytest.raises(StudyError, match=r"^text:3 space\.lr: low must be below high"):
        Study.from_text(TEXT.replace("0.001", "1"))
    with pytest.raises(StudyError, match=r"^text:1: not valid YAML"):
        Study.from_text("data: {")
    with pytest.raises(StudyError, match=r"^space\.lr: low must be below high"):
        Study.from_dict({**SETTINGS, "space": {"lr": {"log": [1, 0.1]}}})
    with pytest.raises(StudyError, match=r"^'data' is missing$"):
        Study.from_dict({"space": {}})


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({"lr": {0.1}}, "space.lr: must be a plain value, a list or a mapping, got a set"),
        ({"lr": np.array([0.1])}, "space.lr: must be a plain value, a list or a mapping, got a ndarray"),
        ({"lr": {"choice": [0.1, b"x"]}}, "space.lr.choice.1: must be a plain value, a list or a mapping, got a bytes"),
        ({0.5: 1}, "space: a key must be a word or a whole number, got 0.5"),
        ({"a\nb": 1}, r"space: a key must be a word or a whole number, got 'a\nb'"),
    ],
)
def test_a_mapping_holds_only_what_a_file_can_hold(space: dict[Any, Any], said: str) -> None:
    with pytest.raises(StudyError) as caught:
        Study.from_dict({**SETTINGS, "space": space})
    assert str(caught.value) == said


def test_a_mapping_that_holds_itself_is_refused() -> None:
    space: dict[str, Any] = {}
    space["lr"] = space
    with pytest.raises(StudyError, match="nested deeper than 40 levels"):
        Study.from_dict({**SETTINGS, "space": space})


def test_numbers_of_numpy_tuples_and_shared_lists_are_plain_values() -> None:
    shared = (np.float64(0.1), 0.2)
    space = {"lr": {"choice": shared}, "weight_decay": {"choice": shared}, "depth": True + 1}
    study = Study.from_dict({**SETTINGS, "space": space, "engine": "eager"})
    assert study.space["lr"] == {"choice": [0.1, 0.2]}
    assert Study.from_text(study.dump()).dump() == study.dump()


def test_a_study_in_python_may_change_nothing_of_the_mapping_it_was_made_of() -> None:
    settings = {**SETTINGS, "space": {"lr": {"choice": [0.1, 0.2]}}}
    study = Study.from_dict(settings)
    settings["space"]["lr"]["choice"].append(0.3)
    assert study.space["lr"] == {"choice": [0.1, 0.2]}


def test_keywords_are_laid_over_a_loaded_study() -> None:
    study = Study.load("digits_quick", trials=4, lr=0.01, scheduler="median", data={"name": "noisy_curve"})
    assert (study.trials, study.space["lr"], study.scheduler.name) == (4, 0.01, "median")
    assert study.data.name == "noisy_curve"
    assert Study.load("digits_quick", ["trials=9"], trials=4).trials == 4
    assert Study.load("digits_quick", **{"data.normalize": "unit"}).data.normalize == "unit"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"trials": 0}, "trials=0: must be greater than or equal to 1, got 0"),
        ({"trails": 4}, "trails=4: unknown name 'trails' (did you mean 'trials'?)"),
        ({"lr": "fast"}, "lr='fast': must be a number, got 'fast'"),
        ({"num_samples": 4}, "num_samples=4: unknown name 'num_samples' (did you mean 'trials'?)"),
        ({"lr": {"log": [1, 0.1]}}, "low must be below high"),
        ({"lr": {1, 2}}, "must be a plain value, a list or a mapping, got a set"),
    ],
)
def test_an_error_in_a_keyword_names_it(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(StudyError) as caught:
        Study.load("digits_quick", **settings)
    assert str(caught.value).startswith(next(iter(settings)))
    assert said in str(caught.value)


def test_the_python_interfaces_study_is_what_each_of_its_makers_gives() -> None:
    for study in (
        tune_mlp.Study.load("digits_quick"),
        tune_mlp.Study.from_text(TEXT),
        tune_mlp.Study.from_dict(SETTINGS),
        tune_mlp.Study(**SETTINGS),
    ):
        assert isinstance(study, tune_mlp.Study)


def test_a_study_is_shown_in_a_line_that_says_which_it_is() -> None:
    study = Study.load("mnist_asha")
    assert repr(study) == (
        "Study(name='mnist_asha', data='mnist', trials=25, epochs=10, search='random', scheduler='asha')"
    )
    assert len(str(study)) < 120
