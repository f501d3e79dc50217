"""The form of a study and its YAML follow each other: a change in the form rewrites one setting, and leaves all other lines alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tune_mlp.errors import StudyError
from tune_mlp.service.faults import Refused
from tune_mlp.service.pages.study_form import apply_form, form_of_study, parameter_helps
from tune_mlp.space.files import read_yaml, shipped, shipped_text
from tune_mlp.study.study import Study
from tune_mlp.study.yaml_edit import REMOVED, edited

TEXT = """\
# my study
name: mine  # a name
data: {name: digits, test: 0.2}
space:
  # the rate
  lr: {log: [1.0e-3, 1.0e-1]}
  depth: {int: [0, 2]}

  optimizer:
    choice:
      sgd:
        momentum: {uniform: [0.0, 0.95]}
      adam: {}
# the budget
trials: 12
search: random
"""


def lines(text: str) -> set[str]:
    return set(text.splitlines())


def test_a_changed_setting_leaves_all_other_lines_and_comments_alone() -> None:
    after = edited(TEXT, ["trials"], 20)
    assert lines(TEXT) - lines(after) == {"trials: 12"}
    assert lines(after) - lines(TEXT) == {"trials: 20"}


def test_a_parameter_is_changed_within_its_block() -> None:
    after = edited(TEXT, ["space", "lr"], {"log": [0.01, 0.1]})
    assert lines(TEXT) - lines(after) == {"  lr: {log: [1.0e-3, 1.0e-1]}"}
    assert "  # the rate" in after
    assert read_yaml(after, "study").tree["space"]["lr"] == {"log": [0.01, 0.1]}


def test_a_parameter_is_added_and_removed() -> None:
    added = edited(TEXT, ["space", "dropout"], {"choice": [0.0, 0.2]})
    assert list(read_yaml(added, "study").tree["space"]) == ["lr", "depth", "optimizer", "dropout"]
    removed = edited(added, ["space", "optimizer"], REMOVED)
    assert list(read_yaml(removed, "study").tree["space"]) == ["lr", "depth", "dropout"]
    assert "# the budget" in removed


def test_a_setting_in_braces_is_changed() -> None:
    after = edited(TEXT, ["data", "test"], {"head": 100})
    assert read_yaml(after, "study").tree["data"] == {"name": "digits", "test": {"head": 100}}
    assert lines(TEXT) - lines(after) == {"data: {name: digits, test: 0.2}"}


@pytest.mark.parametrize(
    "said", ["a: b", "yes", "010", "# x", "{", "it's", 'a "b"', "1e5", "null", "ä\u0085b", "x, y", "- z", "a" * 300]
)
def test_any_text_comes_back_as_it_was(said: str) -> None:
    assert read_yaml(edited(TEXT, ["description"], said), "study").tree["description"] == said
    assert read_yaml(edited(TEXT, ["data", "name"], said), "study").tree["data"]["name"] == said


def test_the_empty_text_gets_its_first_setting() -> None:
    assert edited("", ["space", "lr"], 0.1) == "space:\n  lr: 0.1\n"


def form_fields(text: str) -> dict[str, list[str]]:
    """Return what a browser sends of an unchanged form."""
    form = form_of_study(read_yaml(text, "study").tree)
    sent = {f"set:{field.path}": [field.value] for group in form.groups for field in group.fields}
    for parameter in form.parameters:
        sent |= {f"kind:{parameter.name}": [parameter.kind], f"value:{parameter.name}": [parameter.value]}
    return sent


@pytest.mark.parametrize("name", sorted(shipped()))
def test_an_unchanged_form_changes_nothing_in_a_shipped_study(name: str) -> None:
    text = shipped_text(name)
    assert apply_form(text, form_fields(text)) == text


@pytest.mark.parametrize("name", sorted(shipped()))
def test_each_setting_of_a_shipped_study_can_be_written_anew_without_another_meaning(name: str) -> None:
    text = shipped_text(name)
    tree = read_yaml(text, "study").tree
    for path, value in [([key], value) for key, value in tree.items()] + [
        (["space", key], value) for key, value in tree["space"].items()
    ]:
        assert read_yaml(edited(text, list(map(str, path)), value), "study").tree == tree


def test_a_change_in_the_form_is_a_change_in_the_study() -> None:
    sent = form_fields(TEXT) | {"set:trials": ["5"], "set:search": ["tpe"], "value:lr": ["0.5"], "kind:lr": ["fixed"]}
    tree = read_yaml(apply_form(TEXT, sent), "study").tree
    assert (tree["trials"], tree["search"], tree["space"]["lr"]) == (5, "tpe", 0.5)


def test_a_setting_of_the_chosen_scheduler_can_be_given() -> None:
    text = apply_form(TEXT, form_fields(TEXT) | {"set:scheduler": ["asha"]})
    text = apply_form(text, form_fields(text) | {"set:scheduler.asha.grace_period": ["3"]})
    assert read_yaml(text, "study").tree["scheduler"] == {"asha": {"grace_period": 3}}
    text = apply_form(text, form_fields(text) | {"set:scheduler.asha.grace_period": [""]})
    assert Study.from_located(read_yaml(text, "study"), Path()).scheduler.asha is not None


def test_an_emptied_field_takes_the_setting_out() -> None:
    assert "trials" not in read_yaml(apply_form(TEXT, form_fields(TEXT) | {"set:trials": [""]}), "study").tree


def test_a_value_that_is_no_yaml_is_refused_by_its_path() -> None:
    with pytest.raises(Refused, match=r"space\.lr"):
        apply_form(TEXT, form_fields(TEXT) | {"value:lr": ["[1, 2"]})
    with pytest.raises(StudyError):
        apply_form("a: [", {})


def test_every_setting_of_a_study_is_in_the_form_with_its_sentence() -> None:
    form = form_of_study({})
    fields = {field.path: field for group in form.groups for field in group.fields}
    assert {path.partition(".")[0] for path in fields} == set(Study.model_fields) - {"name", "space", "published"}
    assert all(field.help for field in fields.values())
    assert all(parameter_helps().values())
    assert {name for name, _ in form.unused} == set(parameter_helps())


@pytest.mark.parametrize("name", sorted(set(parameter_helps())))
def test_a_parameter_that_is_added_has_values_that_a_study_takes(name: str) -> None:
    text = apply_form("data: {name: digits}\nspace:\n  batch_size: 16\n", {"add": [name]})
    Study.from_located(read_yaml(text, "study"), Path())
