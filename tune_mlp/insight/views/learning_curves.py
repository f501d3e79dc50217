"""The learning curves of a search: the metric of each trial by epoch, where each ended, and a band of all trials."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tune_mlp.insight.views.curves import NO_EPOCHS, RUNNING, curves_of, endings
from tune_mlp.insight.views.drawn_trials import drawn_trials, left_out
from tune_mlp.insight.views.score_range import score_range
from tune_mlp.results.answer import Answer, counted
from tune_mlp.results.results import Results

POINTS = 40
"""The largest number of epochs at which a curve has a point; its first and its last one are among them."""
QUANTILES = {"low": 0.1, "middle": 0.5, "high": 0.9}
METHOD = ("A value is the mean over the folds and seeds of an epoch that all of them have trained.",)


def learning_curves(results: Results) -> Answer:
    """Return a row for each epoch of each drawn trial; the facts have the trials, and the quantiles of all trials by epoch."""
    curves = curves_of(results).dropna()
    if curves.empty:
        why = (
            NO_EPOCHS if results.epochs.empty else f"No trial has a finite {results.metric}, so no curve can be drawn."
        )
        return Answer(why, curves, METHOD)
    drawn = drawn_trials(results)
    shown = curves[curves["trial"].isin(drawn["trial"])]
    seen = _thinned(shown)
    axis = score_range(shown[results.metric], results.mode)
    best = results.best
    left = left_out(drawn)
    facts: dict[str, Any] = {
        "metric": results.metric,
        "best": None if best is None else int(best["trial"]),
        "axis": axis._asdict(),
        "trials": _ends(results, drawn, shown),
        "band": _band(curves, results.metric) if left else [],
    }
    if left:
        left += (
            "Behind them, the band holds the middle 80 % of all trials that trained an epoch, and the dashed line is their median.",
        )
    if len(results.changes):
        left += ("A curve goes on with another trial's weights where population-based training took them over.",)
    return Answer(_sentence(results, curves), seen, METHOD, (*left, *axis.notes), facts)


def _thinned(curves: pd.DataFrame) -> pd.DataFrame:
    """Return at most `POINTS` epochs of each curve and its last one."""
    most = int(curves["epoch"].max())
    if most <= POINTS:
        return curves.reset_index(drop=True)
    kept = _epochs(most)
    last = curves.groupby("trial")["epoch"].transform("max")
    thin: pd.DataFrame = curves[curves["epoch"].isin(kept) | (curves["epoch"] == last)]
    return thin.reset_index(drop=True)


def _epochs(most: int) -> NDArray[Any]:
    """Return epochs from the first to the last: half of them evenly spread, half dense at the start, where curves are steep."""
    if most <= POINTS:
        return np.arange(1, most + 1)
    spread = np.concatenate([np.linspace(1, most, POINTS // 2), np.geomspace(1, most, POINTS // 2)])
    return np.unique(spread.round().astype(int))


def _ends(results: Results, drawn: pd.DataFrame, curves: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a record for each drawn trial that has a curve: where it ended, how, and its settings."""
    how = endings(results)
    last = curves.groupby("trial").last()
    epochs, values = last["epoch"].to_dict(), last[results.metric].to_dict()
    return [
        {
            "trial": int(trial),
            "ended": how[int(trial)],
            "score": score,
            "settings": settings,
            "epoch": int(epochs[trial]),
            "value": float(values[trial]),
        }
        for trial, score, settings in drawn[["trial", "score", "settings"]].itertuples(index=False)
        if trial in epochs
    ]


def _band(curves: pd.DataFrame, metric: str) -> list[dict[str, Any]]:
    most = int(curves["epoch"].max())
    by_epoch = curves[curves["epoch"].isin(_epochs(most))].groupby("epoch")[metric]
    table = pd.DataFrame({name: by_epoch.quantile(share) for name, share in QUANTILES.items()})
    return [{str(name): value for name, value in row.items()} for row in table.reset_index().to_dict("records")]


def _sentence(results: Results, curves: pd.DataFrame) -> str:
    how = pd.Series(endings(results)).value_counts()
    words = [f"{how[state]} {one if how[state] == 1 else more}" for state, (one, more) in ENDS.items() if state in how]
    listed = " and ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)
    said = f"Of {counted(len(results.trials), 'trial')}, {listed}"
    best = results.best
    if best is None:
        return f"{said}; none may be best."
    trial, epoch = int(best["trial"]), int(best["best_epoch"])
    curve = curves[curves["trial"] == trial].set_index("epoch")[results.metric]
    first = f"went from {curve.iloc[0]:.4g} after epoch {curve.index[0]} to" if curve.index[0] != epoch else "reached"
    return f"{said}; the best, trial {trial}, {first} {curve[epoch]:.4g} in epoch {epoch}."


ENDS = {
    "finished": ("trained to the end", "trained to the end"),
    "stopped": ("was stopped early", "were stopped early"),
    "diverged": ("diverged", "diverged"),
    "failed": ("failed", "failed"),
    RUNNING: ("is still running", "are still running"),
}
"""What is said of one trial and of several that ended so."""
