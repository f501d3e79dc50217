"""The words of tune-mlp, and the help of both commands."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import openpyxl
import pandas as pd
import pytest

from tests.published.made import STUDY
from tests.results.journals import a_study, write
from tune_mlp import __version__, cli, search
from tune_mlp.console.run_export import ENDINGS, TOOLS
from tune_mlp.console.study_options import OPTIONS, changes, named_study
from tune_mlp.data.sources import load_dataset
from tune_mlp.published.studies import published_studies
from tune_mlp.results.export import EXPORTS
from tune_mlp.results.results import Results
from tune_mlp.space.files import read_file, shipped
from tune_mlp.study.settings import Scheduler, Search
from tune_mlp.study.study import Study


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return a run's folder that holds only a journal."""
    folder = tmp_path / "a_run"
    folder.mkdir()
    write(folder / "journal.jsonl", a_study())
    return folder


def test_spaces_lists_the_shipped_ones_with_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["spaces"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(shipped())
    for line, path in zip(lines, shipped().values(), strict=True):
        assert line.endswith(f"  {read_file(path).tree['description']}")


def test_spaces_with_a_name_prints_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["spaces", "mnist_asha"]) == 0
    assert capsys.readouterr().out == shipped()["mnist_asha"].read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [name for name, path in shipped().items() if "published" not in path.parts])
def test_a_printed_space_can_be_saved_anywhere_and_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["spaces", name]) == 0
    (tmp_path / "my.yaml").write_text(capsys.readouterr().out, encoding="utf-8")
    study = Study.load("my.yaml", name=name)
    assert study.dump() == Study.load(name).dump()
    if study.data.name.startswith("csv:"):
        assert len(load_dataset(study.data).x) > 100


def test_a_space_is_copied_with_its_table_and_the_copy_runs_where_it_lies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "a folder" / "of mine"
    words = ["spaces", "cancer_table", "--copy", str(folder)]
    assert cli.main(words) == 0
    study, table = folder / "cancer_table.yaml", folder / "cancer_table.csv"
    said = capsys.readouterr().out
    assert said == f"copied to {study} and {table}; next: tune-mlp search --space '{study}'\n"
    assert study.read_bytes() == shipped()["cancer_table"].read_bytes()
    assert Study.load(study).data.name == f"csv:{table}"
    table.unlink()
    assert cli.main(words) == 2
    assert "cancer_table.yaml exists already; choose another folder" in capsys.readouterr().err
    assert not table.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["digits_quik", "--copy", "new"], "no shipped space is named 'digits_quik' (did you mean 'digits_quick'?)"),
        (["--copy", "new"], "--copy: name the space to copy"),
        (["digits_quick", "--copy", "file"], "--copy file: can't be written: File exists"),
        (["digits_quick", "--copy", "file/new"], "--copy file/new: can't be written: Not a directory"),
        (["digits_quick", "--copy"], "--copy: expected one argument"),
    ],
)
def test_a_space_that_cannot_be_copied_is_said_in_one_line(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    try:
        status = cli.main(["spaces", *words])
    except SystemExit as ended:
        status = int(ended.code or 0)
    error = capsys.readouterr().err
    assert (status, error.count("\n")) == (2, 1)
    assert said in error
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_schema_prints_the_shipped_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["schema"]) == 0
    path = shipped()["mnist_asha"].with_name("study.schema.json")
    assert capsys.readouterr().out == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("what", ["trials", "epochs"])
@pytest.mark.parametrize("to", list(ENDINGS))
def test_export_writes_every_table_as_every_kind(
    run: Path, to: str, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["export", str(run), "--to", to, "--what", what]) == 0
    path = run / f"{what}.{ENDINGS[to]}"
    rows = len(getattr(Results.load(run), what))
    assert capsys.readouterr().out.startswith(f"{path}: {rows} {what}, ")
    count = {
        "csv": lambda: len(pd.read_csv(path)),
        "parquet": lambda: len(pd.read_parquet(path)),
        "json": lambda: len(json.loads(path.read_text(encoding="utf-8"))),
        "xlsx": lambda: openpyxl.load_workbook(path).active.max_row - 1,
        "markdown": lambda: len(path.read_text(encoding="utf-8").splitlines()) - 2,
    }[to]
    assert count() == rows


