"""One run of a study, end to end: data, Ray, trials, the winner's test, and the run's folder."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tune_mlp.data.dataset import Problem
from tune_mlp.data.sources import calls_code
from tune_mlp.data.split import make_problem
from tune_mlp.engines.choose import choose_engine
from tune_mlp.errors import (
    Interrupted,
    LostRun,
    NoTrialSucceeded,
    RunError,
    StorageError,
    TuneMlpError,
    UsageError,
    one_line,
)
from tune_mlp.records import better
from tune_mlp.results.copies import JOURNAL
from tune_mlp.results.journal import Journal, Started, Tested, read
from tune_mlp.results.place import Store, location
from tune_mlp.results.results import Results
from tune_mlp.training.patience import Patience
from tune_mlp.tuning import folder as files
from tune_mlp.tuning import whereabouts
from tune_mlp.tuning.cluster import SLOT, Cluster
from tune_mlp.tuning.past import NOTHING, Past, past_of
from tune_mlp.tuning.phases import Phases
from tune_mlp.tuning.progress import Board, Display
from tune_mlp.tuning.ready import Ready, announce, cluster_for, prepare, read_data
from tune_mlp.tuning.study import Override, Study

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
RETRIES = 3
"""How often a trial starts anew when the process under it is lost. What a trial itself raises is not tried again."""


@dataclass(frozen=True)
class Request:
    """What a run is asked for beside its study."""

    out: Path | str = Path("runs")
    """A folder, or a URI of one on an object store."""
    name: str | None = None
    address: str | None = None
    data_dir: Path | None = None
    csv: Path | None = None
    command: tuple[str, ...] = ()
    """The command line, for the manifest."""
    functions: tuple[str, ...] = ()
    """Those that a resumed run's data may come from: a folder alone never makes anything run."""


def run_study(study: Study, request: Request, display: Display) -> Results:
    """Run it, and return what was found; the folder holds all of it whatever happens on the way."""
    began, phases = time.time(), Phases()
    if request.csv:
        files.check_writable(request.csv)
    out = location(request.out)
    whereabouts.check(out, request.name)
    ready = prepare(study, request.data_dir, display)
    study = ready.study
    phases.over("data")

    with contextlib.ExitStack() as kept:  # to the very end, when Ray is gone
        with contextlib.ExitStack() as stack:
            cluster = stack.enter_context(cluster_for(study, request.address, ready.engine, display, phases))
            slots = cluster.slots(study.resources, study.concurrent)
            run = kept.enter_context(whereabouts.new_run(out, request.name, study.name, display))
            stack.enter_context(_going_on_said(run, study))
            manifest = files.Manifest.begin(
                run.folder,
                study,
                ready.problem.dataset,
                cluster,
                slots,
                ready.engine,
                ready.why,
                request.command,
                began,
            )
            journal = stack.enter_context(Journal.create(run.folder / JOURNAL))
            journal.append(_started(ready))
            phases.over("folder")
            job = _Job(study, ready.problem, ready.engine, run, slots, cluster, journal, manifest)
            results, signal_number = _carry_out(job, NOTHING, request.csv, display, phases)
        _close(job, results, signal_number, phases)
    return Results.load(run.where)


