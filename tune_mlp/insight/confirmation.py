"""The confirmation of a run's best configurations, which were trained again from fresh seeds: means, spreads, who is best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit  # scipy.stats takes a second to import

from tune_mlp.errors import UsageError
from tune_mlp.records import Mode, TrialState
from tune_mlp.results.answer import Answer, listed, trials_named
from tune_mlp.results.followups import load_followup
from tune_mlp.results.front import costs_of, front
from tune_mlp.results.results import Results
from tune_mlp.results.tables import TEXT, score_column

CONFIRM = "confirm"
"""The name of the follow-up."""
LEVEL = 0.95
BEST, TIED, WORSE, LOST = "best", "not told apart", "worse", "diverged or failed"
"""The verdicts."""
COLUMNS: dict[str, Any] = {
    "trial": "int64",
    "seeds": "int64",
    "searched": "float64",
    "mean": "float64",
    "std": "float64",
    "low": "float64",
    "high": "float64",
    "behind": "float64",
    "behind_low": "float64",
    "behind_high": "float64",
    "verdict": TEXT,
    "weights": "Int64",
}
"""`searched` is the trial's value in the search, `low` to `high` the 95 % interval of the mean, and `behind` by how much the
mean is worse than that of the best, with an interval that holds for all pairs of configurations together."""


class Interval(NamedTuple):
    """A mean with its interval."""

    mean: float
    low: float
    high: float


def t_interval(values: NDArray[np.float64], level: float, resolution: float = 0.0) -> Interval:
    """Return the mean of values, each one rounded to `resolution`, with Student's interval at this level."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return Interval(mean, math.nan, math.nan)
    deviation = math.sqrt(float(np.var(values, ddof=1)) + resolution**2 / 12)
    half = float(stdtrit(len(values) - 1, (1 + level) / 2)) * deviation / math.sqrt(len(values))
    return Interval(mean, mean - half, mean + half)


def confirm_table(values: pd.DataFrame, mode: Mode) -> pd.DataFrame:
    """Return a row for each configuration, best first.

    `values` has a row for each configuration and a column for each seed; NaN stands where the training came to no finite
    metric, and such a configuration is never best. The differences are those of nets of the same seed, and their intervals
    are Student's at a level that is corrected after Bonferroni for all pairs, since the best was picked by these very means.
    """
    sign = 1.0 if mode == "max" else -1.0
    whole = values[values.notna().all(axis="columns")]
    order = list((sign * whole.mean(axis="columns")).sort_values(ascending=False, kind="stable").index)
    pairs = max(1, len(order) * (len(order) - 1) // 2)
    gaps = np.diff(np.unique(whole.to_numpy()))
    resolution = float(gaps.min()) if len(gaps) else 0.0
    rows: list[dict[str, Any]] = []
    for trial in order:
        mine, first = whole.loc[trial].to_numpy(), whole.loc[order[0]].to_numpy()
        row = {"trial": trial, "seeds": len(mine), **t_interval(mine, LEVEL)._asdict(), "verdict": BEST}
        if len(mine) > 1:
            row["std"] = float(np.std(mine, ddof=1))
        if rows:
            # The difference of two rounded values is rounded twice.
            behind = t_interval(sign * (first - mine), 1 - (1 - LEVEL) / pairs, resolution * math.sqrt(2))
            row |= {"behind": behind.mean, "behind_low": behind.low, "behind_high": behind.high}
            row["verdict"] = WORSE if behind.low > 0 else TIED
        rows.append(row)
    rows += [
        {"trial": trial, "seeds": int(values.loc[trial].notna().sum()), "verdict": LOST}
        for trial in values.index.difference(whole.index)
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype(COLUMNS)


def confirmed(results: Results, trials: Sequence[int] | None = None, seeds: Sequence[int] | None = None) -> Answer:
    """Return what the nets that were trained again say of these trials' configurations.

    Without `trials` it is all that were trained again to the end; without `seeds`, all seeds that they share.
    """
    followup = load_followup(results.path, CONFIRM)
    if followup is None:
        raise UsageError(f"{results.source}: nothing was confirmed yet; `tune-mlp confirm` trains the best again")
    ended = ended_nets(followup, results.metric)
    column = score_column(followup.trials, results.metric)
    there = ended.pivot(index="trial", columns="seed", values="trial").notna()
    wanted = there.index if trials is None else there.index[there.index.isin(trials)]
    shared = there.columns[there.loc[wanted].all()] if seeds is None else there.columns[there.columns.isin(seeds)]
    wanted = wanted[there.loc[wanted, shared].all(axis="columns") & (len(shared) > 0)]
    table = confirm_table(ended.pivot(index="trial", columns="seed", values="value").loc[wanted, shared], results.mode)
    goals = _mean_goals(results, followup, wanted, shared)
    rows = results.trials.set_index("trial").loc[table["trial"]]
    table["searched"] = rows[column].to_numpy()
    table["weights"] = rows["weights"].to_numpy()
    return Answer(
        sentence=_sentence(results, table),
        table=table,
        method=_method(results, table),
        notes=(*_notes(results, table), *_about_the_front(results, goals)),
        facts={**_facts(results, table), **({"front": [int(trial) for trial in goals.index]} if results.goals else {})},
    )


def _mean_goals(results: Results, followup: Results, trials: pd.Index[Any], seeds: pd.Index[Any]) -> pd.DataFrame:
    """Return the mean of each goal over the nets of these seeds, for the trials that are on the front by these means."""
    if not results.goals:
        return pd.DataFrame()
    nets = followup.trials[followup.trials["again"].isin(trials) & followup.trials["seed"].isin(seeds)]
    names = [score_column(nets, goal.name) for goal in results.goals]
    bad = nets.loc[nets["state"] != TrialState.FINISHED.value, "again"]
    means = nets[~nets["again"].isin(bad)].groupby("again")[names].mean().astype("float64")
    if means.empty:
        return means
    return means.iloc[front(costs_of(means.to_numpy(), results.goals))]


def _about_the_front(results: Results, means: pd.DataFrame) -> tuple[str, ...]:
    """Say which of the configurations are on the front by the means of their nets."""
    if means.empty:
        return ()
    names = listed([goal.name for goal in results.goals])
    return (
        f"By the means of their nets, on the front of {names}: {trials_named(int(trial) for trial in means.index)}.",
    )


def ended_nets(followup: Results, metric: str) -> pd.DataFrame:
    """Return a row for each net that was trained again to its end: the trial, the seed, and its value, NaN if it has none."""
    nets = followup.trials
    # No scheduler stops a net here: one that is "stopped" was interrupted, or is still under way.
    value = nets[score_column(nets, metric)].where(nets["state"] == TrialState.FINISHED.value)
    ended = pd.DataFrame({"trial": nets["again"].astype("int64"), "seed": nets["seed"], "value": value})
    return ended[nets["state"] != TrialState.STOPPED.value]


def confirmed_frame(results: Results) -> pd.DataFrame:
    """Return the table of what was confirmed so far; it is empty where nothing was."""
    if results.files is None or load_followup(results.path, CONFIRM) is None:
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in COLUMNS.items()})
    return confirmed(results).to_frame()


