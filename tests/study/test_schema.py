"""The JSON schema says to an editor what loading says to a user."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from tune_mlp.config import BRANCHES, TrialConfig
from tune_mlp.space.files import read_yaml, shipped, shipped_folder
from tune_mlp.study.schema import study_schema
from tune_mlp.study.study import Study

SCHEMA = study_schema()


def valid(tree: Any) -> bool:
    return bool(jsonschema.Draft202012Validator(SCHEMA).is_valid(tree))


def study(**settings: Any) -> dict[str, Any]:
    return {"data": {"name": "digits"}, "space": {"lr": 0.1}, **settings}


def test_the_schema_is_one_and_describes_each_parameter_once() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    text = json.dumps(SCHEMA)
    for name, field in TrialConfig.model_fields.items():
        assert text.count(json.dumps(field.description)) == 1, f"{name} is described in place of a reference"


def test_the_shipped_schema_is_the_exported_one() -> None:
    """If this fails, run: tune-mlp schema > search_spaces/study.schema.json"""
    assert json.loads((shipped_folder() / "study.schema.json").read_text(encoding="utf-8")) == SCHEMA


@pytest.mark.parametrize("name", list(shipped()))
def test_every_shipped_study_is_valid_with_and_without_its_defaults(name: str) -> None:
    text = shipped()[name].read_text(encoding="utf-8")
    above = "" if shipped()[name].parent == shipped_folder() else "../"
    assert text.startswith(f"# yaml-language-server: $schema={above}study.schema.json\n")
    assert valid(read_yaml(text, name).tree)
    assert valid(read_yaml(Study.load(name).dump(), name).tree)


@pytest.mark.parametrize(
    "space",
    [
        {},
        {"lr": {"log": [0.1, 1]}, "depth": {"choice": {"1": {"width": {"int": [1, 2]}}, "2": None}}},
        {"optimizer": "sgd"},
        {"experiment": {"choice": {"a": {"lr": 0.1}, "b": None, 7: {"depth": {"choice": [0, 1]}}}}, "width": 8},
        {"model": {"cnn": {"channels": [8, 16], "pool": 2}}, "rotation": {"uniform": [0, 15]}},
        {"optimizer": {"sgd": {"momentum": 0.9}}},
        {"optimizer": {"choice": {"sgd": {"momentum": {"uniform": [0, 0.9]}, "lr": 0.1}, "adam": None}}},
        {"optimizer": {"choice": ["sgd", "adam"]}},
        {"widths": [8, {"choice": [8, 16]}]},
        {"widths": {"list": {"int": [8, 16]}, "length": {"int": [1, 3]}}},
        {"init": {"choice": {"xavier": {"gain": {"normal": [1, 0.1], "low": 0.1}}}}},
        {"dropout": {"uniform": [0, 0.5], "step": 0.1}, "loss": {"grid": ["mse", "mae"]}},
    ],
)
def test_what_may_be_said_of_a_space_is_valid(space: dict[str, Any]) -> None:
    assert valid(study(space=space))


@pytest.mark.parametrize(
    "tree",
    [
        {"space": {}},
        {"data": {"name": "digits"}},
        study(trails=3),
        study(trials=0),
        study(trials="three"),
        study(data={"nmae": "digits"}),
        study(data={"name": "digits", "normalize": "standrad"}),
        study(data={"name": "digits", "validation": {"fold": 3}}),
        study(scheduler="ashaa"),
        study(retrain=1),
        study(retrain=21),
        study(retrain="true"),
        study(scheduler={"asha": {"grace": 1}}),
        study(scheduler={"ashaa": {}}),
        study(search="gird"),
        study(resources={"cpus": 1}),
        study(time_budget="soon"),
        study(metric="accuracy"),
        study(space={"lrr": 0.1}),
        study(space={"lr": "fast"}),
        study(space={"lr": {"lgo": [0.1, 1]}}),
        study(space={"lr": {"log": [0.1, 1], "stpe": 1}}),
        study(space={"lr": {"log": [0.1]}}),
        study(space={"activation": "rellu"}),
        study(space={"optimizer": "sgdd"}),
        study(space={"optimizer": {"choice": {"sgdd": {}}}}),
        study(space={"optimizer": {"choice": {"sgd": {"momentun": 0.9}}}}),
        study(space={"optimizer": {"choice": {"adam": {"momentum": 0.9}}}}),
        study(space={"optimizer": {"choice": {"sgd": {"momentum": 1.5}}}}),
        study(space={"depth": {"choice": {"1": {"widht": 3}}}}),
        study(space={"widths": {"list": 3, "lenght": 2}}),
    ],
)
def test_what_is_misspelt_or_out_of_range_is_not(tree: dict[str, Any]) -> None:
    assert not valid(tree)


def test_every_setting_and_parameter_is_in_the_schema_with_its_sentence() -> None:
    assert set(SCHEMA["properties"]) == set(Study.model_fields)
    assert all(part["description"] for part in SCHEMA["properties"].values())
    parameters = SCHEMA["$defs"]["Parameters"]["properties"]
    assert set(parameters) == TrialConfig.FIELDS
    assert all(part["description"] for part in parameters.values())
    for branch, options in BRANCHES.items():
        assert set(SCHEMA["$defs"][branch]["properties"]) == set(options)
