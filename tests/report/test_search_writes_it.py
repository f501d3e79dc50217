"""A search writes its report, or not, and no fault of the report fails the search."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest

from tests.builders import problem
from tests.in_process import Ended, InProcess
from tests.report.pages import a_reported_run
from tests.s3 import SECRET, Bucket
from tests.studies import study
from tune_mlp.console.board import Display
from tune_mlp.console.study_options import overrides
from tune_mlp.report import after_search
from tune_mlp.report.after_search import ReportAtTheEnd
from tune_mlp.report.verify import verify
from tune_mlp.report.write import write_report
from tune_mlp.results.results import Results
from tune_mlp.search import make_parser
from tune_mlp.study.study import Study
from tune_mlp.training.threads import threads
from tune_mlp.tuning.run import More, Request, resume_study, run_study


def test_the_report_lies_in_the_runs_folder_under_the_name_that_a_user_gave(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    a_reported_run(folder)
    said: list[str] = []
    report = ReportAtTheEnd()
    report.begin()
    report.draw(folder, Path("runs/mine"), problem())
    report.write(folder, lambda line, style="": said.append(line))
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert said == []
    assert "tune-mlp audit runs/mine" in page
    assert str(folder) not in page
    assert verify(folder / "report.html").facts["differ"] == 0
    assert report.results is not None
    assert report.results.where == Path("runs/mine")


def test_a_fault_of_the_report_is_one_line_and_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    report = ReportAtTheEnd()
    report.begin()
    report.draw(tmp_path, tmp_path, problem())
    report.write(tmp_path, lambda line, style="": said.append(line))
    assert len(said) == 1
    assert said[0].startswith("warning: report.html couldn't be written: ")
    monkeypatch.setattr(after_search, "WRITER", "no.such.module")
    report.begin()
    report.draw(tmp_path, tmp_path, problem())
    report.write(tmp_path, lambda line, style="": said.append(line))
    assert len(said) == 2


@pytest.mark.parametrize(
    ("options", "wanted"), [([], True), (["--no-report"], False), (["--set", "report=false"], False)]
)
def test_a_study_and_an_option_say_whether_there_is_a_report(options: list[str], wanted: bool) -> None:
    args: Any = make_parser().parse_args(["--space", "digits_quick", *options])
    assert Study.load(args.space, args.set, overrides(args)).report is wanted


def test_the_report_of_a_search_shows_the_best_net_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    InProcess().use(monkeypatch)
    with threads(1):
        asked = study(engine="eager", epochs=2, trials=2)
        run_study(asked, Request(out=tmp_path, name="run", report=ReportAtTheEnd()), Display())
        page = tmp_path / "run" / "report.html"
        said = page.read_text(encoding="utf-8")
        assert "The best net inside</h2>" in said
        assert "Which classes are confused" in said
        assert verify(page).facts["differ"] == 0
        weights = tmp_path / "run" / "best" / "model.pt"
        weights.rename(weights.with_suffix(".gone"))
        write_report(Results.load(tmp_path / "run"))
    said = page.read_text(encoding="utf-8")
    assert "The best net inside</h2>" not in said
    assert "model.pt" in said, "what the report leaves out is named with its reason"


def test_a_resumed_search_and_one_on_an_object_store_leave_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3: Bucket
) -> None:
    driver = InProcess()
    driver.use(monkeypatch)
    out = s3.uri("reported")
    with threads(1):
        driver.results_left = 3
        with contextlib.suppress(Ended):
            run_study(
                study(engine="eager", epochs=2, trials=3),
                Request(out=out, name="run", report=ReportAtTheEnd()),
                Display(),
            )
        store = s3.store("reported/run")
        assert "report.html" not in s3.files("reported/run")
        driver.results_left = float("inf")
        command = ("tune-mlp", "resume", str(store))
        resume_study(store, More(), Request(report=ReportAtTheEnd(), command=command), Display())
    page = tmp_path / "report.html"
    page.write_bytes(s3.files("reported/run")["report.html"])
    said = page.read_text(encoding="utf-8")
    assert verify(page).facts["differ"] == 0
    assert "It was resumed at" in said
    assert SECRET not in said
    assert "The best net inside</h2>" in said