def test_export_writes_where_it_is_told(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.csv"
    assert cli.main(["export", str(run), "--to", "csv", "--output", str(path)]) == 0
    assert len(pd.read_csv(path)) == 4
    assert not (run / "trials.csv").exists()
    assert "mine.csv" in capsys.readouterr().out


def test_export_finds_a_run_by_its_name(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run.parent.joinpath("runs").mkdir()
    run.rename(run.parent / "runs" / "a_run")
    monkeypatch.chdir(run.parent)
    assert cli.main(["export", "a_run", "--to", "json"]) == 0
    assert Path("runs/a_run/trials.json").exists()


@pytest.mark.parametrize("to", ["csv", "json", "markdown"])
def test_export_to_the_screen_prints_the_table_and_nothing_else(
    run: Path, to: str, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert cli.main(["export", str(run), "--to", to]) == 0
    capsysbinary.readouterr()
    assert cli.main(["export", str(run), "--to", to, "--output", "-"]) == 0
    assert capsysbinary.readouterr().out == (run / f"trials.{ENDINGS[to]}").read_bytes()


def test_export_to_the_screen_can_be_sent_to_a_file(run: Path, tmp_path: Path) -> None:
    """A redirected stdout must not be replaced, unlike a file that is written aside and renamed."""
    out = tmp_path / "sent.csv"
    with out.open("wb") as file:
        words = [sys.executable, "-m", "tune_mlp", "export", str(run), "--to", "csv", "--output", "-"]
        subprocess.run(words, stdout=file, check=True, timeout=120)
    assert len(pd.read_csv(io.BytesIO(out.read_bytes()))) == 4


@pytest.mark.parametrize("to", ["parquet", "xlsx"])
def test_what_is_no_text_is_not_for_the_screen(run: Path, to: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["export", str(run), "--to", to, "--output", "-"]) == 2
    assert "is no text; give --output a file" in capsys.readouterr().err


def test_export_into_a_missing_folder_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["export", str(run), "--to", "csv", "--output", str(run / "absent" / "t.csv")]) == 2
    assert "there is no folder" in capsys.readouterr().err


def test_the_kinds_of_file_and_their_writers_agree() -> None:
    assert set(ENDINGS) == set(EXPORTS)
    assert set(cli.FORMATS) == {*EXPORTS, "onnx", *TOOLS}


def test_reproduce_without_a_name_lists_the_published_studies(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["reproduce"]) == 0
    text = capsys.readouterr().out
    for name in published_studies():
        assert f"{name}: " in text
    assert "can't be read" not in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing_like_it"], "no published study is named 'nothing_like_it'"),
        (["absent.yaml"], "absent.yaml: can't read the study file"),
        (["mnist_asha"], "no published study is named 'mnist_asha'"),
    ],
)
def test_reproduce_refuses_what_is_no_published_study(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["reproduce", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.usefixtures("in_process_and_on_ray")
@pytest.mark.parametrize(("data", "status"), [("digits", 0), ("nowhere:nothing", 1)])
def test_reproduce_ends_with_1_where_an_experiment_failed(
    data: str, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(STUDY.replace("name: digits", f"name: {data}"), encoding="utf-8")
    assert cli.main(["reproduce", str(path), "--only", "one", "--out", str(tmp_path / "runs")]) == status
    said = capsys.readouterr()
    assert ("without a figure: 2 of 2 rows; the first, tiny one: " in said.err) == bool(status)
    [folder] = (tmp_path / "runs").iterdir()
    assert f"{folder}/reproduced.html" in said.out


def test_version_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"tune-mlp {__version__}\n"


CONTRACT = [
    *("--space", "--trials", "--epochs", "--scheduler", "--searcher", "--metric", "--mode", "--cpus", "--gpus"),
    "--warm-start",
    *(
        "--concurrent",
        "--address",
        "--dataset",
        "--data-dir",
        "--engine",
        "--seed",
        "--time-budget",
        "--until",
        "--set",
    ),
    *("--out", "--name", "--csv", "--quiet", "--no-report"),
]


def test_set_changes_what_an_option_chose() -> None:
    words = ["--space", "digits_quick", "--set", "until.plateau=0.5", "--until", "plateau"]
    words += [
        "--set",
        "scheduler.median.grace_period=3",
        "--scheduler",
        "median",
        "--trials",
        "40",
        "--set",
        "trials=30",
    ]
    args = search.make_parser().parse_args(words)
    for study in (named_study(args), Study.load("digits_quick", changes(args))):
        assert study.until.plateau is not None
        assert study.until.plateau.small == 0.5
        assert study.scheduler.median is not None
        assert study.scheduler.median.grace_period == 3
        assert study.trials == 30
    assert Study.load("digits_quick", ["until=trials", "until.plateau=1"]).until.name == "plateau"


def test_help_lists_every_option_of_the_contract_with_a_sentence_and_an_example() -> None:
    parser = search.make_parser()
    options = {option: action for action in parser._actions for option in action.option_strings}
    assert set(options) == {*CONTRACT, "-h", "--help"}
    assert all(action.help for action in options.values())
    text = parser.format_help()
    assert "python -m tune_mlp.search --space mnist_asha" in text
    for name in (*Scheduler.model_fields, *Search.model_fields):
        assert name in text


def test_both_spellings_of_the_search_take_the_same_options(capsys: pytest.CaptureFixture[str]) -> None:
    helps = []
    for run in (lambda: cli.main(["search", "--help"]), lambda: search.main(["--help"])):
        with pytest.raises(SystemExit):
            run()
        text = capsys.readouterr().out
        helps.append(text[text.index("options:") : text.index("examples:")])
    assert helps[0] == helps[1]


def test_a_mistake_in_a_search_names_the_command_as_it_was_spelt(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["search", "--trials", "3"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("tune-mlp search: ")


def test_every_option_stands_for_a_setting_that_exists() -> None:
    for option, path in OPTIONS.items():
        assert option in CONTRACT
        owner: object = Study
        for part in path.split("."):
            field = owner.model_fields[part]  # type: ignore[attr-defined]
            owner = field.annotation


@pytest.mark.parametrize("module", ["tune_mlp.search", "tune_mlp.cli"])
def test_help_imports_neither_torch_nor_ray_nor_pandas(module: str) -> None:
    code = f"""
import sys
from {module} import main
try:
    main(["--help"])
except SystemExit as ended:
    assert ended.code == 0
print("HEAVY", sorted(set(sys.modules) & {{"torch", "ray", "pandas", "sklearn", "optuna", "rich", "torchvision"}}))
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert "usage:" in ran.stdout
    assert "example" in ran.stdout
    assert ran.stdout.splitlines()[-1] == "HEAVY []"
    assert ran.stderr == ""


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["search", "--help"],
        ["spaces", "--help"],
        ["export", "--help"],
        ["schema", "--help"],
        ["reproduce", "--help"],
        ["resume", "--help"],
        ["plan", "--help"],
    ],
)
def test_every_word_has_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage: tune-mlp")


@pytest.mark.parametrize("word", cli.ANSWERS)
def test_help_is_wrapped_at_the_terminals_width(
    word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    with pytest.raises(SystemExit):
        cli.main([word, "--help"])
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines if not line.startswith("  tune-mlp ")) < 60  # an example is one line


@pytest.mark.parametrize("word", ["importance", "compare", "replay", "regret", "advise"])
def test_a_seed_below_zero_is_refused_by_each_word_alike(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([word, "nowhere", "--seed", "-1"])
    assert ended.value.code == 2
    said = f"tune-mlp {word}: argument --seed: must be a whole number from 0, got '-1' (see --help)\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("word", [word for word in cli.ANSWERS if word != "why"])
def test_an_empty_name_of_a_run_is_refused(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is what a script has whose variable isn't set; it would mean the folder that one is in."""
    assert cli.main([word, "", *(["1"] if word == "replay" else [])]) == 2
    assert capsys.readouterr().err.startswith("tune-mlp: RUN is empty: name the run's folder")


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    words = f"{sys.executable} -m tune_mlp schema | head -c 1"
    ran = subprocess.run(["bash", "-c", words], capture_output=True, text=True, check=True, timeout=120)
    assert ran.stdout == "{"
    assert ran.stderr == ""


def test_a_process_that_leaves_says_and_does_all_it_had_to() -> None:
    code = "import atexit; from tune_mlp.console.terminal import leave; atexit.register(print, 'last'); print('first'); leave(3)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "first\nlast\n", "")
    buffered = {**os.environ, "PYTHONUNBUFFERED": ""}
    with subprocess.Popen(
        [sys.executable, "-c", code], env=buffered, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        process.stdout.close()  # nobody reads
        assert process.stderr
        assert (process.wait(30), process.stderr.read()) == (3, b"")