def resume_study(where: Path | Store, more: More, request: Request, display: Display) -> Results:
    """Go on with a run that was interrupted or lost its driver, or extend one that has ended. Trials that ended stay as
    they are, those under way go on from where they were left, and the draws to come are those that would have come."""
    began, phases = time.time(), Phases()
    if request.csv:
        files.check_writable(request.csv)
    with contextlib.ExitStack() as kept:
        run = kept.enter_context(whereabouts.old_run(where, display))
        with contextlib.ExitStack() as stack:
            # First: whoever holds it is at work on this run.
            journal = stack.enter_context(Journal.resume(run.folder / JOURNAL))
            events = read(run.folder / JOURNAL)
            manifest = files.Manifest.load(run.folder)
            files.check_same_study(manifest)
            study = more.applied(Study.load(run.folder / "study.yaml"))
            past = past_of(events)
            if len(past.ended) >= study.number_of_trials and manifest.facts["state"] == "finished":
                if run.brought:  # to the store: that was left to do
                    return Results.load(where)
                raise UsageError(f"{where} has ended with all its {len(past.ended)} trials; --trials +N adds to them")
            for function in calls_code(study.data):
                if function not in request.functions:
                    raise UsageError(
                        f"{where}: its data come from {function}, which is code to run: if you trust it, add "
                        f"--dataset {function}"
                    )
            stack.enter_context(_going_on_said(run, study))
            files.tidy(run.folder)
            dataset = read_data(study, request.data_dir, display)
            problem = make_problem(dataset, study.data, study.seed)
            files.check_same_data(manifest, problem.dataset)
            engine, _ = choose_engine(manifest.facts["engine"]["name"], gpu=study.resources.gpu > 0)
            announce(study, dataset, display)
            phases.over("data")
            cluster = stack.enter_context(cluster_for(study, request.address, engine, display, phases))
            slots = cluster.slots(study.resources, study.concurrent)
            manifest.resumed(study, request.command, began)
            display.say(_going_on(past, study))
            phases.over("folder")
            job = _Job(study, problem, engine, run, slots, cluster, journal, manifest)
            results, signal_number = _carry_out(job, past, request.csv, display, phases)
        _close(job, results, signal_number, phases)
    return Results.load(where)


@dataclass(frozen=True)
class More:
    """What a resumed run may be given more of."""

    trials: str | None = None
    """`200`, or `+200` to add to those it has."""
    time_budget: str | None = None

    def applied(self, study: Study) -> Study:
        options: list[Override] = []
        if self.trials is not None:
            if not re.fullmatch(r"\+?[1-9][0-9]{0,8}", self.trials):
                raise UsageError(f"--trials {self.trials}: give a number, or +N to add to those that the run has")
            count = int(self.trials) + (study.number_of_trials if self.trials.startswith("+") else 0)
            if count < study.number_of_trials:
                raise UsageError(f"--trials {self.trials}: the run has {study.number_of_trials} trials already")
            options.append((["trials"], count, f"--trials {self.trials}"))
        if self.time_budget is not None:
            options.append((["time_budget"], self.time_budget, f"--time-budget {self.time_budget}"))
        return study.with_options(options)


def _resume_line(run: whereabouts.Run, study: Study) -> str:
    return " ".join(["tune-mlp resume", run.words, *(f"--dataset {name}" for name in calls_code(study.data))])


@contextlib.contextmanager
def _going_on_said(run: whereabouts.Run, study: Study) -> Iterator[None]:
    """A full disk is no end: what is missing is trained once there is room."""
    try:
        yield
    except StorageError as error:
        raise StorageError(f"{error}; once it can be written: {_resume_line(run, study)}") from None


def _going_on(past: Past, study: Study) -> str:
    to_come = study.number_of_trials - len(past.drawn)
    return f"going on: {len(past.ended)} trials have ended, {len(past.open)} were under way, {to_come} are to come"


@dataclass(frozen=True)
class _Job:
    """All that a run needs once its folder is there."""

    study: Study
    problem: Problem
    engine: str
    run: whereabouts.Run
    slots: int
    cluster: Cluster
    journal: Journal
    manifest: files.Manifest


def _carry_out(job: _Job, past: Past, csv: Path | None, display: Display, phases: Phases) -> tuple[Results, int | None]:
    """Train, test and write the tables; whatever happens on the way, what was learnt is on disk. Returns the number of
    the signal that ended it early, too, if one did."""
    try:
        signal_number = _train(job, past, display, phases)
        phases.over("trials")
        if signal_number is None:
            _test(job, display)
        phases.over("test")
    except (KeyboardInterrupt, SystemExit) as stopped:  # while the winner is tested
        signal_number = signal.SIGINT if isinstance(stopped, KeyboardInterrupt) else signal.SIGTERM
    except LostRun:  # the folder is another process's
        raise
    except BaseException as error:
        with contextlib.suppress(TuneMlpError):
            job.manifest.note(state="failed", error=one_line(error))
        with contextlib.suppress(TuneMlpError):
            files.finish(job.run.folder, csv)  # what was learnt is worth a table all the same
        raise
    job.journal.check()
    results = files.finish(job.run.folder, csv)
    phases.over("tables")
    return results, signal_number


