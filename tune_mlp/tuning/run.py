"""One run of a study, from its start or from where it was left: data, Ray, trials, the winner's test, and the folder."""

from __future__ import annotations

import contextlib
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from tune_mlp.command_line import command_line, option
from tune_mlp.console.board import Display
from tune_mlp.console.terminal import say_error
from tune_mlp.data.dataset import Problem
from tune_mlp.data.sources import calls_code
from tune_mlp.errors import (
    ENDING,
    Interrupted,
    LostRun,
    NoTrialSucceeded,
    StorageError,
    TuneMlpError,
    UsageError,
    one_line,
)
from tune_mlp.records import Say
from tune_mlp.results.journal import Resumed, Started
from tune_mlp.results.journal_reader import read
from tune_mlp.results.results import Results
from tune_mlp.results.run_cache import JOURNAL
from tune_mlp.results.storage import ObjectStore, location
from tune_mlp.runs import run_folder, run_location
from tune_mlp.runs.history import NO_HISTORY, History, check_same_beginning, history_of
from tune_mlp.runs.journal_writer import Journal
from tune_mlp.runs.killed_notice import notice_if_killed
from tune_mlp.runs.manifest import Manifest, RunFacts, check_same_data, check_same_study
from tune_mlp.runs.phases import Phases
from tune_mlp.runs.run_location import RunLocation
from tune_mlp.study.study import BoundStudy, Override, Study
from tune_mlp.tuning.cluster import Cluster, fewer_than_asked
from tune_mlp.tuning.preparation import PreparedStudy, announce, cluster_for, prepare
from tune_mlp.tuning.ray_compat.cluster_start import check_ray_can_start
from tune_mlp.tuning.ray_compat.head_watch import RayLost
from tune_mlp.tuning.search_loop import OpenRun, test_winner, train_trials


class ReportWriter(Protocol):
    """Writes the report of a run at its end."""

    def begin(self) -> None:
        """Prepare for it, while the trials train."""

    def draw(self, folder: Path, where: Path | ObjectStore, problem: Problem) -> None:
        """Draw its figures from the run's folder, while Ray ends; `where` is the run as a user names it."""

    def write(self, folder: Path, say: Say) -> None:
        """Write the report into the run's folder. A fault is said in one line, and never raised."""


@dataclass(frozen=True)
class Request:
    """What the caller of a run asks for beside its study."""

    out: Path | str = Path("runs")
    """A folder, or the URI of one on an object store."""
    name: str | None = None
    address: str | None = None
    data_dir: Path | None = None
    csv: Path | None = None
    command: tuple[str, ...] = ()
    """The command line, for the manifest."""
    functions: tuple[str, ...] = ()
    """The functions that a resumed run's data may come from: a folder alone never makes code run."""
    report: ReportWriter | None = None
    """What writes the run's report at the end, which stands above this layer; None for none."""


@dataclass(frozen=True)
class More:
    """The changes to its study that a resumed run takes."""

    trials: str | None = None
    """`200` in all, or `+200` more than the run has; fewer than the run has, too, down to those that have ended."""
    time_budget: str | None = None
    until: str | None = None

    @property
    def draws_on(self) -> bool:
        """True if further trials are asked for, also where an estimate had ended the draws."""
        return self.trials is not None or self.until is not None

    def applied(self, study: Study, ended: int, drawn: int | None = None) -> Study:
        """Return the study with these changes; it may be left no fewer trials than have `ended`. A run whose draws ended early has
        the trials that were `drawn`."""
        options: list[Override] = []
        if self.trials is not None:
            if not re.fullmatch(r"\+?[1-9][0-9]{0,8}", self.trials):
                raise UsageError(f"--trials {self.trials}: give a number, or +N to add to those that the run has")
            has = study.number_of_trials if drawn is None else drawn
            count = int(self.trials) + (has if self.trials.startswith("+") else 0)
            if count < ended:
                raise UsageError(f"--trials {self.trials}: {ended} trials of the run have ended already")
            options.append((["trials"], count, f"--trials {self.trials}"))
        if self.time_budget is not None:
            options.append((["time_budget"], self.time_budget, f"--time-budget {self.time_budget}"))
        if self.until is not None:
            options.append((["until"], self.until, f"--until {self.until}"))
        return study.with_options(options)


OpenFolder = Callable[[Cluster, int, ExitStack], OpenRun]
"""Opens the run's folder for writing once a Ray is there that can run the study; it is given the cluster, the number of
trials at once, and a stack for what must stay open until Ray has ended."""


