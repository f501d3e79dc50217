"""The sets of versions that `make test-versions` tries, and the rows that it writes."""

from __future__ import annotations

import tomllib

import pytest
from packaging.requirements import Requirement

from tests.versions import BEGIN, END, LIBRARIES, QUICK_TESTS, ROOT, Outcome, pinned, verdict, with_row

DEPENDENCIES = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
REQUIREMENTS = {requirement.name: requirement for requirement in map(Requirement, DEPENDENCIES)}


def test_the_lowest_set_pins_every_dependency_at_its_floor() -> None:
    assert pinned("lowest") == [
        f"{requirement.name}=={next(part.version for part in requirement.specifier if part.operator == '>=')}"
        for requirement in REQUIREMENTS.values()
    ]
    assert pinned("highest") == []
    assert pinned("ray==2.58.1") == ["ray==2.58.1"]


@pytest.mark.parametrize("test", QUICK_TESTS)
def test_every_quick_test_is_there(test: str) -> None:
    path, _, name = test.partition("::")
    assert (ROOT / path).exists()
    if name:
        assert f"\ndef {name}(" in (ROOT / path).read_text(encoding="utf-8")


PAGE_BEFORE = f"text\n{BEGIN}| 2026-01-01 | lowest | 3.11.7 | 1 | 2 | 3 | 4 | 5 | 6 | failed: test_a |\n{END}tail\n"


def outcome(day: str, ray: str) -> str:
    versions = dict(zip(LIBRARIES, [ray, "2", "3", "4", "5", "6"], strict=True))
    return Outcome(day, "lowest", "3.11.7", versions, "passed: 9 tests").row()


def test_a_row_replaces_that_of_the_same_versions_and_joins_the_others() -> None:
    again = with_row(PAGE_BEFORE, outcome("2026-02-02", "1"))
    assert again == PAGE_BEFORE.replace("2026-01-01", "2026-02-02").replace("failed: test_a", "passed: 9 tests")
    both = with_row(PAGE_BEFORE, outcome("2026-02-02", "1.1"))
    assert both == PAGE_BEFORE.replace(END, outcome("2026-02-02", "1.1") + "\n" + END)


@pytest.mark.parametrize(
    ("log", "result"),
    [
        ("....\n12 passed in 3.00s\n", "passed: 12 tests"),
        ("12 passed, 3 deselected in 3.00s\n", "passed: 12 tests"),
        (
            "FAILED tests/a.py::test_b[x] - E\nERROR tests/a.py::test_c\n1 failed, 2 passed, 1 error in 1s\n",
            "failed: test_b[x], test_c",
        ),
        ("ERROR: file or directory not found: tests/a.py\n", "failed: pytest ended early"),
        ("", "failed: pytest ended early"),
        ("no tests ran in 0.01s\n", "failed: pytest ended early"),
    ],
)
def test_the_outcome_is_read_off_what_pytest_printed(log: str, result: str) -> None:
    assert verdict(log) == result
