"""The manifest of a run that goes on: the versions that each part was made with, and what a changed study does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tune_mlp.errors import RunFolderError
from tune_mlp.runs import manifest as manifests
from tune_mlp.runs.manifest import Manifest, check_same_study, installed_versions

OLD_RUN = Path(__file__).parents[1] / "fixtures" / "run_format_1"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return Path(shutil.copytree(OLD_RUN, tmp_path / "run"))


def with_facts(run: Path, **facts: object) -> Manifest:
    path = run / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | facts))
    return Manifest.load(run)


def test_other_versions_are_named_with_those_of_now(run: Path) -> None:
    now = installed_versions()
    assert with_facts(run, versions=now).other_versions() == ""
    older = with_facts(run, versions=now | {"torch": "0.1", "gone": "1"})
    assert older.other_versions() == f"torch 0.1 (now {now['torch']}), gone 1 (now none)"


def test_the_versions_of_the_last_resume_count(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = installed_versions()
    resumed = [{"at": "then", "command": [], "versions": now}, {"at": "before versions were kept", "command": []}]
    assert with_facts(run, versions=now | {"torch": "0.1"}, resumed=resumed).other_versions() == ""
    monkeypatch.setattr(manifests, "installed_versions", lambda: now | {"ray": "9"})
    assert with_facts(run).other_versions() == f"ray {now['ray']} (now 9)"


def test_a_version_cannot_change_what_a_terminal_shows(run: Path) -> None:
    line = with_facts(run, versions={"torch": "\x1b[31m\n"}).other_versions()
    assert line.isprintable()


def test_a_study_that_was_changed_is_refused(run: Path) -> None:
    check_same_study(Manifest.load(run))
    (run / "study.yaml").write_text((run / "study.yaml").read_text().replace("epochs", "epochs ", 1))
    with pytest.raises(RunFolderError, match=r"study\.yaml: was changed or damaged"):
        check_same_study(Manifest.load(run))
