"""Tables of trials from elsewhere: our own CSV, and those of Ray Tune, Optuna, MLflow and W&B, each read into the same form."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from tune_mlp.errors import DataError, UsageError, did_you_mean, one_line
from tune_mlp.records import Mode, TrialState
from tune_mlp.regular_files import read_regular
from tune_mlp.results.answer import counted
from tune_mlp.results.journal import Param
from tune_mlp.results.limits import MAX_TRIALS
from tune_mlp.results.tables import AFTER_PARAMETERS, TEXT

MOST_BYTES = 2 * 10**9
"""The largest size of a table's file."""
EXACT: dict[str, Any] = {} if pd.__version__ >= "3.1" else {"float_precision": "round_trip"}
"""How read_csv is told to keep all digits of a number: pandas before 3.1 doesn't by default, and later ones warn of the option."""
SMALL_IS_BETTER = {"loss", "error", "err", "rmse", "mse", "mae", "nll", "perplexity"}
LARGE_IS_BETTER = {"accuracy", "acc", "auc", "f1", "r2", "precision", "recall", "score", "reward"}
"""Words of metrics' names that say which way is better."""
OURS = ("trial", "state")
"""The first columns of the table of trials, which another tool's columns of these names can't replace."""
BEFORE_PARAMETERS = ("trial", "state", "best_epoch", "engine", "seed", "node", "error")
"""Columns by which our own table of trials is recognised; the parameters follow the last one."""
RAY_TUNE = {
    *(
        "trial_id",
        "training_iteration",
        "done",
        "timestamp",
        "date",
        "time_this_iter_s",
        "time_total_s",
        "pid",
        "hostname",
    ),
    *("node_ip", "time_since_restore", "iterations_since_restore", "logdir", "checkpoint_dir_name", "experiment_tag"),
    *("episodes_total", "timesteps_total", "should_checkpoint", "trial_log_path"),
}
OPTUNA = {"number", "state", "datetime_start", "datetime_complete", "duration"}
WANDB = {
    *(
        "Name",
        "State",
        "Notes",
        "User",
        "Tags",
        "Created",
        "Runtime",
        "Sweep",
        "ID",
        "Group",
        "Job Type",
        "Host",
        "Hostname",
    ),
    *("Updated", "End Time", "Commit", "GitHub", "GPU Count", "GPU Type", "Description", "State Reason", "Agent"),
}
STATES = {
    "complete": TrialState.FINISHED,
    "finished": TrialState.FINISHED,
    "pruned": TrialState.STOPPED,
    "stopped": TrialState.STOPPED,
    "killed": TrialState.STOPPED,
    "running": TrialState.STOPPED,
    "waiting": TrialState.STOPPED,
    "scheduled": TrialState.STOPPED,
    "diverged": TrialState.DIVERGED,
    "fail": TrialState.FAILED,
    "failed": TrialState.FAILED,
    "crashed": TrialState.FAILED,
}
"""The words for a trial's end in the tables of all these tools, in small letters."""


@dataclass(frozen=True)
class OutsideTable:
    """A table of trials in our form, and what names its metric and its parameters."""

    trials: pd.DataFrame
    metric: str
    mode: Mode
    params: dict[int, dict[str, Param]]
    """The parameters of each trial, without those that it doesn't have."""
    notes: tuple[str, ...] = ()
    """What a person must know of how the table was read."""


