"""One run of a study, end to end: data, Ray, trials, the winner's test, and the run's folder."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tune_mlp.data.dataset import Dataset, Problem
from tune_mlp.data.sources import load_dataset
from tune_mlp.data.split import make_problem
from tune_mlp.engines.choose import choose_engine
from tune_mlp.engines.compiled.cache import is_compiled
from tune_mlp.errors import Interrupted, NoTrialSucceeded, RunError, StudyError, TuneMlpError, one_line
from tune_mlp.results.journal import Journal, Started, Tested
from tune_mlp.results.results import Results
from tune_mlp.tuning import folder as files
from tune_mlp.tuning.cluster import SLOT, Cluster, connected
from tune_mlp.tuning.phases import Phases
from tune_mlp.tuning.progress import Board, Display
from tune_mlp.tuning.study import Study

RETRIES = 3
"""How often a trial starts anew when the process under it is lost. What a trial itself raises is not tried again."""


@dataclass(frozen=True)
class Request:
    """What a run is asked for beside its study."""

    out: Path = Path("runs")
    name: str | None = None
    address: str | None = None
    data_dir: Path | None = None
    csv: Path | None = None
    command: tuple[str, ...] = ()
    """The command line, for the manifest."""


def run_study(study: Study, request: Request, display: Display) -> Results:
    """Run it, and return what was found; the folder holds all of it whatever happens on the way."""
    began, phases = time.time(), Phases()
    if request.csv:
        files.check_writable(request.csv)
    files.check_place(request.out, request.name)
    dataset = load_dataset(study.data, request.data_dir, None, say=display.say)
    try:
        study = study.bound(dataset.task)
        study.check_models(dataset)
    except StudyError as error:
        raise study.located(error) from None
    engine, why = choose_engine(study.engine, gpu=study.resources.gpu > 0, eager_only=study.eager_only())
    problem = make_problem(dataset, study.data, study.seed)
    _announce(study, dataset, problem, display)
    phases.over("data")

    with contextlib.ExitStack() as stack:
        with display.waiting("Starting Ray" if request.address is None else f"Joining Ray at {request.address}"):
            cluster = stack.enter_context(connected(study, request.address))
        slots = cluster.slots(study.resources, study.concurrent)
        phases.over("ray")
        _compile_ahead(engine, display)
        phases.over("kernels")
        run = files.create(request.out, request.name, study.name)
        manifest = files.Manifest.begin(
            run, study, problem.dataset, cluster, slots, engine, why, request.command, began
        )
        with Journal.create(run / "journal.jsonl") as journal:
            journal.append(_started(study, dataset, engine))
            phases.over("folder")
            try:
                signal_number = _train(study, problem, engine, run, slots, cluster, journal, display, phases)
                phases.over("trials")
                if signal_number is None:
                    _test(study, problem, engine, run, journal, display)
                phases.over("test")
            except KeyboardInterrupt:  # a second Ctrl-C, or one while the winner is tested
                signal_number = signal.SIGINT
            except BaseException as error:
                manifest.note(state="failed", error=one_line(error))
                with contextlib.suppress(TuneMlpError):
                    files.finish(run, request.csv)  # what was learnt is worth a table all the same
                raise
        results = files.finish(run, request.csv)
        phases.over("tables")
    phases.over("ray")
    state = "interrupted" if signal_number is not None else "finished"
    manifest.note(state=state, seconds=round(time.time() - began, 3), phases=phases.seconds)
    if signal_number is not None:
        raise Interrupted(
            f"interrupted; the {len(results.trials)} trials so far are saved: tune-mlp export {run} --to csv",
            signal_number,
        )
    if results.best is None:
        raise NoTrialSucceeded(_no_winner(results))
    return Results.load(run)


def _compile_ahead(engine: str, display: Display) -> None:
    """The compiled engine's kernels, where this machine hasn't any yet: on disk, before workers ask for them at once."""
    if engine != "compiled" or is_compiled():
        return
    with display.waiting("Compiling the kernels, once for this machine"):
        from tune_mlp.engines.compiled.warm import compile_kernels  # torch and numba take two seconds to import

        seconds = compile_kernels()
    display.say(f"compiled the kernels in {seconds:.0f} s, once for this machine and version", "dim")


def _announce(study: Study, dataset: Dataset, problem: Problem, display: Display) -> None:
    if dataset.stand_in_for:
        display.say(
            f"!!! {dataset.stand_in_for} was not found and can't be downloaded: {dataset.name} STANDS IN for it. These "
            f"results are not {dataset.stand_in_for}'s. Give --data-dir or set TUNE_MLP_DATA for the real data.",
            "bold red",
        )
    for note in dataset.notes:
        display.say(note, "dim")
    for warning in study.warnings():
        display.say(f"warning: {warning}", "yellow")


def _started(study: Study, dataset: Dataset, engine: str) -> Started:
    metric, mode = study.ranking
    return Started(
        study_name=study.name,
        task=dataset.task,
        metric=metric,
        mode=mode,
        epochs=study.epochs,
        engine=engine,
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


def _train(
    study: Study,
    problem: Problem,
    engine: str,
    run: Path,
    slots: int,
    cluster: Cluster,
    journal: Journal,
    display: Display,
    phases: Phases,
) -> int | None:
    """Train all trials; returns the number of the signal that ended it early, if one did."""
    from ray import tune

    from tune_mlp.tuning.recorder import Kept, Recorder
    from tune_mlp.tuning.schedulers import can_pause, make_scheduler, milestones
    from tune_mlp.tuning.searchers import NumberedSearcher
    from tune_mlp.tuning.stopping import Deadline
    from tune_mlp.tuning.trainable import Job, TrialActor

    metric, mode = study.ranking
    job = Job(
        problem=problem,
        engine=engine,
        metric=metric,
        mode=mode,
        epochs=study.epochs,
        patience=study.patience,
        milestones=milestones(study),
        threads=max(1, math.floor(study.resources.cpu)),
        gpu=study.resources.gpu > 0,
        weights_folder=run.resolve() / files.CHECKPOINTS,
        seeds=study.seeds,
        keep_steps=study.step_losses != "none",
    )
    demand = {"CPU": study.resources.cpu, "GPU": study.resources.gpu}
    if cluster.has_slots:
        demand[SLOT] = 1
    stopper = Deadline(study.time_budget)

    def started() -> None:
        phases.over_once("workers")
        stopper.start()

    kept = Kept(weights=study.tested == "all", steps=study.step_losses == "all")
    recorder = Recorder(journal, display, mode, run / files.CHECKPOINTS, kept, on_start=started)
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(max(1, slots))
    display.begin(_board(study, problem, slots))
    try:
        with _quiet_ray(), stopper.on_signals():
            # Not tune.Tuner, which pickles all of this into the run's folder to resume from: the journal serves there.
            tune.run(
                tune.with_parameters(TrialActor, job=job),
                name="ray",
                storage_path=str(run.resolve() / files.CHECKPOINTS),
                search_alg=NumberedSearcher(study),
                scheduler=make_scheduler(study),
                num_samples=study.number_of_trials,
                max_concurrent_trials=None if can_pause(study) else slots,
                resources_per_trial=tune.PlacementGroupFactory(
                    [{kind: amount for kind, amount in demand.items() if amount}]
                ),
                reuse_actors=True,
                callbacks=[recorder],
                max_failures=RETRIES,
                stop=stopper,
                raise_on_failed_trial=False,
                verbose=0,
            )
    except RunError:
        raise
    except Exception as error:  # Ray raises many kinds here
        raise RunError(f"Ray Tune ended with an error: {one_line(error, 300)}") from error
    finally:
        display.finish()
    if stopper.signal_number is None:
        recorder.close()
    return stopper.signal_number


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


def _test(study: Study, problem: Problem, engine: str, run: Path, journal: Journal, display: Display) -> None:
    """The test part is touched here, once, by best weights; then the winner's are saved as best/."""
    results = Results.load(run)
    if results.best is not None:
        from tune_mlp.tuning.winner import Examiner, save_steps

        examiner = Examiner(study, problem, engine, run / files.CHECKPOINTS, results)
        ranked = [int(trial) for trial in results.ranked["trial"]]
        for trial in ranked if study.tested == "all" else ranked[:1]:
            examined = examiner.examine(trial)
            if examined.note:
                display.say(f"warning: {examined.note}", "yellow")
            if examined.scores:
                journal.append(Tested(trial, examined.scores))
            if trial == ranked[0]:
                examiner.save(examined, run / "best")
        if study.step_losses != "none":
            save_steps(results, len(problem.folds), run)
    for left in (run / files.CHECKPOINTS).iterdir():  # nothing is left to go on with
        shutil.rmtree(left) if left.is_dir() else left.unlink()


def _no_winner(results: Results) -> str:
    counts = results.trials["state"].value_counts()
    ends = ", ".join(f"{count} {state}" for state, count in counts.items())
    errors = [error for error in results.trials["error"] if error]
    reason = f"; the first failure: {errors[0]}" if errors else ""
    if not len(results.trials):
        return f"no trial succeeded: none was started in time; see {results.path}"
    return f"no trial succeeded: all of {len(results.trials)} ended without a finite metric ({ends}){reason}; see {results.path}"
