"""What a run claims beside its scheduler's decisions: its draws, its trials' ends, its winner, and the files made from the journal."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from tune_mlp.errors import RunFolderError
from tune_mlp.records import TrialState
from tune_mlp.results.journal import Drawn, Event, Tested
from tune_mlp.results.outside_tables import read_table
from tune_mlp.results.results import Results
from tune_mlp.results.state import RunState, TrialSoFar
from tune_mlp.seeds import trial_seed
from tune_mlp.space.domains import as_value
from tune_mlp.study.study import BoundStudy
from tune_mlp.training.patience import Patience
from tune_mlp.tuning.differences import Difference

KEYS = ["trial", "epoch", "repeat", "fold"]
MODEL = "best/trial.json"
TABLES = ("trials.csv", "trials.parquet", "epochs.parquet")
ENDED = ("finished", "interrupted")
"""The states of a run whose tables were written."""


def wrong_draws(study: BoundStudy, events: Sequence[Event]) -> Iterator[Difference]:
    """Yield the draws that don't follow from the study's seed. Where a search learns, parameters depend on results, and only the seeds are derived."""
    first: dict[int, Drawn] = {}
    for event in events:
        if isinstance(event, Drawn):
            first.setdefault(event.trial, event)
    draws, named = iter(enumerate(study.draws())), len(study.first_draws())
    for number in sorted(first):
        if first[number].seed != (seed := trial_seed(study.seed, number)):
            yield Difference(number, None, f"seed {first[number].seed}", f"seed {seed}")
        if study.search.learns and number >= named:
            continue
        derived = next((params for place, params in draws if place == number), {})
        params = {name: as_value(value) for name, value in first[number].params.items()}
        for name in [*derived, *(name for name in params if name not in derived)]:
            if params.get(name) != derived.get(name):
                yield Difference(number, None, f"{name} {params.get(name)}", f"{name} {derived.get(name)}")


def wrong_ends(study: BoundStudy, state: RunState) -> Iterator[Difference]:
    """Yield the trials whose end doesn't agree with their epochs and with what the scheduler decided."""
    stops = {decided.trial for decided in state.decisions if decided.decision == "stop"}
    for number in sorted(state.trials):
        trial = state.trials[number]
        if trial.ended is None:
            continue
        finite = all(record.finite for record in trial.records)
        last = max(trial.epochs, default=0)
        found = trial.ended.state
        if found is not TrialState.DIVERGED and not finite:
            yield Difference(number, last, found, "a figure of it isn't finite")
        elif found is TrialState.DIVERGED and finite:
            yield Difference(number, last, found, "all its figures are finite")
        elif found is TrialState.FINISHED and last < study.epochs and not _patience_over(study, trial):
            yield Difference(
                number, last, found, f"it trained {last} of {study.epochs} epochs, and its patience was not over"
            )
        elif found is TrialState.STOPPED and trial.ended.reason == "scheduler" and number not in stops:
            yield Difference(number, last, "stopped by the scheduler", "no decision stopped it")
        elif found is TrialState.FAILED and not trial.ended.error:
            yield Difference(number, last, found, "there is no error")


def _patience_over(study: BoundStudy, trial: TrialSoFar) -> bool:
    """True if the trial's patience was over after its last epoch. A trial that took another over began to wait anew there."""
    metric, mode = study.ranking
    patience = Patience(study.patience, mode)
    for number, epoch in trial.epochs.items():
        if number > trial.taken_over:
            patience = patience.after(epoch.metrics[metric])
    return patience.over or (study.scheduler.pbt is not None and study.patience is not None)


def wrong_winners(study: BoundStudy, events: Sequence[Event]) -> Iterator[Difference]:
    """Yield the tested trials that didn't rank first when they were tested; where all are tested, those that can't be best."""
    state = RunState()
    for event in events:
        state.apply(event)
        if not isinstance(event, Tested):
            continue
        if study.tested == "all":
            if not math.isfinite(state.order(event.trial)[0]):
                yield Difference(event.trial, None, "tested", "it can't be best")
        elif state.leader != event.trial:
            yield Difference(event.trial, None, "tested as the winner", f"trial {state.leader} ranks first")


def wrong_model(results: Results, state: RunState) -> Iterator[Difference]:
    """Yield what best/trial.json says otherwise than the journal. Until a run that goes on has ended, it is the earlier winner's."""
    file = results.path / MODEL
    if results.manifest.get("state") != "finished":
        return
    try:
        said: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        trial, epoch, metrics = int(said["trial"]), int(said["epoch"]), dict(said["metrics"])
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError):
        raise RunFolderError(f"{file}: can't be read as the description of a model") from None
    if trial not in state.trials or trial != state.leader:
        yield Difference(trial, epoch, f"trial {state.leader} ranks first", f"best/ holds trial {trial}")
        return
    if epoch != (best := state.best_epoch(trial)):
        yield Difference(trial, epoch, f"epoch {best} is best", f"best/ holds epoch {epoch}")
        return
    derived = state.trials[trial].epochs[epoch].metrics
    for name, value in metrics.items():
        if name in derived and derived[name] != value:
            yield Difference(trial, epoch, f"{name} {derived[name]}", f"best/ says {name} {value}")


def files_of_the_end(results: Results, state: RunState) -> list[str]:
    """Return the files that a run has once it has ended: its tables, and the winner's model where it has finished with one."""
    ended = results.manifest.get("state")
    has_model = ended == "finished" and state.leader is not None
    return [*(TABLES if ended in ENDED else ()), *(("best/model.pt", MODEL) if has_model else ())]


def wrong_cells(results: Results) -> Iterator[Difference]:
    """Yield the first cell of each table in which its file says otherwise than the journal. A run under way has no tables yet."""
    if results.manifest.get("state") not in ENDED:
        return
    for name, table in (("trials", results.trials), ("epochs", results.epochs)):
        file = results.path / f"{name}.parquet"
        if file.exists():
            yield from _first_wrong_cell(file.name, table, read_table(file).reset_index(drop=True))


def _first_wrong_cell(file: str, derived: pd.DataFrame, written: pd.DataFrame) -> Iterator[Difference]:
    keys = [name for name in KEYS if name in derived.columns and name in written.columns]
    if derived[keys].to_numpy().tolist() != written[keys].to_numpy().tolist():
        yield Difference(0, None, f"{len(derived)} rows", f"{file} has {len(written)} rows, or others")
        return
    wrong: list[tuple[int, str]] = []
    for name in derived.columns:
        if name in written.columns:
            here, there = (frame[name].astype(object) for frame in (derived, written))
            differs = ~((here == there).fillna(False).astype(bool) | (here.isna() & there.isna()))
            wrong += [(int(differs.to_numpy().argmax()), name)] if differs.any() else []
    if wrong:
        row, name = min(wrong, key=lambda cell: cell[0])
        epoch = int(derived["epoch"].iloc[row]) if "epoch" in derived else None
        says = f"{file} says {name} {written[name].iloc[row]}"
        yield Difference(int(derived["trial"].iloc[row]), epoch, f"{name} {derived[name].iloc[row]}", says)
