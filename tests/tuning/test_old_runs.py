"""A run folder of journal format 1, which an earlier version wrote: it is read, exported, resumed and extended by the commands."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from tune_mlp import Results, cli
from tune_mlp.console.run_export import ENDINGS

OLD_RUN = Path(__file__).parents[1] / "fixtures" / "run_format_1"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return Path(shutil.copytree(OLD_RUN, tmp_path / "run"))


def test_an_old_run_is_exported(run: Path, tmp_path: Path) -> None:
    for kind in ENDINGS:
        assert cli.main(["export", str(run), "--to", kind, "--output", str(tmp_path / f"t.{kind}")]) == 0
    exported = pd.read_csv(tmp_path / "t.csv")
    assert list(exported["trial"]) == list(Results.load(run).trials["trial"])


@pytest.mark.usefixtures("local_ray")
def test_an_old_run_is_extended_and_says_that_other_versions_wrote_it(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run / "run.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"versions": manifest["versions"] | {"torch": "0.1"}}))
    before = Results.load(run)
    assert cli.main(["resume", str(run), "--trials", "+1", "--csv", str(tmp_path / "t.csv")]) == 0
    assert "warning: the run was written with torch 0.1 (now " in capsys.readouterr().out
    after = Results.load(run)
    old = before.trials["trial"]
    assert list(after.trials["trial"]) == [*old, len(old)]
    pd.testing.assert_frame_equal(after.epochs[after.epochs["trial"].isin(old)], before.epochs)
    assert len(pd.read_csv(tmp_path / "t.csv")) == len(old) + 1
    assert list(after.outcomes.trials) == [len(old)], "earlier versions left none"
    versions = json.loads(path.read_text())["resumed"][-1]["versions"]
    assert versions["torch"] != "0.1"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("seed: 0", "seed: 1", "began with other data than digits is now"),
        ("metric: val_accuracy", "metric: val_loss", "journal.jsonl:1: began with metric val_accuracy"),
        ("epochs: 8", "epochs: 9", "journal.jsonl:1: began with epochs 8, and study.yaml and run.json say 9"),
        ("    - 0.001\n", "    - 0.002\n", "journal.jsonl: trial 0 isn't the one that study.yaml draws"),
    ],
)
def test_a_study_that_was_changed_with_its_checksum_is_refused(
    run: Path, old: str, new: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    study, path = run / "study.yaml", run / "run.json"
    text = study.read_text()
    assert old in text
    study.write_text(text.replace(old, new, 1))
    digest = hashlib.sha256(study.read_bytes()).hexdigest()
    path.write_text(json.dumps(json.loads(path.read_text()) | {"study_sha256": [digest]}))
    assert cli.main(["resume", str(run), "--trials", "+1"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
