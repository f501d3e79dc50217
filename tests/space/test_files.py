"""Study files are read strictly, every value has a line, and anything can be set from the command line."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tune_mlp.config import BRANCHES, TrialConfig
from tune_mlp.errors import StudyError, UsageError
from tune_mlp.space.files import Located, dump_yaml, find, read_yaml, shipped
from tune_mlp.space.overrides import override, parse_assignment
from tune_mlp.study.study import Study

FILE = """\
# the first line
data:
  name: digits
space:
  lr: {log: [1e-4, 1e-1]}
  batch_size: 16
  activation: {choice: [relu, tanh]}
  widths: [8, {int: [4, 8]}]
  optimizer:
    choice:
      sgd:
        momentum: 0.5
      adam: {}
scheduler: {median: {grace_period: 2}}
"""


def value(text: str) -> Any:
    return read_yaml(f"x: {text}\n", "f.yaml").tree["x"]


def with_set(text: str, file: str = FILE) -> dict[Any, Any]:
    located = read_yaml(file, "f.yaml")
    return override(located, *parse_assignment(text, Study.model_fields)).tree


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("1e-4", 1e-4),
        ("1E5", 1e5),
        ("-1.5e+3", -1500.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("10", 10),
        ("-3", -3),
        ("+3", 3),
        ("010", 10),
        ("1_000", "1_000"),
        ("0x10", "0x10"),
        ("0o17", "0o17"),
        ("1:30", "1:30"),
        ("2020-01-01", "2020-01-01"),
        ("no", "no"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("true", True),
        ("false", False),
        ("True", "True"),
        ("null", None),
        ("~", None),
        ("", None),
        ("'1e-4'", "1e-4"),
        ('"true"', "true"),
        (".inf", math.inf),
        ("-.inf", -math.inf),
        ("e5", "e5"),
        (".", "."),
        ('"\\ud83d\\ude00"', "\U0001f600"),  # as JSON writes it
        ("[1, a]", [1, "a"]),
        ("{1: a}", {1: "a"}),
    ],
)
def test_a_plain_value_means_what_it_looks_like(text: str, meant: Any) -> None:
    found = value(text)
    assert found == meant
    assert type(found) is type(meant)


def test_not_a_number_is_read_as_such() -> None:
    assert math.isnan(value(".nan"))


def test_every_value_has_the_line_it_was_said_on() -> None:
    located = read_yaml(FILE, "f.yaml")
    for path, line in [
        ((), 2),
        (("data",), 2),
        (("data", "name"), 3),
        (("data", "absent"), 2),
        (("space", "lr", "log", 1), 5),
        (("space", "optimizer"), 9),
        (("space", "optimizer", "choice", "sgd", "momentum"), 12),
        (("space", "optimizer", "sgd", "momentum"), 12),
        (("space", "optimizer", "adam", "beta1"), 13),
        (("scheduler",), 14),
    ]:
        assert str(located.locate(StudyError("rule", path))).startswith(f"f.yaml:{line}"), path


def test_a_byte_order_mark_and_windows_line_ends_change_nothing() -> None:
    windows = b"\xef\xbb\xbf" + FILE.replace("\n", "\r\n").encode()
    assert read_yaml(windows, "f.yaml") == read_yaml(FILE, "f.yaml")


@pytest.mark.parametrize(
    ("text", "path", "meant"),
    [
        ("lr=0.01", "space lr", 0.01),
        ("space.lr=0.01", "space lr", 0.01),
        ("lr={uniform: [0, 1]}", "space lr", {"uniform": [0, 1]}),
        ("lr.log=[1e-3, 1]", "space lr", {"log": [1e-3, 1]}),
        ("depth=2", "space depth", 2),
        ("batch_size.choice=[1, 2]", "space batch_size", {"choice": [1, 2]}),
        ("activation.choice.1=gelu", "space activation", {"choice": ["relu", "gelu"]}),
        ("widths.0=32", "space widths", [32, {"int": [4, 8]}]),
        ("widths.1.int=[1, 2]", "space widths", [8, {"int": [1, 2]}]),
        ("optimizer.sgd.momentum=0.9", "space optimizer choice sgd", {"momentum": 0.9}),
        ("optimizer.choice.sgd.momentum=0.9", "space optimizer choice sgd", {"momentum": 0.9}),
        ("optimizer.adam.beta1=0.8", "space optimizer choice adam", {"beta1": 0.8}),
        ("optimizer=sgd", "space optimizer", {"choice": {"sgd": {"momentum": 0.5}}}),
        ("optimizer=adam", "space optimizer", {"choice": {"adam": {}}}),
        ("optimizer=rmsprop", "space optimizer", "rmsprop"),
        ("data.normalize=unit", "data", {"name": "digits", "normalize": "unit"}),
        ("data.validation.folds=3", "data validation", {"folds": 3}),
        ("trials=7", "trials", 7),
        ("trials=", "trials", None),
        ("description=a = b", "description", "a = b"),
        ("scheduler=median", "scheduler", {"median": {"grace_period": 2}}),
        ("scheduler=asha", "scheduler", "asha"),
        ("scheduler.median.grace_period=1", "scheduler", {"median": {"grace_period": 1}}),
        ("scheduler.median.min_samples=1", "scheduler", {"median": {"grace_period": 2, "min_samples": 1}}),
        ("scheduler.asha.grace_period=1", "scheduler", {"asha": {"grace_period": 1}}),
        ("search.tpe.startup=1", "search", {"tpe": {"startup": 1}}),
    ],
)
def test_set_changes_the_value_at_a_path(text: str, path: str, meant: Any) -> None:
    node = with_set(text)
    for part in path.split():
        node = node[part]
    assert node == meant


def test_set_reaches_a_branch_that_is_named_by_a_number_or_listed() -> None:
    numbered = "data: {name: digits}\nspace: {depth: {choice: {1: {}, 2: {width: 8}}}}\n"
    assert with_set("depth.2.width=16", numbered)["space"]["depth"] == {"choice": {1: {}, 2: {"width": 16}}}
    listed = "data: {name: digits}\nspace: {optimizer: {choice: [sgd, adam]}}\n"
    assert with_set("optimizer.sgd.momentum=0.9", listed)["space"]["optimizer"] == {
        "choice": {"sgd": {"momentum": 0.9}, "adam": None}
    }
    named = "data: {name: digits}\nspace: {optimizer: adam}\nscheduler: asha\n"
    assert with_set("optimizer.adam.eps=1e-6", named)["space"]["optimizer"] == {"adam": {"eps": 1e-6}}
    assert with_set("scheduler.asha.grace_period=3", named)["scheduler"] == {"asha": {"grace_period": 3}}


def test_set_leaves_the_file_it_changes_alone() -> None:
    located = read_yaml(FILE, "f.yaml")
    changed = override(located, ["space", "optimizer", "sgd", "momentum"], 0.9, "--set")
    assert located == read_yaml(FILE, "f.yaml")
    assert changed.tree != located.tree


def test_a_fault_in_a_set_value_names_the_option_and_others_keep_their_line(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text(FILE.replace("  batch_size: 16", "  batch_size: 0"))
    with pytest.raises(StudyError, match=r"^--set lr=-1: must be greater than 0, got -1$"):
        Study.load(path, ["lr=-1"])
    with pytest.raises(StudyError, match=r"^f.yaml:6 space.batch_size: "):
        Study.load(path, ["lr=1"])


def test_later_sets_win() -> None:
    located: Located = read_yaml(FILE, "f.yaml")
    for text in ("lr=0.1", "lr=0.2"):
        located = override(located, *parse_assignment(text, Study.model_fields))
    assert located.tree["space"]["lr"] == 0.2


def test_no_setting_has_a_parameters_name() -> None:
    """Else `--set NAME=...` would have two meanings."""
    inner = {name for options in BRANCHES.values() for model in options.values() for name in model.model_fields}
    assert not set(Study.model_fields) & (TrialConfig.FIELDS | (inner - {"name"}))


def test_a_space_is_a_file_or_a_shipped_name() -> None:
    assert find("digits_quick") == shipped()["digits_quick"]
    assert find("here.yaml") == Path("here.yaml")
    assert find("./folder/file") == Path("folder/file")
    with pytest.raises(UsageError, match="did you mean 'digits_quick'"):
        find("digit_quick")


SCALARS = st.none() | st.booleans() | st.integers(-(10**90), 10**90) | st.floats(allow_nan=False) | st.text()
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.dictionaries(st.from_regex(r"[ -~]+", fullmatch=True) | st.integers(), inner),
    max_leaves=20,
)


@settings(deadline=None)
@given(TREES)
def test_what_is_dumped_is_read_back_as_it_was(tree: Any) -> None:
    assert read_yaml(dump_yaml({"x": tree}), "f.yaml").tree == {"x": tree}


@pytest.mark.parametrize(
    "text", ["08", "1e5", "no", "on", "1:30", "0x1f", "~", "", "null", ".inf", "2020-01-01", "1_0"]
)
def test_text_that_looks_like_something_else_is_quoted_for_every_reader(text: str) -> None:
    assert dump_yaml([text]) == f"['{text}']\n"
