"""Runs published studies again: runs each experiment, judges its claims, and writes the table again after each one."""

from __future__ import annotations

import contextlib
import platform
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.text import Text

from tune_mlp.command_line import command_line
from tune_mlp.console.board import Display
from tune_mlp.console.formatting import clock, count
from tune_mlp.console.live_view import LiveView
from tune_mlp.console.terminal import say_error
from tune_mlp.engines.choose import choose_engine
from tune_mlp.errors import Interrupted, RunError, TuneMlpError, UsageError, did_you_mean, one_line
from tune_mlp.published.compare import Comparison, Verdict, measure, verdict
from tune_mlp.published.experiments import Claim, Experiment
from tune_mlp.published.figures import MissingRow, published_text
from tune_mlp.published.pictures import DrawnFigure, by_study, draw_published, figures_html, figures_markdown
from tune_mlp.published.studies import PublishedStudy, load, published_studies
from tune_mlp.published.tables import Outcome, headline, to_frame, to_html, to_markdown
from tune_mlp.results.export import write_aside, write_csv
from tune_mlp.results.results import Results
from tune_mlp.runs.run_folder import check_place, write_text
from tune_mlp.study.study import Study
from tune_mlp.tuning.ray_compat.cluster_start import connected
from tune_mlp.tuning.run import Request, run_study
from tune_mlp.version import __version__

ALL = "all"
"""The name that stands for all shipped published studies."""
TABLE = "reproduced"
"""The name of the table's files, and the beginning of the folder's name."""


@dataclass(frozen=True)
class Options:
    """The options of `reproduce`."""

    quick: bool = False
    """Run the small form of each experiment, which takes minutes in place of hours. No claim is then met or missed."""
    only: tuple[str, ...] = ()
    """The experiments to run; empty for all."""
    out: Path = Path("runs")
    data_dir: Path | None = None
    engine: str | None = None


@dataclass(frozen=True)
class Reproduced:
    """The outcome: the folder and the table."""

    path: Path
    """The folder with the table and the runs."""
    table: pd.DataFrame

    @property
    def summary(self) -> str:
        """Return `57 of 60 claims met`, and the number of other rows."""
        return headline(self.table)

    @property
    def failed(self) -> int:
        """Return the number of rows without a figure."""
        return int((self.table["verdict"] == Verdict.FAILED).sum())

    @property
    def first_failure(self) -> str:
        """Return the place and the cause of the first row without a figure; empty where there is none."""
        for _, row in self.table[self.table["verdict"] == Verdict.FAILED].iterrows():
            return f"{row['study']} {row['experiment']}: {row['note']}"
        return ""


@dataclass(frozen=True)
class _ExperimentRun:
    """One experiment that is to be run."""

    owner: PublishedStudy
    name: str
    experiment: Experiment
    study: Study | None
    """The study to run; None for a check, which runs no study."""


def reproduce(names: Sequence[str], options: Options | None = None, console: Console | None = None) -> Reproduced:
    """Run the studies' experiments. One that fails leaves its own rows without figures, and the others go on."""
    options, console = options or Options(), console or Console()
    studies = _load(names)
    jobs = _jobs(studies, options)
    check_place(options.out, None)
    folder = _folder(options.out)
    outcomes: dict[tuple[str, int], list[Outcome]] = {}
    drawn: list[DrawnFigure] = []
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        _one_ray(jobs, stack, console)
        for number, job in enumerate(jobs, start=1):
            console.print(_start_line(job, number, len(jobs), options), soft_wrap=True)
            done, seconds = _do(job, folder, options, _display(console), drawn)
            outcomes.update(done)
            facts = _facts(number, len(jobs), time.monotonic() - began, options)
            table = _write(folder, studies, outcomes, facts, drawn)
            console.print(_done_line([row for rows in done.values() for row in rows], seconds), soft_wrap=True)
    result = Reproduced(folder, table)
    console.print(Text(f"{result.summary}: {folder / TABLE}.html, .md and .csv", "bold"), soft_wrap=True)
    return result


def _load(names: Sequence[str]) -> dict[str, PublishedStudy]:
    """Return the studies that the names mean, each once."""
    words = [word for name in names for word in (published_studies() if name == ALL else [name])]
    studies: dict[str, PublishedStudy] = {}
    for word in dict.fromkeys(words):
        study = load(word)
        if study.name in studies:
            raise UsageError(f"two studies are named {study.name}: {studies[study.name].word} and {word}")
        studies[study.name] = study
    if not studies:
        raise UsageError("name a published study, or all")
    return studies


