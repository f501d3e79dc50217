"""The trials that charts of settings draw: each with its score, if it may be best, and the parameters that come first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from tune_mlp.insight.importance import importance
from tune_mlp.insight.views.drawn_trials import drawn_trials
from tune_mlp.insight.views.scales import Values, values_of
from tune_mlp.results.answer import Answer
from tune_mlp.results.results import Results
from tune_mlp.results.tables import score_column


def scores_of(results: Results) -> pd.Series[Any]:
    """Return the scores of the trials that may be best, by the trial's number, best first."""
    ranked = results.ranked
    return ranked.set_index("trial")[score_column(results.trials, results.metric)].astype("float64")


def drawn_with_scores(results: Results) -> pd.DataFrame:
    """Return the trials that are drawn one by one. A trial that can't be best has no score; its settings name it."""
    rows = drawn_trials(results)
    of = rows.attrs["of"]
    rows["score"] = rows["trial"].map(scores_of(results)).astype("float64")
    rows["score"] = np.where(np.isfinite(rows["score"]), rows["score"], np.nan)
    rows.attrs = {"of": of}
    return rows


def leading_parameters(results: Results, most: int) -> list[Values]:
    """Return the values in all trials of the parameters that vary, the most important first, but no more than asked for."""
    drawn = [results.params.get(int(trial), {}) for trial in results.trials["trial"]]
    found = []
    for name in importance(results).table["parameter"]:
        values = values_of(name, drawn)
        if values.varies:
            found.append(values)
        if len(found) == most:
            break
    return found


def nothing(sentence: str, columns: list[str]) -> Answer:
    """Return an answer without rows, whose sentence says why nothing can be drawn."""
    return Answer(sentence, pd.DataFrame(columns=columns), ())
