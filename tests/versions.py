"""Try the package on the lowest and the highest versions that its ranges name, by `make test-versions`.

Each set of versions gets a virtual environment of its own under build/versions/, in which the tests below run, and then a
row in docs/versions.md. With arguments, only those sets are tried: `lowest`, `highest`, or one version of one library in
place of the newest, such as `ray==2.58.1`.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import re
import shutil
import subprocess
import sys
import time
import tomllib
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "versions.md"
WORK = ROOT / "build" / "versions"
LIBRARIES = {
    "ray": "Ray",
    "torch": "PyTorch",
    "numba": "numba",
    "optuna": "Optuna",
    "pandas": "pandas",
    "numpy": "NumPy",
}
"""The libraries with a column in the table, by their distributions."""

QUICK_TESTS = (
    "tests/data/test_tabular.py",
    "tests/engines/test_engine_conformance.py",
    "tests/exports/test_optuna_study.py",
    "tests/results",
    "tests/space/test_choosers.py",
    "tests/training",
    "tests/tuning/test_cluster.py",
    "tests/tuning/test_ray_versions.py",
    "tests/tuning/test_schedulers.py",
    "tests/tuning/test_searchers.py",
    "tests/tuning/test_run.py::test_every_scheduler_carries_a_study_to_its_end",
    "tests/tuning/test_run_of_a_study.py::test_every_search_carries_a_study_to_its_end",
)
"""Tests that between them use all of these libraries, and end in a few minutes."""

BEGIN, END = "<!-- versions:begin -->\n", "<!-- versions:end -->\n"


@dataclass(frozen=True)
class Outcome:
    """The outcome for one set of versions on one day."""

    day: str
    name: str
    python: str
    versions: dict[str, str]
    result: str

    def row(self) -> str:
        """Return the set's row of the table."""
        cells = [
            self.day,
            self.name,
            self.python,
            *(self.versions.get(name, "none") for name in LIBRARIES),
            self.result,
        ]
        return f"| {' | '.join(cells)} |"


def main() -> int:
    """Try the sets one after the other; the status is 1 where a test failed."""
    parser = argparse.ArgumentParser(prog="make test-versions", description=__doc__)
    parser.add_argument(
        "sets", nargs="*", metavar="SET", help="lowest, highest or NAME==VERSION; default: the first two"
    )
    parser.add_argument("--keep", action="store_true", help="keep the virtual environments")
    args = parser.parse_args()
    outcomes = [tried(name, args.keep) for name in args.sets or ["lowest", "highest"]]
    return int(any(not outcome.result.startswith("passed") for outcome in outcomes))


def tried(name: str, keep: bool) -> Outcome:
    """Make the set's environment, run the tests in it, and write down what came of it."""
    folder = WORK / re.sub(r"\W+", "-", name)
    shutil.rmtree(folder, ignore_errors=True)
    python = folder / "bin" / "python"
    venv.create(folder, with_pip=True)
    pins = folder / "pins.txt"
    pins.write_text("\n".join(pinned(name)) + "\n", encoding="utf-8")
    began = time.monotonic()
    install = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--constraint",
        str(pins),
        "--editable",
        ".[dev]",
    ]
    log = WORK / f"{folder.name}.log"
    with log.open("w", encoding="utf-8") as file:
        if subprocess.run([python, *install], cwd=ROOT, stdout=file, stderr=file, check=False).returncode:
            result = "failed: pip finds no such set"
        else:
            print(f"{name}: installed in {time.monotonic() - began:.0f} s, the tests' output is in {log}", flush=True)
            tests = ["-m", "pytest", "-p", "no:cacheprovider", *QUICK_TESTS]
            subprocess.run([python, *tests], cwd=ROOT, stdout=file, stderr=file, check=False)
            result = verdict(log.read_text(encoding="utf-8"))
    outcome = Outcome(datetime.date.today().isoformat(), name, platform.python_version(), installed(python), result)
    print(outcome.row(), flush=True)
    PAGE.write_text(with_row(PAGE.read_text(encoding="utf-8"), outcome.row()), encoding="utf-8")
    if not keep:
        shutil.rmtree(folder)
    return outcome


def pinned(name: str, dependencies: list[str] | None = None) -> list[str]:
    """Return the pins of a set: each dependency at its floor for `lowest`, none for `highest`, else the set's own name."""
    if name == "highest":
        return []
    if name != "lowest":
        return [name]
    found = []
    for line in (
        dependencies or tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    ):
        distribution, floor = re.fullmatch(r"([\w-]+)(?:\[\w+\])?>=([\w.]+)(?:,<[\w.]+)?", line).groups()  # type: ignore[union-attr]  # else a test fails
        found.append(f"{distribution}=={floor}")
    return found


def installed(python: Path) -> dict[str, str]:
    """Return the versions of the table's libraries in an environment, as far as they are there."""
    listed = subprocess.run(
        [python, "-m", "pip", "list", "--format", "json"], capture_output=True, text=True, check=True
    ).stdout
    return {one["name"]: one["version"] for one in json.loads(listed) if one["name"] in LIBRARIES}


def verdict(log: str) -> str:
    """Return what pytest's last line says, and which tests failed."""
    counts = {
        word: int(number)
        for number, word in re.findall(r"(\d+) (passed|failed|errors?)\b", log.rstrip().rpartition("\n")[2])
    }
    failed = re.findall(r"^(?:FAILED|ERROR) \S*?::(\S+)", log, re.MULTILINE)
    if failed or counts.keys() != {"passed"}:
        return f"failed: {', '.join(failed) or 'pytest ended early'}"
    return f"passed: {counts['passed']} tests"


def with_row(page: str, row: str) -> str:
    """Return the page with the row at the table's end, in place of an earlier row of the same set and versions."""
    head, begin, rest = page.partition(BEGIN)
    table, end, tail = rest.partition(END)
    assert begin
    assert end
    same = row.split(" | ")[1:-1]
    rows = [line for line in table.splitlines() if line.split(" | ")[1:-1] != same]
    return head + begin + "\n".join([*rows, row]) + "\n" + end + tail


if __name__ == "__main__":
    sys.exit(main())
