"""Numbers of trials and epochs that no machine can train are refused before anything is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.folders import contents, left_behind
from tune_mlp import cli
from tune_mlp.config import MAX_EPOCHS, MAX_TRIALS


@pytest.mark.parametrize("word", ["search", "plan"])
@pytest.mark.parametrize(
    ("option", "most"), [("--trials", MAX_TRIALS), ("--epochs", MAX_EPOCHS)], ids=["trials", "epochs"]
)
def test_a_study_beyond_the_limit_is_refused(
    word: str,
    option: str,
    most: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in (most + 1, 10**9, 10**21):
        assert cli.main([word, "--space", "digits_quick", option, str(number)]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert f"must be less than or equal to {most}, got {number}" in said
    assert not list(tmp_path.iterdir())


def test_a_resume_beyond_the_limit_is_refused_and_leaves_the_run_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = left_behind(tmp_path)
    before = contents(run)
    for trials in ("+999999999", "999999999", str(MAX_TRIALS + 1), f"+{MAX_TRIALS}"):
        assert cli.main(["resume", str(run), "--trials", trials]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert f"--trials {trials}" in said
        assert f"must be less than or equal to {MAX_TRIALS}" in said
        assert contents(run) == before