@dataclass(frozen=True)
class Columns:
    """What the columns of a table are: the parameters by the names that they get, and those that may be metrics."""

    params: dict[str, str]
    metrics: list[str]
    state: str | None = None
    number: str | None = None


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV or Parquet file. Numbers have all their digits."""
    try:
        content = read_regular(path, MOST_BYTES)
        if path.suffix.lower() in (".parquet", ".pq"):
            return pd.read_parquet(io.BytesIO(content))
        lines = csv.reader(io.TextIOWrapper(io.BytesIO(content), "utf-8-sig", newline=""))
        header = next(filter(None, lines), [])
        table: pd.DataFrame = pd.read_csv(io.BytesIO(content), **EXACT)
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror or error}") from None
    except (ValueError, ArithmeticError, MemoryError, csv.Error) as error:  # pandas' and pyarrow's are ValueErrors
        raise DataError(f"{path}: isn't a table: {one_line(error, limit=200)}") from None
    _refuse_repeated(str(path), header)  # pandas has given the second one another name
    return table


def to_trials(
    frame: pd.DataFrame, metric: str | None = None, mode: str | None = None, params: Sequence[str] | None = None
) -> OutsideTable:
    """Bring a table of trials into our form; what it doesn't say must be given."""
    frame = frame.rename(columns=str)
    _refuse_repeated("the table", list(frame.columns))
    if frame.empty:
        raise DataError("the table has no trials")
    columns = _columns(frame, params)
    if columns.state == "status":
        frame = frame.assign(**{name: _as_numbers(frame[name]) for name in columns.params.values() if name in frame})
    for name in columns.params.values():
        if name not in frame.columns:
            raise UsageError(f"params: the table has no column {name!r:.60}{did_you_mean(name, list(frame.columns))}")
    chosen = _chosen_metric(frame, columns, metric)
    way = _chosen_mode(chosen, mode)
    number, values = _numbers(frame, columns), pd.to_numeric(frame[chosen], errors="coerce")
    states = pd.Series(_states(frame, columns, values), dtype=TEXT)
    own = columns.state == "state" and columns.number == "trial"
    kept = [name for name in frame.columns if name not in (columns.state, columns.number, *columns.params.values())]
    shown = kept if own else [chosen, *(name for name in columns.metrics if name not in (chosen, *OURS))]
    if taken := [name for name in columns.params if name in (*OURS, *shown)]:
        raise DataError(f"a parameter is named {taken[0]!r:.60}, as a column of the table of trials is")
    parts = {"trial": pd.Series(number, dtype="int64"), "state": states}
    parts |= {name: values.reset_index(drop=True) if name == chosen else _column(frame, name) for name in shown}
    parts |= {name: _column(frame, column) for name, column in columns.params.items()}
    trials = pd.DataFrame(parts)[list(frame.columns) if own else list(parts)]
    trials.attrs = {"dataset": "", "stand_in_for": ""}
    drawn = {
        int(trial): {name: _value(value) for name, value in row.items() if _present(value)}
        for trial, row in zip(number, trials[list(columns.params)].to_dict("records"), strict=True)
    }
    without = "so these trials have no value"
    notes = [_words_among_numbers(chosen, _column(frame, chosen), without, at_most=1.0)]
    notes += [
        _words_among_numbers(name, trials[name], "so all its values are taken as names") for name in columns.params
    ]
    return OutsideTable(trials, chosen, way, cast("dict[int, dict[str, Param]]", drawn), tuple(filter(None, notes)))


def _refuse_repeated(table: str, names: Sequence[str]) -> None:
    counts = Counter(filter(None, names))
    if repeated := [name for name, count in counts.items() if count > 1]:
        raise DataError(f"{table} has two columns named {repeated[0]!r:.60}")


def _words_among_numbers(name: str, column: pd.Series[Any], so: str, at_most: float = 0.5) -> str:
    """Say that a column of numbers has words, too, and what follows; empty where it has none, or more than this share of words."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        return ""
    present = column[column.map(_present)]
    words = present[pd.to_numeric(present.map(str), errors="coerce").isna()]
    if not 0 < len(words) <= at_most * len(present):
        return ""
    which = f"{counted(len(words), 'value')} that {'is' if len(words) == 1 else 'are'} no number"
    return f"{name} has {which} ({str(words.iloc[0])!r:.40}), {so}"


def _column(frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    return frame[name].reset_index(drop=True)


def _columns(frame: pd.DataFrame, params: Sequence[str] | None) -> Columns:
    """Say what each column is, by the tool that wrote the table, or by the parameters' names that are given."""
    names = list(frame.columns)
    found = next((columns for kind in KINDS if (columns := kind(frame, names))), None)
    if params is None:
        if found is None:
            raise UsageError(
                "params: the table isn't one of tune_mlp, Ray Tune, Optuna, MLflow or W&B; name the columns that are parameters"
            )
        return found
    if not params:
        raise UsageError("params: name at least one column that is a parameter")
    own = {name: (found.params.get(name, name) if found else name) for name in params}
    others = [name for name in (found.metrics if found else _numeric(frame, names)) if name not in own.values()]
    if found is None:
        return Columns(own, others)
    return Columns(own, others, found.state, found.number)


def _ours(frame: pd.DataFrame, names: list[str]) -> Columns | None:
    if not {*BEFORE_PARAMETERS} <= {*names}:
        return None
    metrics = [name for name in names if name.startswith(("val_", "train_", "test_", "best_val_"))]
    after = names[names.index("error") + 1 :]
    params = {name: name for name in after if name not in (*AFTER_PARAMETERS, *metrics)}
    return Columns(params, [name for name in metrics if name != "train_seconds"], "state", "trial")


def _ray_tunes(frame: pd.DataFrame, names: list[str]) -> Columns | None:
    params = {name.removeprefix("config/"): name for name in names if name.startswith("config/")}
    others = [name for name in names if name not in RAY_TUNE and name not in params.values()]
    return Columns(params, _numeric(frame, others)) if params else None


def _optunas(frame: pd.DataFrame, names: list[str]) -> Columns | None:
    params = {name.removeprefix("params_"): name for name in names if name.startswith("params_")}
    values = [name for name in names if name == "value" or name.startswith(("value_", "values_"))]
    if not params or not values:
        return None
    return Columns(params, values, "state" if "state" in names else None, "number" if "number" in names else None)


