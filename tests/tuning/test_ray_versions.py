"""Another Ray than those that were tried, and a Ray that lacks a private name, are said in one line."""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement

import tune_mlp.tuning.ray_compat as ray_compat
from tune_mlp.tuning.ray_compat.versions import (
    PRIVATE_NAMES,
    TRIED,
    doubts,
    doubts_about_the_installed_ray,
    missing_names,
)

FOLDER = Path(ray_compat.__path__[0])
PROJECT = Path(__file__).parents[2] / "pyproject.toml"


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a module of a made-up Ray, with a class `Node` that has a method `start`."""
    module = ModuleType("made_up_ray.node")
    module.Node = type("Node", (), {"start": lambda self: None})  # type: ignore[attr-defined]  # made up
    monkeypatch.setitem(sys.modules, "made_up_ray", ModuleType("made_up_ray"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module.__name__


def test_a_name_that_ray_lacks_is_named_with_its_class_or_its_module(made_up: str) -> None:
    names = {made_up: ("Node.start", "Node.stop", "start_all"), "made_up_ray.gone": ("Other.start",)}
    assert missing_names(names) == ["Node.stop", "node.start_all", "Other.start"]


def test_the_installed_ray_has_every_private_name_and_is_in_the_range() -> None:
    assert missing_names() == []
    assert doubts_about_the_installed_ray() == ""


WAS_TRIED = f"tune_mlp was tried with Ray {' to '.join(sorted(set(TRIED)))}"


def test_a_ray_that_was_tried_is_not_doubted() -> None:
    low, high = TRIED
    assert [doubts(version) for version in (low, high, high + "+cpu")] == ["", "", ""]


@pytest.mark.parametrize("version", ["1.13.0", "2.9.3", "2.59.9", "2.61.0", "2.100.0", "3.0.0.dev0", "unknown"])
def test_another_ray_is_doubted_in_one_line_that_names_the_range(version: str) -> None:
    line = doubts(version)
    assert f"{WAS_TRIED}, and this is {version}: " in line
    assert "\n" not in line


@pytest.mark.parametrize("version", ["2.71.0", TRIED[1]])
def test_a_missing_name_is_said_whatever_the_version(version: str) -> None:
    line = doubts(version, ["Node.start_monitor", "services.get_node"])
    assert line.startswith(f"Ray {version} lacks Node.start_monitor, services.get_node: ")
    assert WAS_TRIED in line
    assert "\n" not in line


def test_the_range_of_the_package_is_what_was_tried() -> None:
    dependencies = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["dependencies"]
    (ray,) = (Requirement(line) for line in dependencies if line.startswith("ray"))
    major, minor = TRIED[1].split(".")[:2]
    assert str(ray.specifier) == f"<{major}.{int(minor) + 1},>={TRIED[0]}"


def modules() -> list[ModuleType]:
    return [importlib.import_module(f"{ray_compat.__name__}.{path.stem}") for path in sorted(FOLDER.glob("[a-z]*.py"))]


def replaced() -> set[str]:
    """Return the names that the package's code replaces in Ray: the keywords of `changed(owner, name=value)`."""
    calls = [
        node
        for path in FOLDER.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "changed"
    ]
    return {keyword.arg for call in calls for keyword in call.keywords if keyword.arg}


def overridden() -> set[str]:
    """Return the private methods of Ray's classes that the package's classes override."""
    return {
        f"{base.__name__}.{name}"
        for module in modules()
        for _, ours in inspect.getmembers(module, inspect.isclass)
        if ours.__module__ == module.__name__
        for name, member in vars(ours).items()
        for base in ours.__mro__[1:]
        if base.__module__.startswith("ray.") and inspect.isfunction(member) and name in vars(base)
        if not name.startswith("__") and (name.startswith("_") or base.__name__.startswith("_"))
    }


def test_every_private_name_that_is_replaced_or_overridden_is_listed() -> None:
    listed = {name for names in PRIVATE_NAMES.values() for name in names}
    assert replaced()
    assert overridden()
    assert {name.rpartition(".")[2] for name in listed} >= replaced()
    assert listed >= overridden()
