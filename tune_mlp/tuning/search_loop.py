"""The search loop: Ray Tune trains all trials of an open run, and then the winner meets the test part."""

from __future__ import annotations

import contextlib
import errno
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field

from tune_mlp.console.board import NEVER_BEST, Board, Display
from tune_mlp.errors import RunError, StorageError, one_line
from tune_mlp.results.journal import Decided, Tested
from tune_mlp.results.journal_reader import read
from tune_mlp.results.results import Results
from tune_mlp.results.run_cache import JOURNAL
from tune_mlp.runs.history import History
from tune_mlp.runs.journal_writer import Journal
from tune_mlp.runs.manifest import Manifest
from tune_mlp.runs.phases import Phases
from tune_mlp.runs.run_folder import CHECKPOINTS, RAY
from tune_mlp.runs.run_location import RunLocation
from tune_mlp.study.study import BoundStudy
from tune_mlp.tuning.cluster import Cluster
from tune_mlp.tuning.preparation import PreparedStudy
from tune_mlp.tuning.ray_compat.head_watch import RayLost, watched_head
from tune_mlp.tuning.ray_compat.patching import environment, quiet_ray

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""The errors of a disk that takes no more."""
RETRIES = 3
"""How often a trial is started again when its worker process is lost. A trial that raises an error is not started again."""


@dataclass(frozen=True)
class OpenRun:
    """A run whose folder is open for writing, with all that training needs."""

    prepared: PreparedStudy
    where: RunLocation
    slots: int
    """How many trials run at once."""
    cluster: Cluster
    journal: Journal
    manifest: Manifest
    history: History
    """What the journal said when the run was opened."""
    ends: Mapping[int, int] = field(default_factory=dict)
    """The epoch after which each trial ends, where that isn't for the study to say; such trials report every epoch."""
    followup: str = ""
    """The follow-up that trains, such as `confirm`; empty where it is the search."""

    @property
    def study(self) -> BoundStudy:
        return self.prepared.study


def train_trials(run: OpenRun, display: Display, phases: Phases, last_words: Callable[[RayLost], None]) -> int | None:
    """Train all trials; returns the number of the signal that ended the search early, if one did. `last_words` is called where
    Ray is lost in a way that only the end of the process answers."""
    from tune_mlp.tuning.plateau import PlateauWatch
    from tune_mlp.tuning.recorder import KeptFiles, Recorder
    from tune_mlp.tuning.schedulers import EndsEarly, make_scheduler
    from tune_mlp.tuning.stopping import Deadline

    study = run.study
    deadline = Deadline(study.time_budget)

    def first_trial_started() -> None:
        phases.over_once("workers")
        deadline.start()

    left = run.history.to_come(study.number_of_trials)
    scheduler = EndsEarly(run.ends) if run.ends else make_scheduler(study, left, run.slots)
    recorder = Recorder(
        run.journal,
        display,
        run.where.files,
        KeptFiles(weights=study.tested == "all", steps=study.step_losses != "winner"),
        on_start=first_trial_started,
        on_last_starts=lambda: _warm_for_test(run.prepared.engine),
        trials=study.number_of_trials,
        slots=run.slots,
        history=run.history,
        reason=deadline.reason,
        decisions=getattr(scheduler, "decisions", None),
        released=getattr(scheduler, "released", None),
        decided={(e.trial, e.epoch) for e in read(run.where.folder / JOURNAL) if isinstance(e, Decided)},
    )
    display.begin(_board(run))
    history = _replay(run, scheduler, recorder)
    left = history.to_come(study.number_of_trials)
    watch = PlateauWatch(study, run.journal, scheduler, display, on_end=lambda: _warm_for_test(run.prepared.engine))
    try:
        with deadline.on_signals(display.say), watched_head(last_words):
            _tune(run, history, left, scheduler, recorder, deadline, watch)
    except Exception as error:  # Ray raises many kinds here
        raise _from_ray(error) from error
    finally:
        display.finish()
    if estimated := run.journal.state.last_estimate:
        run.manifest.note(plateau=asdict(estimated))
    if deadline.signal_number is None:
        recorder.close()
        if deadline.time_is_up:
            display.say(f"the time budget of {study.time_budget:g} s ended the search", "yellow")
    return deadline.signal_number


def _board(run: OpenRun) -> Board:
    """Return the board as the run's history has it."""
    study, problem, history = run.study, run.prepared.problem, run.history
    metric, mode = study.ranking
    dataset, fold = problem.dataset, problem.folds[0]
    folds = f", {len(problem.folds)} folds" if len(problem.folds) > 1 else ""
    how = run.followup or f"{study.search.name} search, {study.scheduler.name}"
    title = (
        f"{study.name}: {dataset.name}, {len(fold.train):,} to train on and {len(fold.validation):,} to validate{folds}; "
        f"{how}, {run.slots} at a time"
    )
    board = Board(title, metric, mode, study.number_of_trials, study.epochs, study.time_budget)
    board.ended.update(ended.state for ended in history.ended.values())
    for number in history.drawn:
        best = history.best(number)
        ended = history.ended.get(number)
        if best is not None and not (ended and ended.state in NEVER_BEST):
            board.values[number] = (best, history.params(number))
    return board


def _replay(run: OpenRun, scheduler: object, recorder: object) -> History:
    """Tell the scheduler the results of earlier drivers again, and record as stopped the open trials that it stops now."""
    from tune_mlp.tuning.pausing import PausingScheduler
    from tune_mlp.tuning.recorder import Recorder
    from tune_mlp.tuning.schedulers import tell_history

    history = run.history
    assert isinstance(recorder, Recorder)
    stopped = tell_history(scheduler, run.study, history)
    # A scheduler that pauses trials takes its decisions over, and says only what is new.
    recorder.write_decisions(told_again=not isinstance(scheduler, PausingScheduler))
    for number in stopped:
        history = recorder.stopped_before(history, number)
    return history


