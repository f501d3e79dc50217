"""Named experiments own all parameters, which keep plain names: a table of them reads like the table of a report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tune_mlp.errors import StudyError
from tune_mlp.space.choosers import grid_draws, random_chooser
from tune_mlp.space.parsing import parse_space
from tune_mlp.space.space import combinations, resolve, to_config
from tune_mlp.study.study import Study

SPACE: dict[str, Any] = {
    "lr": 0.1,
    "depth": {"choice": [0, 1]},
    "experiment": {
        "choice": {
            "plain": None,
            "fast": {"lr": 0.5, "optimizer": {"sgd": {"momentum": 0.9}}},
            7: {"widths": [{"choice": [8, 16, 32]}, 4]},
        }
    },
}


def test_an_experiment_has_the_common_parameters_and_its_own_in_their_place() -> None:
    found = list(grid_draws(parse_space(SPACE)))
    assert found[0] == {"experiment": "plain", "lr": 0.1, "depth": 0}
    assert found[2] == {
        "experiment": "fast", "lr": 0.5, "depth": 0, "optimizer": "sgd", "optimizer.sgd.momentum": 0.9,
    }  # fmt: skip
    assert found[4] == {"experiment": 7, "lr": 0.1, "widths": (8, 4)}
    assert to_config(found[2]).optimizer.momentum == 0.9  # type: ignore[union-attr]


def test_a_grid_counts_each_experiments_own_values() -> None:
    space = parse_space(SPACE)
    assert combinations(space.nodes) == len(list(grid_draws(space))) == 2 + 2 + 3


def test_a_random_search_draws_each_experiments_own_values() -> None:
    space = parse_space(SPACE)
    found = [resolve(space, random_chooser(0, trial)) for trial in range(100)]
    assert {params["experiment"] for params in found} == {"plain", "fast", 7}
    assert {params["widths"] for params in found if params["experiment"] == 7} == {(8, 4), (16, 4), (32, 4)}
    assert all(("depth" in params) == (params["experiment"] != 7) for params in found)


@pytest.mark.parametrize(
    ("space", "rule"),
    [
        ({"experiment": "plain"}, "must be named experiments with parameters of their own"),
        ({"experiment": {"choice": ["a", "b"]}}, "must be named experiments"),
        ({"experiment": {"choice": {}}}, "must be named experiments"),
        ({"experiment": {"choice": {"=1+1": {}}}}, r"can't begin with = or \+ or - or @, got '=1\+1'"),
        ({"experiment": {"choice": {"a": {"lrr": 1}}}}, r"unknown parameter 'lrr' \(did you mean 'lr'\?\)"),
        ({"experiment": {"choice": {"a": {"lr": -1}}}}, "must be"),
        ({"experiment": {"choice": {"a": {"experiment": {"choice": {"b": {}}}}}}}, "stand at the top of a space"),
        ({"depth": {"choice": {1: {"experiment": {"choice": {"b": {}}}}}}}, "stand at the top of a space"),
        ({"experimnt": {"choice": {"a": {}}}}, r"did you mean 'experiment'\?"),
        ({"experiment": {"choice": {"a": {"widths": [8], "depth": 1}}}}, "it can't go with depth"),
    ],
)
def test_what_is_no_experiment_is_refused(space: dict[str, Any], rule: str) -> None:
    with pytest.raises(StudyError, match=rule):
        parse_space(space)


FILE = """\
data: {name: digits}
space:
  lr: 0.1
  width: 8
  experiment:
    choice:
      plain: {}
      fast: {lr: 0.5}
search: grid
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "s.yaml"
    file.write_text(FILE)
    return file


@pytest.mark.parametrize("assignment", ["experiment=fast", "space.experiment=fast"])
def test_one_experiment_can_be_picked_on_the_command_line(path: Path, assignment: str) -> None:
    assert list(Study.load(path, [assignment]).draws()) == [{"experiment": "fast", "lr": 0.5, "width": 8}]


def test_a_common_value_is_set_for_all_experiments_and_an_experiments_own_by_its_path(path: Path) -> None:
    found = Study.load(path, ["width=16", "experiment.fast.lr=0.9"]).draws()
    assert [(params["width"], params["lr"]) for params in found] == [(16, 0.1), (16, 0.9)]


def test_a_common_value_that_an_experiment_wouldnt_hear_is_refused(path: Path) -> None:
    with pytest.raises(
        StudyError, match=r"the experiments set lr themselves; name one of them, as space.experiment.fast.lr"
    ):
        Study.load(path, ["lr=0.2"])


def test_population_based_training_would_mix_experiments_and_is_refused(path: Path) -> None:
    with pytest.raises(StudyError, match="named experiments are to be kept apart"):
        Study.load(path, ["scheduler=pbt", "search=random", "dropout={uniform: [0, 0.5]}"])


def test_an_experiment_that_makes_no_valid_trial_is_named(path: Path) -> None:
    path.write_text(FILE.replace("{lr: 0.5}", "{optimizer: {sgd: {nesterov: true}}}"))
    with pytest.raises(StudyError, match=r"s.yaml:8 space.experiment.choice.fast.optimizer.sgd") as raised:
        Study.load(path)
    assert "nesterov needs momentum" in str(raised.value)