def _jobs(studies: dict[str, PublishedStudy], options: Options) -> list[_ExperimentRun]:
    """Return every experiment that a claim needs or that was named. All are built before the first one runs."""
    if options.engine is not None:
        choose_engine(options.engine)
    known = list(dict.fromkeys(name for study in studies.values() for name in study.published.experiments))
    for name in options.only:
        if name not in known:
            raise UsageError(f"--only: no experiment is named {name!r}{did_you_mean(name, known)}")
    jobs: list[_ExperimentRun] = []
    for owner in studies.values():
        claimed = {claim.experiment for claim in owner.published.claims}
        for name, experiment in owner.published.experiments.items():
            if name in (options.only or claimed):
                study = None if experiment.check else owner.study(name, options.quick, options.engine)
                jobs.append(_ExperimentRun(owner, name, experiment, study))
    return jobs


def _folder(out: Path) -> Path:
    stamp = f"{TABLE}-{time.strftime('%Y%m%d-%H%M%S')}"
    for attempt in range(1000):
        folder = out / (f"{stamp}-{attempt + 1}" if attempt else stamp)
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise RunError(f"can't make the folder {folder}: {error.strerror or error}") from None
        return folder
    raise RunError(f"{out} is full of folders named {stamp}")


def _one_ray(jobs: Sequence[_ExperimentRun], stack: contextlib.ExitStack, console: Console) -> None:
    """Start one Ray that all runs join, since each start takes seconds."""
    first = next((job.study for job in jobs if job.study), None)
    if first is not None:
        with _display(console).waiting("Starting Ray"):
            # Without `concurrent`: slots of the first study's number would bind all that follow.
            stack.enter_context(connected(first.model_copy(update={"concurrent": None}), None))


def _do(
    job: _ExperimentRun, folder: Path, options: Options, display: Display, drawn: list[DrawnFigure]
) -> tuple[dict[tuple[str, int], list[Outcome]], float]:
    """Run one experiment; return its rows by study and claim, and the seconds that it took. Its figures are added to `drawn`."""
    began = time.monotonic()
    evidence: Any = None
    fault = ""
    try:
        evidence = _evidence(job, folder, options, display)
    except Interrupted:
        raise
    except TuneMlpError as error:
        fault = one_line(error)
    except Exception as error:  # noqa: BLE001  # one experiment's fault isn't the others', which may have taken an hour
        fault = f"unexpected {type(error).__name__}: {one_line(error)}"
    seconds = time.monotonic() - began
    if isinstance(evidence, Results):
        try:
            drawn += draw_published(job.owner.name, job.name, evidence, folder, options.data_dir)
        except TuneMlpError as error:  # the claims don't need the figures
            say_error(f"the figures of {job.owner.name} {job.name} can't be drawn: {one_line(error)}")
    return {
        (job.owner.name, i): _rows(job, claim, evidence, fault, seconds, options)
        for i, claim in enumerate(job.owner.published.claims)
        if claim.experiment == job.name
    }, seconds


def _evidence(job: _ExperimentRun, folder: Path, options: Options, display: Display) -> Any:
    """Return the tables that the claims are measured on: a run's Results, or a check's table."""
    name = f"{job.owner.name}-{job.name}"
    if job.study is not None:
        command = tuple(shlex.split(_command(job, options)))
        request = Request(out=folder, name=name, data_dir=options.data_dir, command=command)
        return run_study(job.study, request, display)
    from tune_mlp.engines.choose import ENGINES, engine
    from tune_mlp.published.gradients import check_gradients

    wanted = list(ENGINES) if options.engine in (None, "auto") else [str(options.engine)]
    with display.waiting("Comparing gradients"):
        table = check_gradients({engine_name: engine(engine_name) for engine_name in wanted})
    write_aside(folder / f"{name}.csv", lambda path: write_csv(table, path))
    return table