def _mlflows(frame: pd.DataFrame, names: list[str]) -> Columns | None:
    params = {name.removeprefix("params."): name for name in names if name.startswith("params.")}
    metrics = [name for name in names if name.startswith("metrics.")]
    if not params or not {"run_id", "status"} <= {*names}:
        return None
    ours = {"tags.trial", "tags.engine", "tags.seed"} <= {*names}  # as `tune-mlp export --to mlflow` tags its runs
    return Columns(params, metrics, "status", "tags.trial" if ours else None)


def _as_numbers(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return a column of texts as numbers, if all are; MLflow keeps parameters as text."""
    texts = column.dropna()
    if texts.empty or not all(isinstance(text, str) for text in texts):
        return column
    numbers = pd.to_numeric(texts, errors="coerce")
    if numbers.isna().any():
        return column
    whole = pd.api.types.is_integer_dtype(numbers.dtype) and len(numbers) < len(column)
    return numbers.reindex(column.index).astype("Int64") if whole else numbers.reindex(column.index)


def _wandbs(frame: pd.DataFrame, names: list[str]) -> Columns | None:
    if not {"Name", "State"} <= {*names}:
        return None
    others = [name for name in names if name not in WANDB and not name.startswith("_")]
    metrics = [name for name in _numeric(frame, others) if _words(name) & (SMALL_IS_BETTER | LARGE_IS_BETTER)]
    return Columns({name: name for name in others if name not in metrics}, metrics, "State")


KINDS: tuple[Callable[[pd.DataFrame, list[str]], Columns | None], ...] = (
    _ours,
    _ray_tunes,
    _optunas,
    _mlflows,
    _wandbs,
)
"""How each tool's table is recognised."""


def _chosen_metric(frame: pd.DataFrame, columns: Columns, metric: str | None) -> str:
    if metric is None:
        usual = [name for name in ("val_accuracy", "val_rmse") if name in columns.metrics]
        candidates = usual if usual else columns.metrics
        if len(candidates) != 1:
            known = f"; the table has {', '.join(candidates[:12])}" if candidates else ""
            raise UsageError(f"metric: name the column that trials are ranked by{known}")
        return candidates[0]
    if metric in columns.params.values():
        raise UsageError(f"metric: {metric!r:.60} is named as a parameter, too")
    if metric not in frame.columns:
        raise UsageError(f"metric: the table has no metric {metric!r:.60}{did_you_mean(metric, columns.metrics)}")
    if not pd.to_numeric(frame[metric], errors="coerce").notna().any():
        raise DataError(f"the table's column {metric!r:.60} holds no number")
    return metric


def _chosen_mode(metric: str, mode: str | None) -> Mode:
    if mode in ("min", "max"):
        return cast("Mode", mode)
    if mode is not None:
        raise UsageError(f"mode: must be min or max, got {mode!r:.40}")
    small, large = bool(_words(metric) & SMALL_IS_BETTER), bool(_words(metric) & LARGE_IS_BETTER)
    if small == large:
        raise UsageError(f"mode: say whether a small {metric} is good (min) or a large one (max)")
    return "min" if small else "max"


def _states(frame: pd.DataFrame, columns: Columns, values: Any) -> list[str]:
    if columns.state is None:  # a trial without a metric has none since it failed
        return ["failed" if missing else "finished" for missing in values.isna()]
    words = [str(word).rpartition(".")[2] for word in frame[columns.state]]
    if unknown := [word for word in words if word.lower() not in STATES]:
        raise DataError(f"the table's column {columns.state} holds {unknown[0]!r:.40}, which is no state of a trial")
    return [STATES[word.lower()].value for word in words]


def _numbers(frame: pd.DataFrame, columns: Columns) -> list[int]:
    if columns.number is None:
        return list(range(len(frame)))
    given = pd.to_numeric(frame[columns.number], errors="coerce").reset_index(drop=True)
    whole = given.notna().all() and (given == given.round()).all() and given.between(0, MAX_TRIALS - 1).all()
    if not whole or given.duplicated().any():
        raise DataError(f"the table's column {columns.number} must hold each trial's own number, from 0")
    return [int(number) for number in given]


def _numeric(frame: pd.DataFrame, names: Sequence[str]) -> list[str]:
    kinds = pd.api.types
    return [
        name
        for name in names
        if kinds.is_numeric_dtype(frame[name].dtype) and not kinds.is_bool_dtype(frame[name].dtype)
    ]


def _words(name: str) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", name.lower()))


def _present(value: Any) -> bool:
    return isinstance(value, list | tuple | np.ndarray) or not pd.isna(value)


def _value(value: Any) -> Any:
    if isinstance(value, np.ndarray):  # Parquet's lists
        return value.tolist()
    return value.item() if hasattr(value, "item") else value
