"""Results: what a run's folder says, for Python and notebooks; the tables come from the journal alone."""

from __future__ import annotations

import html
import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self, cast

import pandas as pd

from tune_mlp.errors import DataError, RunFolderError, UsageError, did_you_mean, one_line
from tune_mlp.records import BETTER, Goal, Mode
from tune_mlp.regular_files import open_regular
from tune_mlp.results.answer import Answer, counted
from tune_mlp.results.changes import changes_table
from tune_mlp.results.journal import Drawn, Event, Line, Looked, Param, Started
from tune_mlp.results.journal_reader import MOST_BYTES, read, read_lines
from tune_mlp.results.outcomes import OUTCOMES, OutcomesOfTrials, read_outcomes
from tune_mlp.results.run_cache import copied
from tune_mlp.results.run_files import read_manifest, read_study
from tune_mlp.results.state import RunState
from tune_mlp.results.storage import ObjectStore, location
from tune_mlp.results.tables import front_of, rank, score_column, tables_of

RUNS = Path("runs")
"""Where a run is looked up by its name."""
STEPS = "steps.parquet"
SHOWN = 10
"""Trials in a notebook's table."""
DATA_FRAME = "a data frame"
"""The source of results that come from a data frame, and from no file."""


def find_run(run: str | Path | ObjectStore) -> Path | ObjectStore:
    """Return a run's folder, by its path, its URI or its name under ./runs."""
    if run == "":
        raise UsageError("RUN is empty: name the run's folder, its address on an object store, or its name in runs/")
    where = location(run)
    if isinstance(where, ObjectStore):
        return where
    path = next((folder for folder in (where, RUNS / where) if folder.is_dir()), None)
    if path is None:
        raise RunFolderError(f"no run's folder {run}, and no run of that name in {RUNS}/")
    return path


class RunFiles(NamedTuple):
    """Where the files of a run lie."""

    path: Path
    """The folder; of a run on an object store a copy, in the user's cache folder."""
    where: Path | ObjectStore
    """The run itself."""


def _files_of(run: str | Path | ObjectStore) -> RunFiles:
    where = find_run(run)
    return RunFiles(copied(where) if isinstance(where, ObjectStore) else where, where)


def read_events(run: str | Path | ObjectStore) -> list[Event]:
    """Return the events of a run's journal, in their order. No other file of the run is read."""
    return read(_files_of(run).path / "journal.jsonl")


def _module(name: str) -> Any:
    """Import a module that stands above the results, or that takes a second to import, only where it is asked for."""
    return importlib.import_module(name)


