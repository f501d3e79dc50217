"""The trials that a chart draws one by one: all of a usual search, and of a large one the best and an even sample."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tune_mlp.results.results import Results
from tune_mlp.results.tables import score_column

MOST = 300
"""The largest number of trials that a chart draws one by one, so that a page doesn't grow with the number of trials."""
BEST = 50
"""The number of best trials that are drawn in any case."""
SETTINGS = 12
"""The largest number of parameters that a trial's settings name."""


def drawn_trials(results: Results) -> pd.DataFrame:
    """Return a row for each trial that a chart draws: `trial`, `state`, `score`, and its `settings` in words.

    The rows are in the order of the trials' numbers. `attrs["of"]` is the number of all trials.
    """
    trials = results.trials
    score = trials[score_column(trials, results.metric)].astype("float64").to_numpy()
    kept = np.ones(len(trials), dtype=bool)
    if len(trials) > MOST:
        kept[:] = False
        kept[np.linspace(0, len(trials) - 1, MOST - BEST).round().astype(int)] = True
        kept |= trials["trial"].isin(results.ranked["trial"].head(BEST)).to_numpy()
    rows = pd.DataFrame(
        {
            "trial": trials["trial"].to_numpy()[kept],
            "state": trials["state"].to_numpy()[kept],
            "score": score[kept],
        }
    )
    rows["settings"] = [settings_of(results, int(trial)) for trial in rows["trial"]]
    rows.attrs = {"of": len(trials)}
    return rows


def settings_of(results: Results, trial: int) -> str:
    """Return a trial's parameters in words: `lr 0.0012, batch_size 32, activation relu`."""
    drawn = results.params.get(trial, {})
    said = [f"{name} {_value(value)}" for name, value in list(drawn.items())[:SETTINGS]]
    more = len(drawn) - len(said)
    return ", ".join(said) + (f" and {more} more" if more else "")


def left_out(rows: pd.DataFrame) -> tuple[str, ...]:
    """Return a note of how many trials `drawn_trials` left out; nothing where it has all of them."""
    of = int(rows.attrs["of"])
    if of == len(rows):
        return ()
    return (f"{len(rows):,} of {of:,} trials are drawn: the {BEST} best and an even sample of the others.",)


def _value(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