def run_study(study: Study, request: Request, display: Display) -> Results:
    """Run a study and return what was found; the folder holds all of it, whatever happens on the way."""
    check_ray_can_start()
    phases = Phases()
    out = location(request.out)
    if request.csv:
        run_folder.check_writable(request.csv)
    run_location.check(out, request.name)
    prepared = prepare(study, request.data_dir, display)

    def create_folder(cluster: Cluster, slots: int, stack: ExitStack) -> OpenRun:
        bound = prepared.study
        where = stack.enter_context(run_location.new_run(out, request.name, bound.name, display.say))
        problem = prepared.problem
        facts = RunFacts(bound, problem.dataset, problem.inputs(), prepared.engine, prepared.why, cluster.nodes, slots)
        with _says_how_to_resume(where, bound, request.csv):
            manifest = Manifest.begin(where.folder, facts, request.command, phases.began)
            journal = stack.enter_context(Journal.create(where.folder / JOURNAL))
            journal.append(_started(prepared))
            told = prepared.warm.told if prepared.warm else ()
            for event in told:
                journal.append(event)
            if prepared.warm:
                manifest.note(warm_start=prepared.warm.facts)
        return OpenRun(prepared, where, slots, cluster, journal, manifest, replace(NO_HISTORY, told=told))

    return Results.load(_carry_out(prepared, create_folder, request, display, phases))


def resume_study(where: Path | ObjectStore, more: More, request: Request, display: Display) -> Results:
    """Continue a run that was interrupted or lost its driver, or extend a run that has ended. Ended trials stay as they are,
    open trials go on from their saved states, and later draws are those that would have come anyway."""
    check_ray_can_start()
    phases = Phases()
    if request.csv:
        run_folder.check_writable(request.csv)
    with ExitStack() as held:
        run = held.enter_context(run_location.old_run(where, display.say))
        # The journal comes first: whoever holds it is at work on this run.
        journal = held.enter_context(Journal.resume(run.folder / JOURNAL))
        events = read(run.folder / JOURNAL)
        manifest = Manifest.load(run.folder)
        check_same_study(manifest)
        history = history_of(events)
        before = Study.load(run.folder / "study.yaml")
        plateau = history.plateau
        study = more.applied(before, len(history.ended), len(history.drawn) if plateau else None)
        if more.draws_on:
            history = replace(history, plateau=None)
        if len(history.ended) >= study.number_of_trials and manifest.facts["state"] == "finished":
            if run.brought:  # bringing it to the store was all that was left to do
                return Results.load(where)
            raise UsageError(f"{where} has ended with all its {len(history.ended)} trials; --trials +N adds to them")
        if history.plateau and not history.open and manifest.facts["state"] == "finished":
            if run.brought:
                return Results.load(where)
            raise UsageError(
                f"{where} has ended on a plateau, with {len(history.ended)} of at most {study.number_of_trials} trials; "
                "--until trials draws the others, and --trials +N adds some"
            )
        check_functions(study, where, request)
        with _says_how_to_resume(run, study, request.csv):
            run_folder.tidy(run.folder)
            prepared = prepare(study, request.data_dir, display, engine=manifest.facts["engine"]["name"])
            check_same_data(manifest, prepared.problem.dataset)
        began = events[0]
        assert isinstance(began, Started)  # the reader refuses any other first line
        check_same_beginning(journal.path, began, _started(prepared), study, history)
        if versions := manifest.other_versions():
            display.say(
                f"warning: the run was written with {versions}: figures may differ from those of one version", "yellow"
            )

        def reopen_folder(cluster: Cluster, slots: int, stack: ExitStack) -> OpenRun:
            with _says_how_to_resume(run, study, request.csv):
                resumed = Resumed(before.number_of_trials, study.number_of_trials, rebuilt=True, draws_on=more.draws_on)
                journal.append(resumed)
                manifest.resumed(prepared.study, request.command, phases.began)
            display.say(_going_on(history, prepared.study))
            return OpenRun(prepared, run, slots, cluster, journal, manifest, history)

        _carry_out(prepared, reopen_folder, request, display, phases)
    return Results.load(where)


def check_functions(study: Study, where: Path | ObjectStore, request: Request) -> None:
    """Refuse to call a function that only the run's folder names."""
    for function in calls_code(study.data):
        if function not in request.functions:
            raise UsageError(
                f"{where}: its data come from {function}, which is code to run: if you trust it, add {option('--dataset', function)}"
            )


def _carry_out(
    prepared: PreparedStudy, open_folder: OpenFolder, request: Request, display: Display, phases: Phases
) -> Path | ObjectStore:
    """Start Ray, open the folder, train and test, and write the tables; returns where the run lies."""
    study = prepared.study
    announce(prepared, display)
    phases.over("data")
    with ExitStack() as until_ray_has_ended:
        with cluster_for(study, request.address, prepared.engine, display, phases) as cluster:
            slots = cluster.slots(study.resources, study.concurrent)
            if line := fewer_than_asked(cluster, study.resources, study.concurrent):
                display.say(f"warning: {line}", "yellow")
            if line := study.not_repeatable(slots):
                display.say(f"warning: {line}", "yellow")
            run = open_folder(cluster, slots, until_ray_has_ended)
            phases.over("folder")
            writer = request.report if study.report else None
            if writer:
                writer.begin()
            with _says_how_to_resume(run.where, study, request.csv):
                results, signal_number = _train_and_test(run, request.csv, display, phases)
            if writer:
                writer.draw(run.where.folder, run.where.where, prepared.problem)
        phases.over("ray")
        _close(run, signal_number, request.csv, phases)
        if writer:
            writer.write(run.where.folder, display.say)
        _raise_if_it_failed(run, results, signal_number, request.csv)
    return run.where.where


