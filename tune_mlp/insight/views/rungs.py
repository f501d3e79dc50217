"""The rungs of a search: how many trials trained each epoch, and what became of them after it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tune_mlp.insight.views.curves import RUNNING, endings
from tune_mlp.results.answer import Answer, counted
from tune_mlp.results.results import Results

MOST = 60
"""The largest number of bars; neighbouring epochs of a longer search share one."""
FATES = ("went on", "finished", "stopped", "diverged", "failed", RUNNING)
METHOD = (
    "A trial trained an epoch when all its folds and seeds did. `finished` includes trials whose patience ran out.",
)


def rungs(results: Results) -> Answer:
    """Return a row for each epoch and fate: of the trials that trained the epoch, how many went on or ended after it."""
    none = pd.DataFrame({name: pd.Series(dtype="int64") for name in ("epoch", "to", "fate", "trials")})
    if results.epochs.empty or not (results.trials["epochs"] > 0).any():
        return Answer("The results have no epochs, so there are no rungs to draw.", none, METHOD)
    last = results.trials["epochs"].to_numpy()
    how = endings(results)
    fate = np.array([how[int(trial)] for trial in results.trials["trial"]])
    edges = np.unique(np.linspace(0, last.max(), min(last.max(), MOST) + 1).round().astype(int))
    rows = []
    for before, to in pairwise(edges):
        counts = {"went on": int((last > to).sum())}
        here = fate[(last > before) & (last <= to)]
        counts |= {name: int((here == name).sum()) for name in FATES[1:]}
        rows += [(before + 1, to, name, count) for name, count in counts.items() if count]
    table = pd.DataFrame(rows, columns=none.columns)
    none_trained = int((last == 0).sum())
    notes = (f"{counted(none_trained, 'trial')} ended or waits without a whole epoch.",) if none_trained else ()
    return Answer(_sentence(last, fate), table, METHOD, notes)


def _sentence(last: NDArray[Any], fate: NDArray[Any]) -> str:
    most, began = int(last.max()), int((last > 0).sum())
    reached = int((last == most).sum())
    said = f"{counted(began, 'trial')} began, and {reached} of them trained epoch {most}, the last one"
    stopped = last[fate == "stopped"]
    if not len(stopped):
        return f"{said}; none was stopped early."
    at, counts = np.unique(stopped, return_counts=True)
    top = np.argsort(-counts, kind="stable")[:3]
    places = [f"{counts[i]} after epoch {at[i]}" for i in sorted(top)]
    more = f", and {counts.sum() - counts[top].sum()} elsewhere" if len(at) > len(top) else ""
    return f"{said}; {len(stopped)} were stopped: {', '.join(places)}{more}."