def _close(job: _Job, results: Results, signal_number: int | None, phases: Phases) -> None:
    phases.over("ray")
    state = "interrupted" if signal_number is not None else "finished"
    with _going_on_said(job.run, job.study):
        job.manifest.note(state=state, seconds=phases.total, phases=phases.seconds)
    if signal_number is not None:
        raise Interrupted(
            f"interrupted; the {len(results.trials)} trials so far are saved: {_resume_line(job.run, job.study)}",
            signal_number,
        )
    if results.best is None:
        raise NoTrialSucceeded(_no_winner(results, job.run))


def _started(ready: Ready) -> Started:
    study, dataset = ready.study, ready.dataset
    metric, mode = study.ranking
    return Started(
        study_name=study.name,
        task=dataset.task,
        metric=metric,
        mode=mode,
        epochs=study.epochs,
        engine=ready.engine,
        classes=len(dataset.classes),
        seed=study.seed,
        dataset=dataset.name,
        stand_in_for=dataset.stand_in_for,
    )


def _board(study: Study, problem: Problem, slots: int) -> Board:
    metric, mode = study.ranking
    dataset, fold = problem.dataset, problem.folds[0]
    folds = f", {len(problem.folds)} folds" if len(problem.folds) > 1 else ""
    title = (
        f"{study.name}: {dataset.name}, {len(fold.train):,} to train on and {len(fold.validation):,} to validate{folds}; "
        f"{study.search.name} search, {study.scheduler.name}, {slots} at a time"
    )
    return Board(title, metric, mode, study.number_of_trials, study.epochs)


def _train(job: _Job, past: Past, display: Display, phases: Phases) -> int | None:
    """Train all trials; returns the number of the signal that ended it early, if one did."""
    from ray import tune

    from tune_mlp.tuning.controller import mended_controller, one_folder
    from tune_mlp.tuning.recorder import Kept, Recorder
    from tune_mlp.tuning.schedulers import Replaying, make_scheduler, milestones
    from tune_mlp.tuning.searchers import NumberedSearcher
    from tune_mlp.tuning.stopping import Deadline
    from tune_mlp.tuning.trainable import Job as Shared
    from tune_mlp.tuning.trainable import TrialActor

    study, run = job.study, job.run
    metric, mode = study.ranking
    shared = Shared(
        problem=job.problem,
        engine=job.engine,
        metric=metric,
        mode=mode,
        epochs=study.epochs,
        patience=study.patience,
        milestones=milestones(study),
        threads=study.resources.threads,
        gpu=study.resources.gpu > 0,
        kept=run.shared,
        seeds=study.seeds,
        keep_steps=study.step_losses != "none",
    )
    demand = {"CPU": study.resources.cpu, "GPU": study.resources.gpu}
    if job.cluster.has_slots:
        demand[SLOT] = 1
    stopper = Deadline(study.time_budget)

    def started() -> None:
        phases.over_once("workers")
        stopper.start()

    kept = Kept(weights=study.tested == "all", steps=study.step_losses != "winner")  # where there are none, none goes
    recorder = Recorder(
        job.journal,
        display,
        mode,
        run.files,
        kept,
        on_start=started,
        on_last_starts=lambda: _warm_for_test(job.engine),
        trials=study.number_of_trials,
        slots=job.slots,
        past=past,
    )
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(max(1, job.slots))
    board = _board(study, job.problem, job.slots)
    board.ended.update(ended.state for ended in past.ended.values())
    for number in past.drawn:
        best = past.best(number, mode)
        if best is not None and better(best, board.best[1] if board.best else None, mode):
            board.best = (number, best, past.params(number))
    display.begin(board)
    left = study.number_of_trials - len(past.ended)
    scheduler = make_scheduler(study, left)
    if isinstance(scheduler, Replaying):
        patience = Patience(study.patience, mode)
        at_their_ends = [number for number in past.open if past.at_its_end(number, study.epochs, patience)]
        for number in sorted(scheduler.replay(past.before_their_ends(at_their_ends), metric, mode)):
            past = recorder.stopped_before(past, number)
            left -= 1
    try:
        with _quiet_ray(), mended_controller(job.cluster.own), stopper.on_signals(display.say):
            # Not tune.Tuner, which pickles all of this into the run's folder to resume from: the journal serves there.
            tune.run(
                tune.with_parameters(TrialActor, job=shared),
                name=files.RAY,
                **run.for_ray(study.scheduler.pauses),
                search_alg=NumberedSearcher(study, past),
                scheduler=scheduler,
                num_samples=left,
                max_concurrent_trials=None if study.scheduler.pauses else job.slots,
                resources_per_trial=tune.PlacementGroupFactory(
                    [{kind: amount for kind, amount in demand.items() if amount}]
                ),
                reuse_actors=True,
                trial_dirname_creator=None if study.scheduler.pauses else one_folder,
                callbacks=[recorder],
                max_failures=RETRIES,
                stop=stopper,
                raise_on_failed_trial=False,
                verbose=0,
            )
    except Exception as error:  # Ray raises many kinds here
        raise _from_ray(error) from error
    finally:
        display.finish()
    if stopper.signal_number is None:
        recorder.close()
    return stopper.signal_number


