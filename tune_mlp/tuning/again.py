"""Trials of a run are trained again through Ray. What is learnt lies in a journal of its own within the run's folder."""

from __future__ import annotations

import contextlib
import math
import shlex
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tune_mlp.console.board import Display
from tune_mlp.console.terminal import say_error
from tune_mlp.errors import ENDING, Interrupted, RunFolderError, StorageError, UsageError, no_such_trial
from tune_mlp.records import spread
from tune_mlp.regular_files import read_regular
from tune_mlp.results.followups import followup_folder
from tune_mlp.results.journal import Decided, Drawn, Event, Looked, Started, Tested
from tune_mlp.results.journal_reader import MOST_BYTES, read
from tune_mlp.results.results import Results
from tune_mlp.results.run_cache import JOURNAL
from tune_mlp.results.storage import FolderStorage, NoStorage, ObjectStore, Storage
from tune_mlp.runs import run_folder
from tune_mlp.runs.history import history_of
from tune_mlp.runs.journal_writer import Journal
from tune_mlp.runs.killed_notice import notice_if_killed
from tune_mlp.runs.manifest import Manifest, check_same_data, check_same_study
from tune_mlp.runs.phases import Phases
from tune_mlp.runs.run_folder import CHECKPOINTS
from tune_mlp.runs.run_location import RunLocation
from tune_mlp.study.settings import AllTrials, Fifo, RandomSearch, Scheduler, Search, Until
from tune_mlp.study.study import Study
from tune_mlp.tuning.preparation import PreparedStudy, cluster_for, prepare
from tune_mlp.tuning.ray_compat.cluster_start import check_ray_can_start
from tune_mlp.tuning.ray_compat.head_watch import RayLost
from tune_mlp.tuning.run import Request, check_functions
from tune_mlp.tuning.search_loop import OpenRun, train_trials


class Again(NamedTuple):
    """A trial of a run that is to be trained again from its beginning, from its own seed or from another one."""

    trial: int
    seed: int


class _Place(NamedTuple):
    """Where a follow-up writes."""

    folder: Path
    journal: Journal
    files: Storage