@dataclass(frozen=True, eq=False, repr=False)
class Results:
    """The tables of a search, with what names their metric and parameters. They come from a run, or from a table alone."""

    source: str
    """What the results are shown by: the run, the table's file, or DATA_FRAME."""
    trials: pd.DataFrame
    """A row for each trial."""
    epochs: pd.DataFrame
    """A row for each epoch of each trial, and for each fold where there are several; empty where only a table is known."""
    metric: str
    mode: Mode
    params: dict[int, dict[str, Param]]
    """Each trial's parameters; under population-based training those that it had last."""
    changes: pd.DataFrame
    """A row for each parameter that population-based training changed in a trial on its way."""
    study: dict[str, Any] = field(default_factory=dict)
    """study.yaml; empty where there is none."""
    manifest: dict[str, Any] = field(default_factory=dict)
    """run.json; empty where there is none."""
    files: RunFiles | None = None
    """The run's files; None where the results come from a table alone."""
    looks: int = 0
    """How often the run's test part was looked at: by the search for each trial that it tested, and by follow-ups."""
    notes: tuple[str, ...] = ()
    """What a person must know of how a table from elsewhere was read."""
    looked: tuple[Looked, ...] = ()
    """What follow-ups measured on the test part."""
    goals: tuple[Goal, ...] = ()
    """All goals of a study that has several, the metric first; else empty."""
    lines: tuple[Line, ...] = ()
    """The lines of the run's journal, each with the time at which it was written; none where only a table is known."""

    @classmethod
    def load(cls, run: str | Path | ObjectStore) -> Self:
        """Load a run from its folder, its URI or its name under ./runs."""
        path, where = files = _files_of(run)
        lines = read_lines(path / "journal.jsonl")
        events = [line.event for line in lines]
        started = events[0]
        assert isinstance(started, Started)
        try:
            state = RunState.of(events)
            trials, epochs = tables_of(state)
        except RunFolderError as error:
            raise RunFolderError(f"{path / 'journal.jsonl'}: {error}") from None
        return cls(
            source=str(where),
            files=files,
            trials=trials,
            epochs=epochs,
            study=read_study(path / "study.yaml") if (path / "study.yaml").exists() else {},
            manifest=read_manifest(path / "run.json") if (path / "run.json").exists() else {},
            metric=started.metric,
            mode=started.mode,
            params={event.trial: dict(event.params) for event in events if isinstance(event, Drawn)},
            changes=changes_table(events),
            looks=state.looks,
            looked=tuple(state.looked),
            goals=started.goals if started.further_goals else (),
            lines=tuple(lines),
        )

    @classmethod
    def from_table(
        cls,
        table: pd.DataFrame | str | Path,
        metric: str | None = None,
        mode: str | None = None,
        params: Sequence[str] | None = None,
    ) -> Self:
        """Take a table of trials from elsewhere: a data frame, or a CSV or Parquet file.

        Our own table is recognised, and so are those that Ray Tune, Optuna, MLflow and W&B export; of any other table `params`
        must name the columns that are parameters. `metric` and `mode` must be given where the table leaves a choice.
        """
        from tune_mlp.results.outside_tables import read_table, to_trials  # late: few need it

        source, frame = (
            (DATA_FRAME, table) if isinstance(table, pd.DataFrame) else (str(table), read_table(Path(table)))
        )
        try:
            found = to_trials(frame, metric, mode, params)
        except (DataError, UsageError) as error:
            raise error if frame is table else type(error)(f"{source}: {error}") from None
        return cls(
            source=source,
            trials=found.trials,
            epochs=pd.DataFrame({"trial": pd.Series(dtype="int64"), "epoch": pd.Series(dtype="int64")}),
            metric=found.metric,
            mode=found.mode,
            params=found.params,
            changes=changes_table(()),
            notes=found.notes,
        )

    def judged_by(
        self, metric: str | None = None, mode: str | None = None, params: Sequence[str] | None = None
    ) -> Self:
        """Return the same trials, ranked by another metric, and with only some of the parameters; None leaves each as it is."""
        name = self.metric if metric is None else metric
        rank(self.trials, name, self.mode)  # refuses a metric that the table lacks
        if mode not in (None, "min", "max"):
            raise UsageError(f"mode: must be min or max, got {mode!r:.40}")
        way = mode or (self.mode if name == self.metric else BETTER[name.partition("_")[2]])
        if params is not None and not params:
            raise UsageError("params: name at least one parameter")
        if unknown := [param for param in params or () if param not in self.parameters]:
            raise UsageError(
                f"params: the run has no parameter {unknown[0]!r:.60}{did_you_mean(unknown[0], self.parameters)}"
            )
        kept = {
            trial: drawn if params is None else {param: value for param, value in drawn.items() if param in params}
            for trial, drawn in self.params.items()
        }
        goals = self.goals if (name, way) == (self.metric, self.mode) else ()
        return replace(self, metric=name, mode=cast("Mode", way), params=kept, goals=goals)

    @property
    def path(self) -> Path:
        """The run's folder; of a run on an object store a copy, in the user's cache folder."""
        return self._files.path

    @property
    def where(self) -> Path | ObjectStore:
        """Where the run lies."""
        return self._files.where

    @property
    def _files(self) -> RunFiles:
        if self.files is None:
            raise RunFolderError(f"{self.source} is a table alone: this needs a run's folder")
        return self.files

    @property
    def parameters(self) -> list[str]:
        """The names of the parameters, each a column of `trials`."""
        return list(dict.fromkeys(name for drawn in self.params.values() for name in drawn))

    @property
    def ranked(self) -> pd.DataFrame:
        """The trials that may be best, best first."""
        return rank(self.trials, self.metric, self.mode)

    @property
    def best(self) -> pd.Series[Any] | None:
        """The winner's row of `trials`; None where no trial has a finite metric."""
        ranked = self.ranked
        return None if ranked.empty else ranked.iloc[0]

    @property
    def front(self) -> pd.DataFrame:
        """The trials of the Pareto front, best first by the metric: no other trial beats one of them in all goals of the study.

        Of a study with one goal alone it is the best trial.
        """
        return front_of(self.ranked, self.goals or (Goal(self.metric, self.mode),))

    @property
    def stand_in_for(self) -> str:
        """The dataset that was asked for and couldn't be had; empty where it was."""
        return str(self.trials.attrs["stand_in_for"])

    @property
    def summary(self) -> str:
        """One line: how many trials, how they ended, the best."""
        states = ", ".join(
            f"{count} {state}" for state, count in self.trials["state"].value_counts().sort_index().items()
        )
        text = counted(len(self.trials), "trial") + (f" ({states})" if states else "")
        if (best := self.best) is not None:
            value = best[score_column(self.trials, self.metric)]
            text += f", best {self.metric} {value:.6g} in trial {best['trial']}"
        if self.goals:
            text += f", {counted(len(self.front), 'trial')} on the front"
        if self.stand_in_for:
            text += f"; {self.trials.attrs['dataset']} stood in for {self.stand_in_for}"
        return text

    @property
    def events(self) -> list[Event]:
        """The events of the run's journal, in their order, as far as it had come when it was loaded."""
        return [line.event for line in self.lines] if self._files else []  # a table alone is refused

    def why(self, trial: int) -> pd.DataFrame:
        """Return the scheduler's decisions on a trial, a row for each; `attrs` has in words why the trial ended as it did."""
        answer: pd.DataFrame = importlib.import_module("tune_mlp.insight.why").why(self.events, trial).to_frame()
        return answer

    @property
    def baselines(self) -> pd.DataFrame:
        """What simple answers reach on the same split: a row for each, with its scores on the validation and test part."""
        return pd.DataFrame(self.manifest.get("baselines", []))

    def model(self) -> Any:
        """Return the winner as an estimator of scikit-learn: `results.model().predict(frame)` answers for new samples."""
        best = self.best
        seed = 0 if best is None else int(best["seed"])
        return _module("tune_mlp.prediction.estimator").load_estimator(
            self.path / "best", seed, self.study.get("data", {})
        )

    def importance(self, seed: int = 0) -> pd.DataFrame:
        """Return which parameters matter, a row for each; its `attrs` hold the sentence, pairs and placebos."""
        answer: Answer = _module("tune_mlp.insight.importance").importance(self, seed)
        return answer.to_frame()

    def advice(self, seed: int = 0) -> pd.DataFrame:
        """Return what to change for the next search, a row for each change; its `attrs` hold the sentence and what more trials bring."""
        answer: Answer = _module("tune_mlp.insight.advice").advice(self, seed)[0]
        return answer.to_frame()

    @cached_property
    def outcomes(self) -> OutcomesOfTrials:
        """What became of each validation sample in the best epoch of each trial that has ended and may be best; notes say what
        couldn't be read."""
        path = self.path / OUTCOMES
        if not path.exists():
            why = "no trial has ended, or an earlier version of tune-mlp wrote it"
            if (states := set(self.trials["state"])) and states <= {"diverged", "failed"}:
                why = f"its trials {' or '.join(sorted(states))}, so none can be compared"
            raise RunFolderError(
                f"{self.source} has no {OUTCOMES}, which says which samples each trial got right: {why}"
            )
        found = read_outcomes(path)
        # A state can be ahead of the journal, and population-based training takes a trial's history away.
        epochs = self.ranked.set_index("trial")["best_epoch"].to_dict()
        return found._replace(trials={trial: of for trial, of in found.trials.items() if epochs.get(trial) == of.epoch})

    def compare(self, *trials: int) -> pd.DataFrame:
        """Compare trials on the same validation samples: these, or without any all of them with the winner.

        The frame's `attrs` hold the answer in a sentence and how it was worked out.
        """
        compare = importlib.import_module("tune_mlp.insight.compare")
        answer: Answer = compare.compare(self, trials)
        return answer.to_frame()

    @property
    def confirmed(self) -> pd.DataFrame:
        """What `tune-mlp confirm` found: a row for each configuration that was trained again; empty where none was."""
        # By name, since insight stands above results.
        frame: pd.DataFrame = importlib.import_module("tune_mlp.insight.confirmation").confirmed_frame(self)
        return frame

    @property
    def regret(self) -> pd.DataFrame:
        """What `tune-mlp regret` found: a row for each setting of the scheduler, and in its `attrs` what the stops cost."""
        frame: pd.DataFrame = importlib.import_module("tune_mlp.followup.regret").regret_frame(self)
        return frame

    @property
    def plot(self) -> Any:
        """The charts of the search: `results.plot.importance()` is an Altair chart, which notebooks show by themselves."""
        return _module("tune_mlp.charts.plots").Plots(self)

    @cached_property
    def steps(self) -> pd.DataFrame:
        """A row a step with its loss, of the trials whose steps the study kept; see its `step_losses`."""
        path = self.path / STEPS
        if not path.exists():
            raise RunFolderError(f"{path} isn't there: the study kept no steps; set step_losses to winner or all")
        try:
            with open_regular(path, MOST_BYTES) as file:
                return pd.read_parquet(file)
        except (OSError, ValueError) as error:
            raise RunFolderError(f"{path}: can't be read: {one_line(error, limit=200)}") from None

    def __repr__(self) -> str:
        return f"<Results {self.source}: {self.summary}>"

    def _repr_html_(self) -> str:
        # Columns that say nothing are left out, as most of a run's are.
        shown = self.ranked.head(SHOWN).replace("", None).dropna(axis="columns", how="all")
        table = shown.to_html(index=False, escape=True, float_format=lambda value: f"{value:.4g}", na_rep="")
        return f"<p><b>{html.escape(self.source)}</b>: {html.escape(self.summary)}</p>{table if len(shown) else ''}"
