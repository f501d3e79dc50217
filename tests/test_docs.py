"""The pages tell the truth about the code: settings, trees, walk-throughs and the README, whose commands are run."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
import yaml

from tune_mlp.published.studies import load, published_studies
from tune_mlp.study.study import Study

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PUBLISHED = (ROOT / "docs" / "published.md").read_text(encoding="utf-8")
STOP = re.compile(r"^\d\. `([^`]+)`, `([^`]+)`", re.MULTILINE)
SMALLER = {  # what a test adds to a command of the README whose own size would take too long
    "tune-mlp search --space digits_quick": "--trials 2 --epochs 1 --concurrent 1 --quiet",
    "tune-mlp plan --space digits_quick": "--trials 2 --epochs 1 --concurrent 1",
}


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pages", ROOT / "docs" / "pages.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_page_is_what_the_settings_say(pages: ModuleType) -> None:
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == pages.page(), "run make docs"


def test_the_tree_in_the_architecture_page_is_what_the_modules_say(pages: ModuleType) -> None:
    assert pages.with_tree(ARCHITECTURE) == ARCHITECTURE, "run make docs"


def test_the_summary_of_claims_is_that_of_the_last_full_run(pages: ModuleType) -> None:
    assert pages.with_claims(PUBLISHED) == PUBLISHED, "run make docs"


def test_each_fault_that_attackers_found_names_tests_that_are_there() -> None:
    table = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8").partition("## Attacks and extreme inputs")[2]
    rows = re.findall(r"^\| (\d+) \|.*\| ([^|]+) \|$", table, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 19))
    for number, named in rows:
        files = re.findall(r"`([^`]+)`", named)
        assert files, number
        assert all((ROOT / "tests" / name).is_file() for name in files), number


def test_the_readme_has_at_most_1500_words() -> None:
    assert len(README.split()) <= 1500


def test_the_readme_lists_each_package_once_with_a_line() -> None:
    tree = README.partition("\ntune_mlp/\n")[2].partition("```")[0].splitlines()
    listed = [line.split("/")[0].strip() for line in tree]
    packages = [path.parent.name for path in (ROOT / "tune_mlp").glob("*/__init__.py")]
    assert listed == sorted(packages)
    assert all(line.partition("/")[2].strip() for line in tree)


def test_every_link_of_the_pages_leads_to_a_file() -> None:
    pages = (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))
    links = {page: re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")) for page in pages}
    assert len(links) > 8
    assert len(links[ROOT / "README.md"]) > 8
    for page, targets in links.items():
        for target in targets:
            assert target.startswith("https://") or (page.parent / target).exists(), f"{page.name}: {target}"


def walk_throughs() -> dict[str, list[tuple[str, str]]]:
    """Return the stops of each walk-through of the architecture page, as file and name, by its title."""
    part = ARCHITECTURE.partition("## Walk-throughs")[2].partition("\n## ")[0]
    sections = [section.partition("\n") for section in part.split("\n### ")[1:]]
    return {title: STOP.findall(text) for title, _, text in sections}


def names_of(path: Path) -> set[str]:
    """Return the names that a file defines or imports at its top level, and `Class.method` for methods."""
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        match node:
            case ast.FunctionDef(name=name):
                found.add(name)
            case ast.ClassDef(name=name, body=body):
                found |= {name, *(f"{name}.{inner.name}" for inner in body if isinstance(inner, ast.FunctionDef))}
            case ast.ImportFrom(names=aliases):
                found |= {alias.asname or alias.name for alias in aliases}
    return found


def test_every_stop_of_a_walk_through_exists() -> None:
    found = walk_throughs()
    assert len(found) == 3
    for title, stops in found.items():
        assert 1 <= len(stops) <= 5, title
        for file, name in stops:
            assert name in names_of(ROOT / file), f"{title}: {file} has no {name}"


def test_a_published_page_that_was_written_anew_gets_its_summary(pages: ModuleType) -> None:
    start = PUBLISHED.index(pages.PUBLISHED_HEAD)
    end = PUBLISHED.index(pages.END) + len(pages.END)
    written_anew = PUBLISHED[:start] + PUBLISHED[end:]
    assert pages.BEGIN not in written_anew
    assert pages.with_claims(written_anew) == PUBLISHED
    assert pages.with_claims(PUBLISHED) == PUBLISHED


def test_every_published_study_has_its_claims_in_the_kept_table() -> None:
    """If this fails, run tune-mlp reproduce all, copy its reproduced.csv and .md to docs/published.*, and run make docs."""
    kept = pd.read_csv(ROOT / "docs" / "published.csv")
    for name in published_studies():
        published = load(name).published
        rows = kept[kept["study"] == name]
        said = [claim.claim for claim in published.claims if not claim.rows]
        assert [claim for claim in said if claim not in set(rows["claim"])] == []
        assert set(rows["experiment"]) == {claim.experiment for claim in published.claims}
    assert set(kept["verdict"]) <= {"met", "missed", "reported"}
    assert kept["ours"].notna().all()


def test_every_make_word_of_the_readme_is_in_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    words = set(re.findall(r"^make ([a-z][a-z-]+)", README, re.MULTILINE))
    assert {"search", "test"} <= words
    for word in words:
        assert re.search(rf"^{word}:", makefile, re.MULTILINE), word


def test_the_readmes_study_is_valid() -> None:
    text = README.partition("```yaml\n")[2].partition("```")[0]
    assert Study.model_validate(yaml.safe_load(text)).number_of_trials == 50


def readme_commands() -> list[str]:
    """Return the README's shell commands of the first steps, without their comments."""
    block = README.partition("## First steps")[2].partition("```sh\n")[2].partition("```")[0]
    return [line.partition("#")[0].strip() for line in block.splitlines()]


def test_the_readmes_commands_run(tmp_path: Path) -> None:
    """Run them as they stand, one after the other in one folder; `SMALLER` adds options that shorten two of them."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    commands = readme_commands()
    assert len(commands) >= 7
    used = set()
    for command in commands:
        key = next((key for key in SMALLER if command.startswith(key)), None)
        used.add(key)
        words = [*command.split(), *SMALLER.get(key or "", "").split()]
        ran = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200)
        allowed = (
            {0, 1} if command == "tune-mlp doctor" else {0}
        )  # a full disk of this machine is not the README's fault
        assert ran.returncode in allowed, f"{command}: {ran.stdout}{ran.stderr}"
        assert ran.stdout or "--quiet" in words, command
    assert set(SMALLER) <= used
    assert len(pd.read_csv(tmp_path / "runs" / "first" / "trials.csv")) == 4


@pytest.mark.slow
def test_make_search_runs_the_main_job(tmp_path: Path) -> None:
    """Run `make search` as the README has it, into a folder of the test's own."""
    venv = Path(sys.executable).parents[1]
    words = ["make", "search", f"VENV={venv}", f"ARGS=--out {tmp_path} --name main"]
    ran = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert ran.returncode == 0, ran.stderr
    assert len(pd.read_csv(tmp_path / "main" / "trials.csv")) == 25
