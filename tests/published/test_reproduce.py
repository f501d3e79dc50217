"""Published studies run again, the whole way: runs, verdicts, tables, and what happens where something fails."""

from __future__ import annotations

import io
import signal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from tests.published.made import STUDY
from tests.published.test_page import Reader
from tune_mlp.console.live_view import LiveView
from tune_mlp.data import mnist
from tune_mlp.data.torchvision_cpu import mnist_module
from tune_mlp.errors import Interrupted, RunError, StudyError, UsageError
from tune_mlp.published import reproduce as module
from tune_mlp.published.reproduce import Options, Reproduced, reproduce
from tune_mlp.results.results import Results

BROKEN = """\
    broken:
      about: there are no such data
      set: {data.name: nowhere:nothing}
  claims:
    - {claim: It is lost, experiment: broken, value: {column: val_accuracy}, published: 0.9, below: 0.1}
"""


@pytest.fixture
def tiny(tmp_path: Path) -> str:
    path = tmp_path / "tiny.yaml"
    path.write_text(STUDY, encoding="utf-8")
    return str(path)


def run(names: list[str], out: Path, **options: Any) -> tuple[Reproduced, list[str]]:
    console = Console(file=io.StringIO(), width=200)
    result = reproduce(names, Options(out=out / "runs", **options), console)
    return result, console.file.getvalue().splitlines()  # type: ignore[attr-defined]


@pytest.mark.usefixtures("in_process_and_on_ray")
def test_the_experiments_run_and_the_claims_are_judged(tiny: str, tmp_path: Path) -> None:
    result, lines = run([tiny], tmp_path)
    table = result.table
    assert list(table["claim"]) == ["It learns", "It learns everything", "The large rate is better", "It takes long"]
    assert list(table["verdict"]) == ["met", "missed", "met", "reported"]
    assert list(table["note"]) == ["", "two epochs are few", "", ""]
    assert (table["seconds"] > 0).all()
    assert table["command"][1] == f"tune-mlp reproduce {tiny} --only one"
    assert result.summary == "2 of 3 claims met (1 reported)"
    assert not result.failed

    runs = {name: Results.load(result.path / f"tiny-{name}") for name in ("base", "one")}
    assert (len(runs["base"].trials), len(runs["one"].trials)) == (2, 1)
    assert table["our_number"][1] == runs["one"].trials["val_accuracy"][0]
    assert runs["one"].manifest["command"] == ["tune-mlp", "reproduce", tiny, "--only", "one"]

    assert lines[0] == "[1/2] tiny base: two rates"
    assert lines[1].endswith(" s: 2 met")
    assert lines[2] == "[2/2] tiny one: one rate"
    assert lines[3].endswith(" s: 1 missed, 1 reported")
    assert lines[4] == f"2 of 3 claims met (1 reported): {result.path}/reproduced.html, .md and .csv"
    assert len(lines) == 5


@pytest.mark.usefixtures("in_process_and_on_ray")
def test_the_three_tables_say_the_same(tiny: str, tmp_path: Path) -> None:
    result, _ = run([tiny], tmp_path, only=("one",))
    back = pd.read_csv(result.path / "reproduced.csv", keep_default_na=False)
    assert list(back["claim"]) == ["It learns everything", "It takes long"]
    for name in ("reproduced.md", "reproduced.html"):
        text = (result.path / name).read_text(encoding="utf-8")
        text = Reader(text).text if name.endswith("html") else text
        for row in back.to_dict("records"):
            assert row["claim"] in text
            assert row["ours"] in text
            assert row["command"] in text
        assert "Somebody, A report, 2024" in text
        assert "1 of 1 experiment done" in text


@pytest.mark.usefixtures("in_process_and_on_ray")
def test_quick_scales_down_and_judges_nothing_that_it_scaled(tiny: str, tmp_path: Path) -> None:
    result, _ = run([tiny], tmp_path, quick=True, engine="eager")
    table = result.table
    assert list(table["verdict"]) == ["scaled down", "missed", "scaled down", "reported"]
    assert all(table["ours"] != "")
    assert table["command"][0] == f"tune-mlp reproduce {tiny} --only base --quick --engine eager"
    base = Results.load(result.path / "tiny-base").trials
    assert set(base["epochs"]) == {1}
    assert set(base["engine"]) == {"eager"}