@dataclass
class FollowUpRun:
    """A run whose trials are to be trained again."""

    results: Results
    """What the run's journal says."""
    events: list[Event]
    """The run's journal."""
    manifest: Manifest
    request: Request
    display: Display
    journal: Journal | None
    """The run's journal, open for writing; None where the run is only read."""

    @property
    def how_to_go_on(self) -> str:
        """What to do after an interruption: the same command again, which goes on where something is kept."""
        kept = "nothing of it is kept" if self.journal is None else "what was trained is saved"
        return f"{kept}; to go on: {shlex.join(self.request.command)}"

    @cached_property
    def prepared(self) -> PreparedStudy:
        """The run's study with its data, which are read when they are first needed, and must be those of the run."""
        study = Study.load(self.results.path / "study.yaml")
        check_functions(study, self.results.where, self.request)
        engine = self.manifest.facts["engine"]["name"]
        prepared = prepare(study, self.request.data_dir, self.display, engine=engine)
        check_same_data(self.manifest, prepared.problem.dataset)
        if versions := self.manifest.other_versions():
            self.display.say(f"warning: the run was written with {versions}: figures may differ", "yellow")
        return prepared

    def why_not(self, trial: int) -> str:
        """Say why a trial's training can't be repeated from its beginning; empty where it can."""
        if trial not in self.results.params:
            return no_such_trial(trial, self.results.params)
        for event in self.events:
            if isinstance(event, Decided) and event.trial == trial and event.decision == "exploit":
                return (
                    f"trial {trial} can't be trained again: after its epoch {event.epoch} population-based training gave it the "
                    f"weights and settings of trial {event.donor}, changed a little"
                )
        changes = self.results.changes  # of a journal that has no decisions
        if len(changed := changes[changes["trial"] == trial]):
            first = changed.iloc[0]
            change = f"its {first['parameter']} from {first['before']} to {first['after']}"
            return f"trial {trial} can't be trained again: population-based training changed {change} on its way"
        return ""

    def check_repeatable(self, trials: Sequence[int]) -> None:
        """Refuse trials that the run doesn't have, and those whose training can't be repeated from its beginning."""
        for trial in trials:
            if reason := self.why_not(trial):
                raise UsageError(reason)

    def train(self, kind: str, wanted: Sequence[Again], keep_weights: bool = False) -> Results:
        """Train what of `wanted` wasn't trained yet, each for the study's epochs, and return all that the follow-up has.

        The table of trials has a row for each; `again` and `seed` say which it is. What was trained by an earlier call is
        there already, and what was interrupted goes on. The best weights of all stay in `weights(kind)` if they are to be
        kept, until the caller clears it.
        """
        assert self.journal is not None, "a run that is only read has no follow-ups"
        self.check_repeatable([one.trial for one in wanted])
        folder = followup_folder(self.results.path, kind)
        with contextlib.ExitStack() as stack:
            journal = stack.enter_context(self._opened(folder))
            numbers = self._drawn(journal, wanted)
            self._train(
                _Place(folder, journal, FolderStorage(folder.resolve() / CHECKPOINTS)), kind, numbers, keep_weights
            )
        if not keep_weights:
            self.weights(kind).clear()
        return Results.load(folder)

    def _opened(self, folder: Path) -> Journal:
        """Open a follow-up's journal for writing, and begin it if it has no whole line yet."""
        path = folder / JOURNAL
        try:
            (folder / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
            if path.exists() and b"\n" not in read_regular(path, MOST_BYTES):
                path.unlink()
        except OSError as error:
            raise StorageError(f"{folder}: can't be written: {error.strerror or error}") from None
        run_folder.tidy(folder)
        if path.exists():
            return Journal.resume(path)
        journal = Journal.create(path)
        journal.append(self._started())
        return journal

    def weights(self, kind: str) -> Storage:
        """Return the storage that holds the best weights of a follow-up's trials."""
        return FolderStorage(followup_folder(self.results.path, kind).resolve() / CHECKPOINTS)

    def look(self, kind: str, trial: int, seeds: Sequence[int]) -> None:
        """Measure the nets of a trial from these seeds on the test part, and record it in the run's journal as one look.

        A look at the same nets is never taken twice, and none is taken where the data have no test part.
        """
        from tune_mlp.tuning.winner import Examiner  # late: torch

        assert self.journal is not None, "a run that is only read takes no looks"
        looked = [(look.followup, look.trial, look.nets) for look in self.journal.state.looked]
        if (kind, trial, len(seeds)) in looked or not len(self.prepared.problem.dataset.x_test):
            return
        prepared, folder = self.prepared, followup_folder(self.results.path, kind)
        results = Results.load(folder)
        rows = results.trials
        nets = rows[(rows["again"] == trial) & rows["seed"].isin(seeds)]
        examiner = Examiner(prepared.study, prepared.problem, prepared.engine, self.weights(kind), results)
        with Journal.resume(folder / JOURNAL) as journal:
            scores = []
            for number in map(int, nets["trial"]):
                tested = journal.state.trials[number].tested
                if tested is None:
                    tested = Tested(number, examiner.examine(number).scores)
                    journal.append(tested)
                scores.append(tested.metrics)
        means: dict[str, float] = {}
        for name in (name for name in scores[0] if not name.endswith("_std")):
            values = [score[name] for score in scores]
            means[name] = math.fsum(values) / len(values)
            if len(values) > 1:
                means[f"{name}_std"] = spread(values)
        self.journal.append(Looked(trial, means, kind, len(seeds)))

    def rehearse(self, epochs: Mapping[int, int]) -> list[Event]:
        """Train trials from their own seeds for so many epochs each, and keep nothing; return the events, one for each epoch."""
        self.check_repeatable(list(epochs))
        with TemporaryDirectory(prefix="tune-mlp-") as name, Journal.create(Path(name) / JOURNAL) as journal:
            (Path(name) / CHECKPOINTS).mkdir()
            journal.append(self._started())
            seeds = self.results.trials.set_index("trial")["seed"]
            numbers = self._drawn(journal, [Again(trial, int(seeds[trial])) for trial in epochs])
            ends = dict(zip(numbers, epochs.values(), strict=True))
            self._train(_Place(Path(name), journal, NoStorage()), "replay", numbers, ends=ends)
            return read(journal.path)

    def _started(self) -> Started:
        started = self.events[0]
        assert isinstance(started, Started)  # the reader refuses any other first line
        return replace(started, further_goals=())  # which nets stand on a front is no question here

    def _drawn(self, journal: Journal, wanted: Sequence[Again]) -> list[int]:
        """Write to the follow-up's journal what it lacks of `wanted`; return the number of each there.

        A trial keeps its number; where it is trained from further seeds, these get numbers that the run doesn't have.
        """
        numbers = {
            Again(trial.drawn.again, trial.drawn.seed): number
            for number, trial in journal.state.trials.items()
            if trial.drawn.again is not None
        }
        for one in wanted:
            if one not in numbers:
                taken = set(numbers.values())
                numbers[one] = one.trial if one.trial not in taken else max({*taken, *self.results.params}) + 1
                journal.append(Drawn(numbers[one], self.results.params[one.trial], one.seed, again=one.trial))
        return [numbers[one] for one in dict.fromkeys(wanted)]

    def _train(
        self,
        place: _Place,
        kind: str,
        numbers: Sequence[int],
        keep_weights: bool = False,
        ends: Mapping[int, int] | None = None,
    ) -> None:
        """Train those of a follow-up's trials that haven't ended."""
        history = history_of(read(place.journal.path))
        ended = {number: history.ended[number] for number in numbers if number in history.ended}
        if len(ended) == len(numbers):
            return
        history = replace(history, drawn={number: history.drawn[number] for number in numbers}, ended=ended)
        check_ray_can_start()
        prepared = self.prepared
        if any(number not in self.results.params for number in numbers):
            self.display.say("a number that the run doesn't have is a further seed of one of these trials", "dim")
        study = prepared.study.model_copy(
            update={
                "search": Search(random=RandomSearch()),
                "scheduler": Scheduler(fifo=Fifo()),
                "trials": len(numbers),
                "tested": "all" if keep_weights else "winner",
                "step_losses": "none",
                "time_budget": None,
                "until": Until(trials=AllTrials()),
            }
        )
        where = RunLocation(place.folder, place.folder, place.files, place.files)
        phases = Phases()
        with (
            _says_how_to_go_on(self.how_to_go_on),
            cluster_for(study, self.request.address, prepared.engine, self.display, phases) as cluster,
        ):
            slots = cluster.slots(study.resources, study.concurrent)
            run = OpenRun(
                replace(prepared, study=study),
                where,
                slots,
                cluster,
                place.journal,
                self.manifest,
                history,
                ends or {},
                kind,
            )
            with notice_if_killed(f"tune-mlp: {kind} was killed; {self.how_to_go_on}") as take_back:
                signal_number = train_trials(run, self.display, phases, self._last_words(take_back))
        if signal_number is not None:
            raise Interrupted(f"interrupted; {self.how_to_go_on}", signal_number)

    def _last_words(self, take_back: Callable[[], None]) -> Callable[[RayLost], None]:
        def last_words(lost: RayLost) -> None:
            take_back()
            self.display.finish()
            say_error(f"{lost}; {self.how_to_go_on}")

        return last_words


@contextlib.contextmanager
def followed(where: Path | ObjectStore, request: Request, display: Display) -> Iterator[FollowUpRun]:
    """Open a run for a follow-up that keeps what it learns. The run's journal is held all the while: nobody else writes it."""
    if isinstance(where, ObjectStore):
        raise RunFolderError(
            f"{where}: a follow-up keeps what it learns in the run's folder, which must be one of this machine's; copy the run"
        )
    run_folder.check_own(where)
    with Journal.resume(where / JOURNAL) as journal:
        run = _opened(where, request, display, journal)
        try:
            yield run
        except KeyboardInterrupt:  # while no trial was under way
            raise Interrupted(f"interrupted; {run.how_to_go_on}", signal.SIGINT) from None
        except SystemExit as stopped:
            if stopped.code not in ENDING:
                raise
            raise Interrupted(f"interrupted; {run.how_to_go_on}", ENDING[ENDING.index(stopped.code)]) from None


def only_read(where: Path | ObjectStore, request: Request, display: Display) -> FollowUpRun:
    """Open a run, which another process may be writing, for a follow-up that keeps nothing."""
    return _opened(where, request, display, None)


def _opened(where: Path | ObjectStore, request: Request, display: Display, journal: Journal | None) -> FollowUpRun:
    results = Results.load(where)
    manifest = Manifest.load(results.path)
    check_same_study(manifest)
    return FollowUpRun(results, read(results.path / JOURNAL), manifest, request, display, journal)


@contextlib.contextmanager
def _says_how_to_go_on(line: str) -> Iterator[None]:
    """Add the command that goes on to the error of a full disk or a lost Ray."""
    try:
        yield
    except (StorageError, RayLost) as error:
        raise type(error)(f"{error}; {line}") from None