def _tune(
    run: OpenRun,
    history: History,
    left: int,
    scheduler: object,
    recorder: object,
    deadline: object,
    watch: Callable[[], bool],
) -> None:
    """Call Ray Tune."""
    from ray import tune

    from tune_mlp.tuning.pausing import PausingScheduler
    from tune_mlp.tuning.ray_compat.controller import mended_controller, one_folder
    from tune_mlp.tuning.ray_compat.reporter import SilentReporter
    from tune_mlp.tuning.searchers import NumberedSearcher
    from tune_mlp.tuning.trainable import TrialActor

    pausing = scheduler if isinstance(scheduler, PausingScheduler) else None
    # Each waiting trial would ask Ray for a new worker, which is thrown away when the trial gets the worker of an ended one.
    pending = {"TUNE_MAX_PENDING_TRIALS_PG": str(max(1, run.slots))}
    with environment(pending), quiet_ray(), mended_controller(run.cluster.own):
        # Not tune.Tuner, which pickles all of this into the run's folder to resume from: the journal serves there.
        tune.run(
            tune.with_parameters(TrialActor, job=_shared(run)),
            name=RAY,
            storage_path=str(run.where.folder.resolve() / CHECKPOINTS),  # only the driver writes there
            search_alg=NumberedSearcher(run.study, history, pausing, watch),
            scheduler=scheduler,
            num_samples=left + (pausing is not None),  # so that the searcher says when the search is over
            max_concurrent_trials=None if pausing else run.slots,
            resources_per_trial=tune.PlacementGroupFactory([_demand(run)]),
            reuse_actors=True,
            trial_dirname_creator=one_folder,
            callbacks=[recorder],
            max_failures=RETRIES,
            stop=deadline,
            raise_on_failed_trial=False,
            verbose=0,
            progress_reporter=SilentReporter(),
        )


def _shared(run: OpenRun) -> object:
    """Return the part of a trial's job that all trials of the study share."""
    from tune_mlp.tuning.schedulers import Milestones, milestones
    from tune_mlp.tuning.trainable import Job

    study, prepared = run.study, run.prepared
    metric, mode = study.ranking
    return Job(
        problem=prepared.problem,
        engine=prepared.engine,
        metric=metric,
        mode=mode,
        epochs=study.epochs,
        patience=study.patience,
        milestones=Milestones(range(1, study.epochs), study.epochs) if run.ends else milestones(study),
        threads=study.resources.threads,
        gpu=study.resources.gpu > 0,
        kept=run.where.shared,
        seeds=study.seeds,
        further=study.further,
        keep_steps=study.step_losses != "none",
        goals=study.goals if study.metrics else (),
        shares_states=study.scheduler.pbt is not None,
    )


def _demand(run: OpenRun) -> dict[str, float]:
    """Return the resources of one trial, as Ray counts them."""
    resources = run.study.resources
    demand = {"CPU": resources.cpu, "GPU": resources.gpu}
    return {kind: amount for kind, amount in demand.items() if amount}


def _warm_for_test(engine: str) -> None:
    """Import what the winner's test needs, which takes two seconds, while the last trials train and a core may be idle."""

    def go() -> None:
        with contextlib.suppress(Exception):  # the test meets the same error again
            from tune_mlp.engines.choose import load_engine
            from tune_mlp.tuning import winner  # noqa: F401  # imported ahead of its use

            load_engine(engine)

    threading.Thread(target=go, daemon=True).start()


def _from_ray(error: Exception) -> RunError:
    """Return the error of ours inside one of Ray's, which wraps it as the text of a traceback, or else Ray's own."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, RunError):
            return inner
        if isinstance(inner, OSError) and inner.errno in FULL:
            return StorageError(f"{inner.filename or CHECKPOINTS} can't be written: {inner.strerror}")
        inner = inner.__cause__ or inner.__context__
    return RunError(f"Ray Tune ended with an error: {one_line(error, 300)}")


def test_winner(run: OpenRun, display: Display) -> None:
    """Test the best weights on the test part, once, and save the winner's as best/."""
    study, folder, files = run.study, run.where.folder, run.where.files
    results = Results.load(folder)
    if results.best is not None:
        from tune_mlp.training.baselines import measure_baselines
        from tune_mlp.tuning.winner import Examiner, is_saved, save_steps

        examiner = Examiner(study, run.prepared.problem, run.prepared.engine, files, results)
        ranked = [int(trial) for trial in results.ranked["trial"]]
        before = {event.trial for event in read(folder / JOURNAL) if isinstance(event, Tested)}
        for trial in ranked if study.tested == "all" else ranked[:1]:
            # In a run that was extended or interrupted. Its model is in best/, unless the driver was killed before that was written.
            if trial in before and (trial != ranked[0] or is_saved(folder / "best", trial)):
                continue
            examined = examiner.examine(trial)
            if examined.note:
                display.say(f"warning: {examined.note}", "yellow")
            if examined.scores and trial not in before:
                run.journal.append(Tested(trial, examined.scores))
            if trial == ranked[0]:
                examiner.save(examined, folder / "best")
        run.manifest.note(baselines=measure_baselines(run.prepared.problem, run.prepared.study.further))
        if study.step_losses != "none":
            save_steps(results, len(run.prepared.problem.folds), files, folder)
    files.clear()  # nothing is left to go on with