@pytest.mark.usefixtures("in_process_and_on_ray")
def test_a_failed_experiment_costs_its_own_rows_alone(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(STUDY.replace("  claims:\n", BROKEN), encoding="utf-8")
    result, lines = run([str(path)], tmp_path)
    assert list(result.table["verdict"]) == ["failed", "met", "missed", "met", "reported"]
    assert "nowhere" in result.table["note"][0]
    assert result.table["published"][0] == "90.00 %"
    assert result.failed == 1
    assert result.first_failure.startswith("tiny broken: ")
    assert result.summary == "2 of 4 claims met (1 reported, 1 failed)"
    assert any(line.endswith(" s: 1 failed") for line in lines)


@pytest.mark.usefixtures("in_process_and_on_ray")
def test_a_measure_that_fails_costs_its_own_row_alone(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(STUDY.replace("value: {column: epochs}", "value: {column: epoch}"), encoding="utf-8")
    result, _ = run([str(path)], tmp_path, only=("one",))
    assert list(result.table["verdict"]) == ["missed", "failed"]
    assert "did you mean 'epochs'?" in result.first_failure


@pytest.mark.usefixtures("in_process_and_on_ray")
@pytest.mark.parametrize(
    ("absent", "quick", "verdict"),
    [
        ("where: {lr: 0.7}", True, "scaled down"),
        pytest.param("epoch: 3", False, "failed", marks=pytest.mark.slow),
        pytest.param("where: {lr: 0.7}", False, "failed", marks=pytest.mark.slow),
        pytest.param("epoch: 3", True, "scaled down", marks=pytest.mark.slow),
    ],
)
def test_a_trial_or_epoch_that_only_the_full_run_has_is_no_failure_where_it_was_scaled_down(
    tmp_path: Path, quick: bool, verdict: str, absent: str
) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(STUDY.replace("where: {lr: 0.1}", absent), encoding="utf-8")
    result, _ = run([str(path)], tmp_path, only=("base",), quick=quick)
    assert result.table["verdict"][0] == verdict
    assert result.table["note"][0]
    assert bool(result.failed) == (not quick)


@pytest.mark.slow
@pytest.mark.usefixtures("in_process_and_on_ray")
def test_what_a_stand_in_gives_is_never_met(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The published data are looked for, not found and replaced, as on a machine without internet."""
    monkeypatch.delenv("TUNE_MLP_DATA", raising=False)
    monkeypatch.setattr(mnist, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(mnist_module().MNIST, "mirrors", [])
    path = tmp_path / "tiny.yaml"
    path.write_text(STUDY.replace("name: digits", "name: mnist, offline: digits"), encoding="utf-8")
    result, _ = run([str(path)], tmp_path, quick=True)
    assert set(result.table["verdict"]) == {"stand-in"}
    assert set(result.table["note"]) == {"digits stood in for mnist", "digits stood in for mnist; two epochs are few"}
    assert result.summary == "0 of 3 claims met (4 stand-in)"
    assert "stood in for the published one" in (result.path / "reproduced.html").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.usefixtures("in_process_and_on_ray")
def test_on_a_terminal_the_board_is_live_and_a_run_prints_no_lines_of_its_own(tiny: str, tmp_path: Path) -> None:
    file = io.StringIO()
    reproduce([tiny], Options(out=tmp_path, only=("base",)), Console(file=file, force_terminal=True, width=120))
    assert "trials" in file.getvalue()
    assert "to train on" not in file.getvalue()
    assert isinstance(module._display(Console(file=file, force_terminal=True)), LiveView)


def test_a_check_needs_no_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tune_mlp.published import gradients

    monkeypatch.setattr(gradients, "CASES", gradients.CASES[:2])
    monkeypatch.setattr(module, "connected", None)
    path = tmp_path / "tiny.yaml"
    check = "    check: {about: gradients, check: gradients}\n  claims:\n"
    claims = "    - {claim: They are exact, experiment: check, gradients: {}, at_most: 1.0e-4}\n"
    path.write_text(STUDY.replace("  claims:\n", check + claims), encoding="utf-8")
    result, _ = run([str(path)], tmp_path, only=("check",), engine="eager")
    assert list(result.table["verdict"]) == ["met"]
    assert set(pd.read_csv(result.path / "tiny-check.csv")["engine"]) == {"eager"}


def test_an_interruption_goes_on_to_the_caller_and_keeps_the_tables_so_far(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_process_and_on_ray: None
) -> None:
    real = module.run_study

    def interrupted(study: Any, request: Any, display: Any) -> Results:
        if request.name == "tiny-one":
            raise Interrupted("interrupted", signal.SIGINT)
        return real(study, request, display)

    monkeypatch.setattr(module, "run_study", interrupted)
    with pytest.raises(Interrupted):
        run([tiny], tmp_path)
    [folder] = (tmp_path / "runs").iterdir()
    assert list(pd.read_csv(folder / "reproduced.csv")["verdict"]) == ["met", "met"]
    assert "1 of 2 experiments done" in (folder / "reproduced.html").read_text()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"only": ("bse",)}, "--only: no experiment is named 'bse' (did you mean 'base'?)"),
        ({"engine": "eagr"}, "engine: unknown name 'eagr' (did you mean 'eager'?)"),
    ],
)
def test_bad_options_are_refused_before_anything_runs(
    tiny: str, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError) as raised:
        run([tiny], tmp_path, **options)
    assert said in str(raised.value)
    assert not (tmp_path / "runs").exists()


def test_a_bad_experiment_is_refused_before_anything_runs(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(STUDY.replace("set: {lr: 0.1}", "set: {lr: -1}"), encoding="utf-8")
    with pytest.raises(StudyError, match=r"tiny.yaml:19 space.lr: must be greater than 0"):
        run([str(path)], tmp_path)
    assert not (tmp_path / "runs").exists()


def test_two_files_of_one_name_are_refused(tiny: str, tmp_path: Path) -> None:
    other = tmp_path / "other" / "tiny.yaml"
    other.parent.mkdir()
    other.write_text(STUDY)
    with pytest.raises(UsageError, match="two studies are named tiny"):
        run([tiny, str(other)], tmp_path)
    with pytest.raises(UsageError, match="name a published study"):
        run([], tmp_path)


def test_a_place_that_is_a_file_is_refused(tiny: str, tmp_path: Path) -> None:
    with pytest.raises((UsageError, RunError), match="is a file"):
        run([tiny], Path(tiny))
