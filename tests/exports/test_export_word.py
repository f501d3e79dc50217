"""`tune-mlp export` with another tool: one line of what was written, or one line of why not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from tests.exports.runs import a_run
from tune_mlp import cli
from tune_mlp.exports.optuna_study import export_optuna
from tune_mlp.results.results import Results, RunFiles
from tune_mlp.results.storage import ObjectStore


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    a_run(tmp_path / "first")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "first"


def test_a_study_is_named_after_the_run_and_its_database_as_an_address_or_a_file(run: Path, capsys) -> None:
    assert cli.main(["export", "first", "--to", "optuna", "--output", "sqlite:///study.db"]) == 0
    line = "sqlite:///study.db: the study 'first', 4 trials with 6 intermediate values\n"
    assert capsys.readouterr() == (line, "")
    assert cli.main(["export", "first", "--to", "optuna", "--output", "study.db", "--name", "again"]) == 0
    assert cli.main(["export", "first", "--to", "optuna", "--output", "study.db"]) == 2
    assert (
        capsys.readouterr()
        .err.splitlines()[-1]
        .endswith("--output study.db: it has a study 'first' already; name another one with --name")
    )
    assert sorted(optuna.get_all_study_names("sqlite:///study.db")) == ["again", "first"]


def test_without_an_output_the_export_lies_in_the_runs_folder(run: Path, capsys) -> None:
    assert cli.main(["export", "first", "--to", "tensorboard"]) == 0
    assert len(list((run / "tensorboard").iterdir())) == 4
    assert "4 runs with 24 values, and histograms of 0 layers" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("csv --name x", "--name names a study or an experiment in a database; --to csv has none"),
        ("tensorboard --name x", "--to tensorboard has none"),
        ("optuna --what epochs", "--to optuna writes the whole run; --what names a table"),
        ("onnx --what epochs", "--to onnx writes the winner's model; --what names a table"),
        ("mlflow --output -", "--to mlflow is no text; give --output a file"),
    ],
)
def test_options_that_do_not_go_together_are_refused(run: Path, capsys, options: str, words: str) -> None:
    assert cli.main(["export", "first", "--to", *options.split()]) == 2
    assert words in capsys.readouterr().err


def test_a_run_on_an_object_store_goes_to_a_place_on_this_machine(run: Path, capsys, monkeypatch) -> None:
    results = replace(Results.load(run), files=RunFiles(run, ObjectStore("s3://bucket/runs/far")))
    export_optuna(results, "far.db")
    assert optuna.get_all_study_names("sqlite:///far.db") == ["far"]
    monkeypatch.setattr(Results, "load", lambda run: results)
    assert cli.main(["export", "s3://bucket/runs/far", "--to", "optuna"]) == 2
    assert "the run is on an object store; give --output a place on this machine" in capsys.readouterr().err