def _warm_for_test(engine: str) -> None:
    """Two seconds of imports ahead of the winner's test, while the last trials train: a core may be without one by then."""

    def go() -> None:
        with contextlib.suppress(Exception):  # the test meets it again
            from tune_mlp.engines.choose import load_engine
            from tune_mlp.tuning import winner  # noqa: F401

            load_engine(engine)

    threading.Thread(target=go, daemon=True).start()


def _from_ray(error: Exception) -> RunError:
    """What our recorder raised, which Ray hands on as a traceback's text; or what befell Ray itself."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, RunError):
            return inner
        if isinstance(inner, OSError) and inner.errno in FULL:
            return StorageError(f"{inner.filename or files.CHECKPOINTS} can't be written: {inner.strerror}")
        inner = inner.__cause__ or inner.__context__
    return RunError(f"Ray Tune ended with an error: {one_line(error, 300)}")


@contextlib.contextmanager
def _quiet_ray() -> Iterator[None]:
    """Tune logs its own worries; what a person must know of them comes to the table and the exit status."""
    logger = logging.getLogger("ray")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _test(job: _Job, display: Display) -> None:
    """The test part is touched here, once, by best weights; then the winner's are saved as best/."""
    study, folder = job.study, job.run.folder
    results = Results.load(folder)
    if results.best is not None:
        from tune_mlp.tuning.winner import Examiner, save_steps

        examiner = Examiner(study, job.problem, job.engine, job.run.files, results)
        ranked = [int(trial) for trial in results.ranked["trial"]]
        before = {event.trial for event in read(folder / JOURNAL) if isinstance(event, Tested)}
        for trial in ranked if study.tested == "all" else ranked[:1]:
            if trial in before:  # in a run that was extended, and then its model is in best/
                continue
            examined = examiner.examine(trial)
            if examined.note:
                display.say(f"warning: {examined.note}", "yellow")
            if examined.scores:
                job.journal.append(Tested(trial, examined.scores))
            if trial == ranked[0]:
                examiner.save(examined, folder / "best")
        if study.step_losses != "none":
            save_steps(results, len(job.problem.folds), job.run.files, folder)
    job.run.files.clear()  # nothing is left to go on with


def _no_winner(results: Results, run: whereabouts.Run) -> str:
    counts = results.trials["state"].value_counts()
    ends = ", ".join(f"{count} {state}" for state, count in counts.items())
    errors = [error for error in results.trials["error"] if error]
    reason = f"; the first failure: {errors[0]}" if errors else ""
    if not len(results.trials):
        return f"no trial succeeded: none was started in time; see {run.where}"
    return f"no trial succeeded: all of {len(results.trials)} ended without a finite metric ({ends}){reason}; see {run.where}"
