"""The two tables, built from a journal's events: a row a trial, and a row an epoch."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tune_mlp.errors import RunFolderError, UsageError, did_you_mean
from tune_mlp.records import (
    BETTER,
    EpochRecord,
    Goal,
    Mode,
    Task,
    TrialState,
    mean_metrics,
    metric_names,
    spread,
)
from tune_mlp.results.front import costs_of, front
from tune_mlp.results.journal import Ended, Event, Param
from tune_mlp.results.state import RANKED, RunState

AFTER_PARAMETERS = ("reason", "data", "again", "on_front")
"""The columns of the table of trials that stand after the parameters' columns, beside further scores."""
TEXT: Any = pd.Series([""]).dtype
"""`str` from pandas 3 on, `object` before."""


def trial_columns(task: Task, several: bool = False, tested: Sequence[str] = ()) -> dict[str, Any]:
    """Return the columns of the table of trials that stand before the parameters' columns, in order, each with its dtype.

    Trials of `several` seeds or folds have columns for their standard deviations. `tested` names what was measured in the
    test beside the scores that every trial has.
    """
    train, val, test = (metric_names(task, part) for part in ("train", "val", "test"))
    return {
        "trial": "int64",
        "state": TEXT,
        "epochs": "int64",
        "steps": "int64",
        "seconds": "float64",
        "train_seconds": "float64",
        **dict.fromkeys(train + val, "float64"),
        "best_epoch": "Int64",
        **dict.fromkeys((f"best_{name}" for name in val), "float64"),
        **dict.fromkeys((f"best_{name}_std" for name in val if several), "float64"),
        **dict.fromkeys((*test, *tested), "float64"),
        "weights": "Int64",
        "engine": TEXT,
        "seed": "int64",
        "node": TEXT,
        "error": TEXT,
    }


def further_columns(further: Sequence[str], several: bool, tested: Sequence[str]) -> dict[str, Any]:
    """Return the last columns of the table of trials, in order: those of the scores that the study measured beside the usual ones.

    `tested` names all that was measured in the test.
    """
    names = [
        *(f"val_{score}" for score in further),
        *(f"best_val_{score}" for score in further),
        *(f"best_val_{score}_std" for score in further if several),
        *(name for name in tested if _is_further(name, further)),
    ]
    return dict.fromkeys(names, "float64")


def _is_further(tested: str, further: Sequence[str]) -> bool:
    """True for `test_roc_auc` and `test_roc_auc_std`, if `roc_auc` is among the further scores."""
    score = tested.partition("_")[2]
    return score in further or score.removesuffix("_std") in further


def epoch_columns(task: Task, folds: bool, repeats: bool = False, further: Sequence[str] = ()) -> dict[str, Any]:
    """Return the columns of the table of epochs, in order, each with its dtype."""
    return {
        "trial": "int64",
        "epoch": "int64",
        **({"repeat": "int64"} if repeats else {}),
        **({"fold": "int64"} if folds else {}),
        **dict.fromkeys(metric_names(task, "train") + metric_names(task, "val"), "float64"),
        "seconds": "float64",
        **dict.fromkeys((f"val_{score}" for score in further), "float64"),
    }