def _train_and_test(run: OpenRun, csv: Path | None, display: Display, phases: Phases) -> tuple[Results, int | None]:
    """Train all trials, test the winner and write the tables. What was learnt is on disk whatever happens on the way.
    Returns the results, and the number of the signal that ended the run early, if one did."""

    def last_words(lost: RayLost) -> None:
        take_back()
        display.finish()
        _save_failed(run, csv, lost)
        say_error(str(_with_resume_line(lost, run.where, run.study, csv)))

    killed = f"tune-mlp: the search was killed; what was learnt is saved: {_resume_line(run.where, run.study, csv)}"
    try:
        with notice_if_killed(killed) as take_back:
            signal_number = train_trials(run, display, phases, last_words)
        phases.over("trials")
        if signal_number is None:
            test_winner(run, display)
        phases.over("test")
    except KeyboardInterrupt:  # while the winner is tested
        signal_number = signal.SIGINT
    except SystemExit as stopped:
        if stopped.code not in ENDING:
            raise
        signal_number = ENDING[ENDING.index(stopped.code)]
    except LostRun:  # the folder is another process's
        raise
    except BaseException as error:
        _save_failed(run, csv, error)
        raise
    run.journal.check()
    results = run_folder.finish(run.where.folder, csv)
    phases.over("tables")
    return results, signal_number


def _save_failed(run: OpenRun, csv: Path | None, error: BaseException) -> None:
    """Write to the manifest that the run failed, and the tables: what was learnt is worth one all the same."""
    with contextlib.suppress(TuneMlpError):
        run.manifest.note(state="failed", error=one_line(error))
    with contextlib.suppress(TuneMlpError):
        run_folder.finish(run.where.folder, csv)


def _close(run: OpenRun, signal_number: int | None, csv: Path | None, phases: Phases) -> None:
    """Write how the run ended to the manifest."""
    state = "interrupted" if signal_number is not None else "finished"
    with _says_how_to_resume(run.where, run.study, csv):
        run.manifest.note(state=state, seconds=phases.total, phases=phases.seconds)


def _raise_if_it_failed(run: OpenRun, results: Results, signal_number: int | None, csv: Path | None) -> None:
    """Raise an error where the run didn't end well."""
    if signal_number is not None:
        raise Interrupted(
            f"interrupted; the {len(results.trials)} trials so far are saved: {_resume_line(run.where, run.study, csv)}",
            signal_number,
        )
    if results.best is None:
        raise NoTrialSucceeded(_no_winner(results, run.where))


def _resume_line(where: RunLocation, study: Study, csv: Path | None) -> str:
    """Write the command that goes on with the run and writes the same files."""
    datasets = [word for name in calls_code(study.data) for word in ("--dataset", name)]
    return command_line("resume", where.where, *datasets, *(("--csv", csv) if csv else ()))


@contextlib.contextmanager
def _says_how_to_resume(where: RunLocation, study: Study, csv: Path | None) -> Iterator[None]:
    """Add the command that goes on with the run to the error of a full disk or a lost Ray."""
    try:
        yield
    except StorageError as error:
        raise StorageError(f"{error}; once it can be written: {_resume_line(where, study, csv)}") from None
    except RayLost as error:
        raise _with_resume_line(error, where, study, csv) from None


def _with_resume_line(error: RayLost, where: RunLocation, study: Study, csv: Path | None) -> RayLost:
    return RayLost(f"{error}; what was learnt is saved: {_resume_line(where, study, csv)}")


def _going_on(history: History, study: BoundStudy) -> str:
    to_come = history.to_come(study.number_of_trials) - len(history.open)
    return (
        f"going on: {len(history.ended)} trials have ended, {len(history.open)} were under way, {to_come} are to come"
    )


def _started(prepared: PreparedStudy) -> Started:
    """Return the journal's first line."""
    study, dataset = prepared.study, prepared.dataset
    metric, mode = study.ranking
    return Started(
        study_name=study.name,
        task=dataset.task,
        metric=metric,
        mode=mode,
        epochs=study.epochs,
        engine=prepared.engine,
        classes=len(dataset.classes),
        seed=study.seed,
        dataset=dataset.name,
        stand_in_for=dataset.stand_in_for,
        further=study.further,
        further_goals=tuple(goal.name for goal in study.goals[1:]),
    )


def _no_winner(results: Results, where: RunLocation) -> str:
    """Say why no trial can be the winner."""
    counts = results.trials["state"].value_counts()
    ends = ", ".join(f"{count} {state}" for state, count in counts.items())
    errors = [error for error in results.trials["error"] if error]
    reason = f"; the first failure: {errors[0]}" if errors else ""
    if not len(results.trials):
        return f"no trial succeeded: none was started in time; see {where.where}"
    return f"no trial succeeded: all of {len(results.trials)} ended without a finite metric ({ends}){reason}; see {where.where}"
