"""What is written of the code is true: the reference page, the README's tree and commands."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
import yaml

from tune_mlp.published.studies import load, published_studies
from tune_mlp.search import make_parser
from tune_mlp.space.files import shipped
from tune_mlp.study.study import Study

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


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


def test_the_readmes_tree_is_what_the_modules_say(pages: ModuleType) -> None:
    assert pages.with_tree(README) == README, "run make docs"


def test_the_readmes_claims_are_those_of_the_last_full_run(pages: ModuleType) -> None:
    assert pages.with_claims(README) == README, "run make docs"


def test_every_published_study_has_its_claims_in_the_kept_table() -> None:
    """Where this fails: tune-mlp reproduce all, and copy its reproduced.csv and .md to docs/published.*"""
    kept = pd.read_csv(ROOT / "docs" / "published.csv")
    for name in published_studies():
        published = load(name).published
        rows = kept[kept["study"] == name]
        said = [claim.claim for claim in published.claims if not claim.rows]
        assert [claim for claim in said if claim not in set(rows["claim"])] == []
        assert set(rows["experiment"]) == {claim.experiment for claim in published.claims}
    assert set(kept["verdict"]) <= {"met", "missed", "reported"}
    assert kept["ours"].notna().all()


def test_every_top_level_entry_is_in_the_readmes_tree() -> None:
    tree = README.partition("## The tree")[2]
    hidden = {".ci"}
    entries = [path for path in ROOT.iterdir() if not path.name.startswith(".") or path.name in hidden]
    ignored = set((ROOT / ".gitignore").read_text().replace("/", "").split())
    for path in entries:
        if path.name not in ignored and path.suffix != ".egg-info" and path.name != "README.md":
            assert re.search(rf"^{re.escape(path.name)}(/| |$)", tree, re.MULTILINE), path.name


def test_every_make_word_of_the_readme_is_in_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    words = set(re.findall(r"^make ([a-z][a-z-]+)", README, re.MULTILINE))
    assert {"search", "test"} <= words
    for word in words:
        assert re.search(rf"^{word}:", makefile, re.MULTILINE), word


def test_every_command_of_the_readme_is_understood() -> None:
    commands = re.findall(r"^python -m tune_mlp\.search ([^#\n]*)", README, re.MULTILINE)
    assert len(commands) >= 3
    for command in commands:
        args = make_parser().parse_args(command.split())
        assert args.space in shipped() or args.space == "my_study.yaml"


def test_the_readmes_study_is_valid() -> None:
    text = README.partition("```yaml\n")[2].partition("```")[0]
    assert Study.model_validate(yaml.safe_load(text)).number_of_trials == 50
