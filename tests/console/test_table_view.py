"""`tune-mlp data` from outside: what it prints, and a study that it writes and that runs."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tune_mlp import Results, Study
from tune_mlp.cli import main

ROWS = pd.DataFrame(
    {
        "id": [f"user{i}" for i in range(60)],
        "size": [i * 7 % 31 + i / 10 for i in range(60)],
        "colour": ["red", "green", None] * 20,
        "kind": ["x", "y"] * 30,
    }
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    ROWS.to_csv(tmp_path / "things.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_file_is_described_and_a_study_is_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "things.csv", "--write", "s.yaml"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("things.csv: 60 rows, 4 columns\n")
    assert "target    kind (the last column; --target names another)" in said
    assert "classes   x 30, y 30" in said
    assert "always answering 'x' is right in 50.00% of the rows" in said
    assert '            ignore: ["id"]' in said
    assert said.endswith("wrote s.yaml; next: tune-mlp search --space s.yaml\n")
    study = Study.load("s.yaml")
    assert study.data.target == "kind"
    assert study.data.missing == "fill"
    assert main(["data", "s.yaml"]) == 0
    assert "things.csv: 60 rows, 3 columns" in capsys.readouterr().out, "without the one that is ignored"


@pytest.mark.parametrize("to", ["json", "csv", "markdown"])
def test_the_answer_alone_is_written_for_programs(folder: Path, to: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "things.csv", "--to", to, "--write", "s.yaml"]) == 0
    said = capsys.readouterr().out
    if to == "json":
        assert [row["column"] for row in json.loads(said)] == ["id", "size", "colour", "kind"]
    assert said.count("\n") == {"json": 6, "csv": 5, "markdown": 6}[to]
    assert (folder / "s.yaml").exists()


@pytest.mark.parametrize(("rare", "uneven"), [(10, True), (20, False)])
def test_uneven_classes_are_measured_by_class_and_may_be_weighted(folder: Path, rare: int, uneven: bool) -> None:
    ROWS.assign(kind=["x"] * rare + ["y"] * (60 - rare)).to_csv("things.csv", index=False)
    assert main(["data", "things.csv", "--write", "s.yaml"]) == 0
    study = Study.load("s.yaml")
    assert ("class_weight" in study.space) == uneven
    assert study.measure == (("val_balanced_accuracy", "val_macro_f1") if uneven else ())


@pytest.mark.parametrize("kind", ["xlsx", "parts"])
def test_an_excel_file_and_a_folder_of_parts_are_described_and_learnt(
    folder: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if kind == "xlsx":
        ROWS.to_excel("things.xlsx", index=False)
    else:
        Path("things.parts").mkdir()
        ROWS.iloc[:20].to_csv("things.parts/a.csv", index=False)
        ROWS.iloc[20:].to_csv("things.parts/b.csv", index=False)
    assert main(["data", f"things.{kind}", "--target", "kind", "--write", "s.yaml"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"things.{kind}: 60 rows")
    assert Study.load("s.yaml").data.name.partition(":")[0] == ("xlsx" if kind == "xlsx" else "csv")


def test_the_written_study_runs_as_it_is(folder: Path, in_process_and_on_ray: None) -> None:
    assert main(["data", "things.csv", "--target", "colour", "--write", "s.yaml"]) == 0
    results = Study.load("s.yaml", trials=2, epochs=2, concurrent=1).run(out=folder, name="run", quiet=True)
    assert len(results.trials) == 2
    assert isinstance(results, Results)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["things.csv", "--write", "things.csv"], "--write things.csv: is there already; name another file"),
        (["things.csv", "--write", "no/s.yaml"], "--write no/s.yaml: there is no folder no"),
        (["things.csv", "--target", "kid"], "data.target: no column 'kid' in this table (did you mean 'kind'?)"),
        (["things.dat"], "things.dat"),
        (["nothing.csv"], "nothing.csv"),
        (["digits_quick"], "learns digits, which is no table"),
    ],
)
def test_bad_usage_is_one_line(
    folder: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", *arguments]) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.err.count("\n") == 1
