"""The house rules that a machine can hold: short files, balanced packages, docstrings with a noun, one meaning a class name."""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import tune_mlp

ROOT = Path(tune_mlp.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
NOUNLESS = ("Of ", "For ", "As ")  # such a docstring leaves out the noun that it speaks of
NOUNLESS_ALLOWED: set[str] = set()
SHARED_NAMES_ALLOWED = {
    "Study": "study/study.py describes a study; api.py adds run() to it, and is what users import",
}


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each docstring of a module, its classes, functions and attributes."""
    for node in ast.walk(tree):
        for body in (getattr(node, name, None) for name in ("body", "orelse", "finalbody")):
            for statement in body if isinstance(body, list) else []:
                match statement:
                    case ast.Expr(value=ast.Constant(value=str(text))):
                        yield statement.lineno, text


def nounless(path: Path) -> list[str]:
    """Return the docstrings of a module that leave out their noun, as `file:line: text`."""
    where = path.relative_to(ROOT)
    found = docstrings(ast.parse(path.read_text(encoding="utf-8")))
    return [
        f"{where}:{line}: {text.splitlines()[0]}"
        for line, text in found
        if text.startswith(NOUNLESS) and text not in NOUNLESS_ALLOWED
    ]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_longer_than_400_lines(path: Path) -> None:
    assert lines_of(path) <= 400


def test_no_package_holds_more_than_a_fifth_of_the_code() -> None:
    lines: Counter[str] = Counter()
    for path in MODULES:
        lines[path.relative_to(ROOT).parts[0]] += lines_of(path)
    packages = {name: count / lines.total() for name, count in lines.items() if not name.endswith(".py")}
    assert len(packages) > 10
    assert {name: share for name, share in packages.items() if share > 0.2} == {}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_docstring_names_what_it_speaks_of(path: Path) -> None:
    assert nounless(path) == []


def test_a_docstring_without_a_noun_is_found_wherever_it_stands() -> None:
    text = 'class A:\n    b: int\n    """Of all."""\n    def c(self):\n        """As given."""\n\ndef d():\n    """The sum."""\n'
    assert [line for line, said in docstrings(ast.parse(text)) if said.startswith(NOUNLESS)] == [3, 5]


def test_one_class_name_means_one_thing() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in MODULES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(path.relative_to(ROOT)))
    shared = {name: files for name, files in places.items() if len(files) > 1}
    assert {name: files for name, files in shared.items() if name not in SHARED_NAMES_ALLOWED} == {}
    assert set(SHARED_NAMES_ALLOWED) <= set(shared), "an allowed name is no longer shared: take it off the list"


def test_no_two_test_files_have_one_name() -> None:
    """pytest imports a test file by its name alone, and refuses the second of that name on a fresh checkout only."""
    places: dict[str, list[str]] = defaultdict(list)
    for path in (ROOT.parent / "tests").rglob("test_*.py"):
        places[path.name].append(str(path.relative_to(ROOT.parent)))
    assert {name: files for name, files in places.items() if len(files) > 1} == {}