def best_of(table: pd.DataFrame) -> int | None:
    """Return the trial that is confirmed as the best; None where no configuration came through all its seeds."""
    best = table[table["verdict"] == BEST]
    return None if best.empty else int(best["trial"].iloc[0])


def simplest_of(table: pd.DataFrame) -> int | None:
    """Return the trial with the fewest weights of those that can't be told apart from the best; of equals the better one."""
    alike = table[table["verdict"].isin([BEST, TIED])]
    return None if alike.empty else int(alike.sort_values("weights", kind="stable")["trial"].iloc[0])


def _look(results: Results, trial: int | None) -> dict[str, float]:
    """Return what the follow-up's last look at this trial's nets found on the test part."""
    looks = [look for look in results.looked if (look.followup, look.trial) == (CONFIRM, trial)]
    return dict(looks[-1].metrics) if looks else {}


def _sentence(results: Results, table: pd.DataFrame) -> str:
    best, simplest = best_of(table), simplest_of(table)
    if best is None or simplest is None:
        return "No configuration is confirmed: none came to a finite metric from every seed."
    row = table.iloc[0]
    alike = int((table["verdict"] == TIED).sum())
    spread = "" if math.isnan(row["std"]) else f" with a standard deviation of {row['std']:.2g}"
    told = {
        0: "each of the others is worse at 95 %" if len(table) > 1 else "no other was trained",
        1: "1 other can't be told apart from it at 95 %",
    }.get(alike, f"{alike} others can't be told apart from it at 95 %")
    weights = table.set_index("trial")["weights"]
    smaller = (
        "" if simplest == best else f"; the simplest of these is trial {simplest}, of {weights[simplest]:,} weights"
    )
    return (
        f"Trial {best} is confirmed as the best: its mean {results.metric} over {row['seeds']} fresh seeds is "
        f"{row['mean']:.5g}{spread}; {told}{smaller}."
    )


def _notes(results: Results, table: pd.DataFrame) -> tuple[str, ...]:
    notes = []
    best = best_of(table)
    if look := _look(results, best):
        figures = ", ".join(
            f"{name} {value:.5g}" for name, value in look.items() if name.startswith("test_") and name[-4:] != "_std"
        )
        notes.append(f"On the test part, trial {best}'s nets have {figures} on average.")
    if (table["verdict"] == TIED).any():
        notes.append("More seeds tell smaller differences apart; those that were trained are kept.")
    if results.looks:
        times = "once" if results.looks == 1 else f"{results.looks} times"
        notes.append(f"This run's test part was looked at {times} in all, the search's own looks included.")
    lost = table.loc[table["verdict"] == LOST, "trial"]
    notes += [f"Trial {trial} diverged or failed from some seed, so it is not among the best." for trial in lost]
    return tuple(notes)


def _method(results: Results, table: pd.DataFrame) -> tuple[str, ...]:
    seeds, pairs = int(table["seeds"].max()) if len(table) else 0, len(table) * (len(table) - 1) // 2
    return (
        f"Each configuration was trained from the same {seeds} fresh seeds on the search's split; a net counts with its best "
        f"{results.metric}. Means have Student's 95 % intervals.",
        f"`behind` compares nets of the same seed with the best's: paired t intervals, Bonferroni for {pairs} pairs.",
    )


def _facts(results: Results, table: pd.DataFrame) -> dict[str, Any]:
    best = best_of(table)
    return {
        "metric": results.metric,
        "mode": results.mode,
        "best": best,
        "simplest": simplest_of(table),
        "test": _look(results, best),
        "looks": results.looks,
    }
