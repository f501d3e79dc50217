"""The learning curves of configurations that are compared: training and validation by epoch, with the spread over seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from tune_mlp.results.answer import Answer, counted
from tune_mlp.results.results import Results

MOST = 6
"""The largest number of configurations; more are left out, the worst first."""
MOST_EPOCHS = 40
PARTS = {"train": "training", "val": "validation"}
COLUMNS = ["configuration", "trial", "epoch", "part", "score", "mean", "low", "high"]


def configurations(results: Results) -> Answer:
    """Return a row for each configuration, epoch, part and score: the mean over its seeds and folds, and one deviation either way."""
    if results.epochs.empty:
        return _nothing("No curves can be drawn: the results have no epochs.")
    ranked = [int(trial) for trial in results.ranked["trial"]]
    shown = ranked[:MOST]
    if not shown:
        return _nothing("No curves can be drawn: no trial has finished or was stopped.")
    names = labels(results, shown)
    own = results.epochs[results.epochs["trial"].isin(shown)]
    scores = [name for name in ("loss", "accuracy", "rmse") if f"val_{name}" in own and f"train_{name}" in own]
    parts = []
    for trial in shown:
        of_trial = own[own["trial"] == trial]
        kept = np.unique(of_trial["epoch"])
        kept = kept[np.linspace(0, len(kept) - 1, min(MOST_EPOCHS, len(kept))).round().astype(int)]
        by_epoch = of_trial[of_trial["epoch"].isin(kept)].groupby("epoch")
        for part, word in PARTS.items():
            for score in scores:
                column = by_epoch[f"{part}_{score}"]
                mean, std = column.mean(), column.std(ddof=1).fillna(0.0)
                rows = {
                    "epoch": mean.index,
                    "mean": mean.to_numpy(),
                    "low": (mean - std).to_numpy(),
                    "high": (mean + std).to_numpy(),
                }
                parts.append(
                    pd.DataFrame({**rows, "configuration": names[trial], "trial": trial, "part": word, "score": score})
                )
    table = pd.concat(parts, ignore_index=True)[COLUMNS]
    table = table[np.isfinite(table["mean"])].reset_index(drop=True)
    runs = own.groupby(["trial", "epoch"]).size().max()
    more = len(ranked) - len(shown)
    return Answer(
        sentence=_sentence(results, names, table, shown),
        table=table,
        method=(f"Each line is the mean of {counted(int(runs), 'net')}." if runs > 1 else "Each line is one net.",),
        notes=(f"Shown are the best {len(shown)} of {len(ranked)} configurations.",) if more > 0 else (),
        facts={"metric": results.metric},
    )


def labels(results: Results, trials: list[int]) -> dict[int, str]:
    """Name each configuration by the parameters in which they differ; `experiment` alone is a name."""
    params: dict[int, dict[str, Any]] = {trial: results.params[trial] for trial in trials}
    names = {trial: str(drawn["experiment"]) for trial, drawn in params.items() if "experiment" in drawn}
    if len(set(names.values())) == len(trials):
        return names
    known = list(dict.fromkeys(name for drawn in params.values() for name in drawn))
    differing = [name for name in known if len({repr(drawn.get(name)) for drawn in params.values()}) > 1]
    said = {
        trial: ", ".join(f"{name} {_value(drawn[name])}" for name in differing[:4] if name in drawn)
        for trial, drawn in params.items()
    }
    return {trial: f"{trial}: {text}" if text else f"trial {trial}" for trial, text in said.items()}


def _value(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _sentence(results: Results, names: dict[int, str], table: pd.DataFrame, shown: list[int]) -> str:
    """Say which configuration has the lowest validation loss, or of one how far validation lies from training at the end."""
    losses = table[table["score"] == "loss"]
    ends = losses.sort_values("epoch").groupby(["trial", "part"])["mean"].last().unstack("part")
    if len(shown) == 1:
        train, validation = (float(ends[part].iloc[0]) for part in ("training", "validation"))
        epochs = int(losses["epoch"].max())
        return f"After {counted(epochs, 'epoch')} the training loss is {train:.4g} and the validation loss {validation:.4g}."
    order = ends["validation"].sort_values()
    first, last = int(order.index[0]), int(order.index[-1])
    return (
        f"{names[first]} ends with the lowest validation loss, {order.iloc[0]:.4g}, and {names[last]} with the highest of those shown, "
        f"{order.iloc[-1]:.4g}."
    )


def _nothing(why: str) -> Answer:
    return Answer(sentence=why, table=pd.DataFrame(columns=COLUMNS), method=())
