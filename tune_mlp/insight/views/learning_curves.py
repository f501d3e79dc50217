"""The learning curves of a search: the metric of each trial by epoch, where each ended, and a band of all trials."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from tune_mlp.insight.views.curves import NO_EPOCHS, RUNNING, curves_of, endings
from tune_mlp.insight.views.drawn_trials import drawn_trials, left_out
from tune_mlp.insight.views.score_range import score_range
from tune_mlp.results.answer import Answer, counted
from tune_mlp.results.results import Results

POINTS = 40
"""The largest number of epochs that a curve is drawn with; its first and last one are always among them."""
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
    left += ("Behind them, the band holds the middle 80 % of all trials, and the dashed line is their median.",) * bool(
        left
    )
    return Answer(_sentence(results, curves), seen, METHOD, (*left, *axis.notes), facts)


def _thinned(curves: pd.DataFrame) -> pd.DataFrame:
    """Return at most some 40 epochs of each curve, evenly spread, with its first, its last and no gap of another length."""
    most = int(curves["epoch"].max())
    if most <= POINTS:
        return curves.reset_index(drop=True)
    kept = np.unique(np.linspace(1, most, POINTS).round())
    last = curves.groupby("trial")["epoch"].transform("max")
    thin: pd.DataFrame = curves[curves["epoch"].isin(kept) | (curves["epoch"] == last)]
    return thin.reset_index(drop=True)


def _ends(results: Results, drawn: pd.DataFrame, curves: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a record for each drawn trial that has a curve: where it ended, how, and its settings."""
    how = endings(results)
    last = curves.groupby("trial").last()
    rows = drawn[drawn["trial"].isin(last.index)]
    return [
        {
            "trial": int(trial),
            "ended": how[int(trial)],
            "score": score,
            "settings": settings,
            "epoch": int(last.at[trial, "epoch"]),
            "value": float(last.at[trial, results.metric]),
        }
        for trial, score, settings in rows[["trial", "score", "settings"]].itertuples(index=False)
    ]


def _band(curves: pd.DataFrame, metric: str) -> list[dict[str, Any]]:
    most = int(curves["epoch"].max())
    kept = np.unique(np.linspace(1, most, POINTS).round())
    by_epoch = curves[curves["epoch"].isin(kept)].groupby("epoch")[metric]
    table = pd.DataFrame({name: by_epoch.quantile(share) for name, share in QUANTILES.items()})
    return [dict(row) for row in table.reset_index().to_dict("records")]


def _sentence(results: Results, curves: pd.DataFrame) -> str:
    how = pd.Series(endings(results)).value_counts()
    words = [f"{how[state]} {word}" for state, word in ENDS.items() if state in how]
    said = f"Of {counted(len(results.trials), 'trial')}, {' and '.join([', '.join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]}"
    best = results.best
    if best is None:
        return f"{said}; none may be best."
    trial = int(best["trial"])
    curve = curves[curves["trial"] == trial].set_index("epoch")[results.metric]
    epoch = int(best["best_epoch"])
    return f"{said}; the best, trial {trial}, went from {curve.iloc[0]:.4g} after its first epoch to {curve[epoch]:.4g} in epoch {epoch}."


ENDS = {
    "finished": "trained to the end",
    "stopped": "were stopped early",
    "diverged": "diverged",
    "failed": "failed",
    RUNNING: "are still running",
}
