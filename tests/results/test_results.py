from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.results.journals import a_study, drawn, ended, lines_of, started, trial, write
from tune_mlp.errors import RunFolderError
from tune_mlp.results.results import Results


def folder(path: Path, events: Any = None) -> Path:
    path.mkdir(parents=True)
    write(path / "journal.jsonl", a_study() if events is None else events)
    return path


def test_a_run_is_loaded_by_its_folder_or_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path / "runs" / "one")
    monkeypatch.chdir(tmp_path)
    for run in ("one", "runs/one", tmp_path / "runs" / "one", str(tmp_path / "runs" / "one")):
        results = Results.load(run)
        assert len(results.trials) == 4
        assert len(results.epochs) == 6
        assert (results.metric, results.mode) == ("val_accuracy", "max")
        assert (results.path / "journal.jsonl").is_file()


def test_study_and_manifest_are_read_and_empty_where_missing(tmp_path: Path) -> None:
    run = folder(tmp_path / "r")
    assert Results.load(run).study == {}
    assert Results.load(run).manifest == {}
    (run / "study.yaml").write_text("trials: 25\n")
    (run / "run.json").write_text('{"status": 0}')
    assert Results.load(run).study == {"trials": 25}
    assert Results.load(run).manifest == {"status": 0}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("study.yaml", "a: ["),
        ("study.yaml", "!!python/object/apply:os.getcwd []"),
        ("study.yaml", "- a"),
        ("study.yaml", "2001-99-99"),
        ("run.json", "{"),
        ("run.json", "[]"),
    ],
)
def test_a_broken_file_is_refused_in_one_line(name: str, text: str, tmp_path: Path) -> None:
    run = folder(tmp_path / "r")
    (run / name).write_text(text)
    with pytest.raises(RunFolderError) as caught:
        Results.load(run)
    assert str(run / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_run_is_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunFolderError, match=r"^no run's folder x, and no run of that name in runs/$"):
        Results.load("x")
    (tmp_path / "x").mkdir()
    with pytest.raises(RunFolderError, match=r"journal.jsonl: can't read the journal"):
        Results.load("x")


def test_a_journal_that_makes_no_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_bytes(b"".join(lines_of([started(), ended(7)])))
    with pytest.raises(RunFolderError, match=r"journal.jsonl:2: tells of trial 7, which was never drawn"):
        Results.load(tmp_path)


def test_the_winner_is_the_best_row_and_none_where_no_trial_succeeded(tmp_path: Path) -> None:
    best = Results.load(folder(tmp_path / "a")).best
    assert best is not None
    assert (best["trial"], best["best_val_accuracy"], best["test_accuracy"]) == (0, 0.75, 0.8125)
    nothing = Results.load(folder(tmp_path / "b", [started(), drawn(0), ended(0, "failed", error="x")]))
    assert nothing.best is None
    assert "1 trial (1 failed)" in repr(nothing)
    assert nothing._repr_html_().startswith("<p>")


def test_tables_come_from_the_journal_alone(tmp_path: Path) -> None:
    run = folder(tmp_path / "r")
    for name in ("trials.csv", "trials.parquet", "epochs.parquet"):
        (run / name).write_bytes(b"nonsense")
    assert len(Results.load(run).trials) == 4


def test_a_notebook_shows_the_best_trials_and_no_markup_of_others(tmp_path: Path) -> None:
    run = folder(tmp_path / "r", [started(), *trial(0, 0.5), *trial(1, 0.75, params={"note": "<script>"})])
    page = Results.load(run)._repr_html_()
    assert "<table" in page
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_the_repr_is_one_line_with_the_best_and_any_stand_in(tmp_path: Path) -> None:
    assert repr(Results.load(folder(tmp_path / "a"))) == (
        f"<Results {tmp_path / 'a'}: 4 trials (1 diverged, 1 failed, 1 finished, 1 stopped), best val_accuracy 0.75 in trial 0>"
    )
    results = Results.load(folder(tmp_path / "b", [started(dataset="digits", stand_in_for="mnist"), *trial(0, 0.5)]))
    assert repr(results).endswith("; digits stood in for mnist>")
    assert results.stand_in_for == "mnist"
    assert "digits stood in for mnist" in results._repr_html_()


def test_a_run_of_journal_format_1_is_loaded_with_its_winner() -> None:
    old = Path(__file__).parents[1] / "fixtures" / "run_format_1"
    results = Results.load(old)
    assert ",".join(results.trials.columns) == (old / "trials.csv").read_text().splitlines()[0] + ",reason"
    assert results.best is not None
    assert results.best["trial"] == 1