def build_tables(events: Iterable[Event]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the tables of trials and epochs. What the journal says later of a trial, an epoch and a fold counts."""
    return tables_of(RunState.of(events))


def tables_of(state: RunState) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the tables of trials and epochs of a run as far as it has come."""
    started = state.started
    if started is None:
        raise RunFolderError("the journal doesn't say which study it is of: it has no 'started' line")
    numbers = sorted(state.trials)
    table = trials_table(state, [trial_row(state, number) for number in numbers])
    rows = [
        {
            "trial": number,
            "epoch": r.epoch,
            "repeat": r.repeat,
            "fold": r.fold,
            **r.metrics,
            "seconds": r.seconds,
        }
        for number in numbers
        for r in state.trials[number].records
    ]
    epochs = _frame(epoch_columns(started.task, state.folds > 1, state.repeats > 1, started.further), rows)
    epochs.attrs = dict(table.attrs)
    return table, epochs


def trials_table(state: RunState, rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return the table of trials from their rows, which stand in the order of the trials' numbers. A follower of a long run keeps
    the rows of trials that have ended, and not their epochs."""
    started = state.started
    assert started is not None
    trials = [state.trials[number] for number in sorted(state.trials)]
    extra = dict.fromkeys(name for trial in trials if trial.tested for name in trial.tested.metrics)
    names = list(dict.fromkeys(name for trial in trials for name in trial.drawn.params))
    several = state.repeats > 1 or state.folds > 1
    further = further_columns(started.further, several, list(extra))
    columns = trial_columns(started.task, several, [name for name in extra if name not in further])
    if taken := sorted({*columns, *AFTER_PARAMETERS, *further} & set(names)):
        raise RunFolderError(f"a parameter is named {taken[0]!r:.40}, as a column of the table of trials is")
    table = _frame(columns, rows)
    parameters = {name: parameter_column([trial.drawn.params.get(name) for trial in trials]) for name in names}
    table = pd.concat([table, pd.DataFrame(parameters, index=table.index)], axis=1)
    table["reason"] = pd.Series([trial.ended.reason if trial.ended else "" for trial in trials], dtype=TEXT)
    if started.stand_in_for:
        note = _text(f"{started.dataset} for {started.stand_in_for}")
        table["data"] = pd.Series([note] * len(table), dtype=TEXT)
    table = pd.concat([table, _frame(further, rows)], axis=1)
    if any(trial.drawn.again is not None for trial in trials):  # a follow-up's journal
        table["again"] = pd.Series([trial.drawn.again for trial in trials], dtype="Int64")
    if started.further_goals:
        best = front_of(rank(table, started.metric, started.mode), started.goals)
        table["on_front"] = table["trial"].isin(best["trial"])
    table.attrs = {"dataset": started.dataset, "stand_in_for": started.stand_in_for}
    return table


def trial_row(state: RunState, number: int) -> dict[str, Any]:
    """Return a trial's row of the table, without its parameters."""
    started = state.started
    assert started is not None
    trial = state.trials[number]
    records, whole = trial.records, state.whole_epochs(number)
    last = next(reversed(whole.values()), {})
    best_epoch = state.best_epoch(number)
    best = {} if best_epoch is None else whole[best_epoch]
    ended = trial.ended or Ended(
        trial.drawn.trial, TrialState.STOPPED, math.fsum(record.seconds for record in records), ""
    )
    return {
        "trial": trial.drawn.trial,
        "state": ended.state.value,
        "epochs": len(whole),
        "steps": sum(record.steps for record in records),
        "seconds": ended.seconds,
        "train_seconds": math.fsum(record.train_seconds for record in records),
        **last,
        "best_epoch": best_epoch,
        **{f"best_{name}": value for name, value in best.items()},
        **(_spreads(trial.epochs[best_epoch].records) if best_epoch is not None else {}),
        **(trial.tested.metrics if trial.tested else {}),
        "weights": trial.trained.weights if trial.trained else None,
        "engine": _text(started.engine),
        "seed": trial.drawn.seed,
        "node": _text(trial.trained.node) if trial.trained else "",
        "error": _text(ended.error),
    }


def _spreads(records: Sequence[EpochRecord]) -> dict[str, float]:
    """Return the standard deviations in one epoch: over the seeds, each the mean of its folds, or over the folds of one seed."""
    by_seed: dict[int, list[EpochRecord]] = defaultdict(list)
    for record in records:
        by_seed[record.repeat].append(record)
    groups = list(by_seed.values()) if len(by_seed) > 1 else [[record] for record in records]
    means = [mean_metrics(group) for group in groups]
    return {f"best_{name}_std": spread([mean[name] for mean in means]) for name in means[0]}


def _frame(columns: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(
        {name: pd.Series([row.get(name) for row in rows], dtype=kind) for name, kind in columns.items()}
    )


def parameter_column(values: Sequence[Param]) -> pd.Series[Any]:
    """Return a column of the narrowest kind that holds all values; None stands for a conditional parameter that isn't there."""
    present = [value for value in values if value is not None]
    kinds = {type(value) for value in present}
    absent = len(present) < len(values)
    if kinds == {bool}:
        return pd.Series(values, dtype="boolean" if absent else "bool")
    fits = all(-(2**63) <= value < 2**63 for value in present if type(value) is int)
    if kinds == {int} and fits:
        return pd.Series(values, dtype="Int64" if absent else "int64")
    if kinds <= {int, float} and fits:
        return pd.Series(values, dtype="float64")
    return pd.Series([None if value is None else _parameter_text(value) for value in values], dtype=TEXT)


def _parameter_text(value: Param) -> str:
    return _text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _text(value: str) -> str:
    """Return the text without lone surrogates (from an undecodable file name in an error), which no file format takes."""
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


def score_column(trials: pd.DataFrame, metric: str) -> str:
    """Return the column that trials are judged by: that of their best epoch, or the metric's own in a table that has no such one."""
    return f"best_{metric}" if f"best_{metric}" in trials.columns else metric


def rank(trials: pd.DataFrame, metric: str, mode: Mode) -> pd.DataFrame:
    """Return the trials that may be best, best first, each judged by its best epoch. Of equal metrics the lower validation loss
    is better, then the smaller net, then the lower number."""
    names = {f"{part}_{score}" for part in ("val", "train") for score in BETTER}
    ours = {"best_epoch", "engine"} <= {*trials.columns}  # another tool's table may have a metric of any name
    known = [name for name in trials.columns if name in names or not ours]
    if metric not in known:
        raise UsageError(f"no metric {metric!r} to rank the trials by{did_you_mean(metric, known)}")
    column = score_column(trials, metric)
    able: pd.DataFrame = trials[trials["state"].isin([state.value for state in RANKED]) & np.isfinite(trials[column])]
    # A table from elsewhere may lack a column, and then equals go by the next one.
    ties = [name for name in ("best_val_loss", "weights", "trial") if name != column and name in trials.columns]
    return able.sort_values([column, *ties], ascending=[mode == "min", *(True for _ in ties)], ignore_index=True)


def front_of(ranked: pd.DataFrame, goals: Sequence[Goal]) -> pd.DataFrame:
    """Return the trials of the Pareto front, best first by the first goal, of the trials that may be best, which stand best first.

    A metric counts with its value in the trial's best epoch. Of trials that are equal in all goals, the best one counts.
    """
    values = ranked[[score_column(ranked, goal.name) for goal in goals]].to_numpy("float64", na_value=np.nan)
    known = np.isfinite(values).all(axis=1)
    best: pd.DataFrame = ranked[known].iloc[front(costs_of(values[known], goals))]
    return best.reset_index(drop=True)