def _rows(
    job: _ExperimentRun, claim: Claim, evidence: Any, fault: str, seconds: float, options: Options
) -> list[Outcome]:
    """Return the claim's rows. Where there is no figure, one row says why."""
    quick = options.quick and bool(job.experiment.quick)
    failed = bool(fault)
    if not fault:
        try:
            findings = measure(claim, evidence)
        except MissingRow as error:
            fault, failed = str(error), not quick
        except TuneMlpError as error:
            fault, failed = one_line(error), True
    if fault:
        words = "" if claim.published is None else published_text(claim.column, claim.published)
        findings = [Comparison(claim.claim, words, "", met=False if claim.judged else None)]
    stand_in = _stand_in(evidence)
    rows = []
    for finding in findings:
        last = finding is findings[-1]
        rows.append(
            Outcome(
                study=job.owner.name,
                experiment=job.name,
                claim=finding.claim,
                published=finding.published,
                ours=finding.ours,
                difference=finding.difference,
                allowed=finding.allowed,
                verdict=Verdict.FAILED if failed else verdict(finding, quick=quick, stand_in=bool(stand_in)),
                seconds=seconds,
                command=_command(job, options),
                note="; ".join(part for part in (fault, stand_in, claim.note if last else None) if part),
                judged=claim.judged and last,
                published_number=finding.published_number,
                our_number=finding.our_number,
            )
        )
    return rows


def _stand_in(evidence: Any) -> str:
    wanted = getattr(evidence, "stand_in_for", "")
    return f"{evidence.trials.attrs['dataset']} stood in for {wanted}" if wanted else ""


def _command(job: _ExperimentRun, options: Options) -> str:
    words = ["reproduce", job.owner.word, "--only", job.name]
    words += ["--quick"] if options.quick else []
    words += ["--engine", options.engine] if options.engine is not None else []
    return command_line(*words)


def _write(
    folder: Path,
    studies: dict[str, PublishedStudy],
    outcomes: dict[tuple[str, int], list[Outcome]],
    facts: str,
    drawn: Sequence[DrawnFigure],
) -> pd.DataFrame:
    """Return the table so far, in the order of the studies and their claims."""
    places = [(name, i) for name, study in studies.items() for i in range(len(study.published.claims))]
    table = to_frame([row for place in places for row in outcomes.get(place, [])])
    texts = {name: study.published for name, study in studies.items()}
    write_aside(folder / f"{TABLE}.csv", lambda path: write_csv(table, path))
    figures = by_study(drawn)
    links = {name: figures_markdown(shown) for name, shown in figures.items()}
    pictures = {name: figures_html(shown) for name, shown in figures.items()}
    write_text(folder / f"{TABLE}.md", to_markdown(table, texts, facts, links))
    write_text(folder / f"{TABLE}.html", to_html(table, texts, facts, pictures))
    return table


def _facts(done: int, wanted: int, seconds: float, options: Options) -> str:
    parts = [
        f"{done} of {count(wanted, 'experiment')} done in {clock(seconds)}"
        + (", scaled down" if options.quick else ""),
        f"tune_mlp {__version__}, Python {platform.python_version()} on {platform.machine()}",
        time.strftime("%Y-%m-%d %H:%M"),
    ]
    return "; ".join(parts) + "."


class _BoardAlone(LiveView):
    """Shows the live board without the lines that a single run prints, since the table has these figures."""

    def say(self, line: str, style: str = "") -> None:
        pass


def _display(console: Console) -> Display:
    return _BoardAlone(console) if console.is_terminal and not console.is_dumb_terminal else Display()


def _start_line(job: _ExperimentRun, number: int, jobs: int, options: Options) -> Text:
    scaled = " (scaled down)" if options.quick and job.experiment.quick else ""
    return Text.assemble(
        (f"[{number}/{jobs}] {job.owner.name} {job.name}", "bold"), f": {job.experiment.about}{scaled}"
    )


def _done_line(rows: Sequence[Outcome], seconds: float) -> Text:
    counts = {verdict: sum(row.verdict == verdict for row in rows) for verdict in Verdict}
    said = Text(", ").join(Text(f"{number} {verdict}", STYLES[verdict]) for verdict, number in counts.items() if number)
    return Text.assemble(f"      {seconds:.1f} s: ", said if rows else "no claims")


STYLES = {
    Verdict.MET: "green",
    Verdict.MISSED: "yellow",
    Verdict.REPORTED: "dim",
    Verdict.SCALED_DOWN: "cyan",
    Verdict.STAND_IN: "bold red",
    Verdict.FAILED: "red",
}
