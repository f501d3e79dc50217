"""The history of the best score: what each trial reached, and the best of all that had ended by then."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tune_mlp.insight.views.drawn_trials import drawn_trials, left_out
from tune_mlp.insight.views.score_range import score_range
from tune_mlp.results.answer import Answer
from tune_mlp.results.journal import Ended
from tune_mlp.results.results import Results
from tune_mlp.results.state import RANKED
from tune_mlp.results.tables import score_column

METHOD = (
    "A trial's score is that of its best epoch. Trials that diverged or failed count as ended, and are never the best.",
)


def best_so_far(results: Results) -> Answer:
    """Return a row for each drawn trial, in the order in which the trials ended, and for each one that was a new best."""
    trials = results.trials
    score = pd.Series(trials[score_column(trials, results.metric)].to_numpy(dtype=float), index=trials["trial"])
    able = trials.set_index("trial")["state"].isin([state.value for state in RANKED])
    order = _in_order_of_end(results)
    scores = score.reindex(order).to_numpy()
    counts = np.where(able.reindex(order).to_numpy(dtype=bool) & np.isfinite(scores), scores, np.nan)
    if not np.isfinite(counts).any():
        why = f"No trial that has ended has a finite {results.metric}, so there is no best one yet."
        return Answer(why, pd.DataFrame({"trial": order[:0]}), METHOD)
    best = (np.fmax if results.mode == "max" else np.fmin).accumulate(counts)
    new = np.isfinite(best) & (best != np.concatenate([[np.nan], best[:-1]]))
    ended = np.arange(1, len(order) + 1)
    table = pd.DataFrame({"ended": ended, "trial": order, "score": scores, "best": best, "new": new})
    drawn = drawn_trials(results).drop(columns="score")
    kept = table.merge(drawn, on="trial", how="left")
    kept = kept[kept["settings"].notna() | kept["new"] | (kept["ended"] == len(order))]
    axis = score_range(kept["score"], results.mode)
    unordered = ("The table doesn't say when trials ended: they stand in the order of their numbers.",)
    notes = (*left_out(drawn), *axis.notes, *(unordered if results.files is None else ()))
    facts = {"metric": results.metric, "axis": axis._asdict(), "of": len(order)}
    return Answer(_sentence(results, table), kept.reset_index(drop=True), METHOD, notes, facts)


def _in_order_of_end(results: Results) -> NDArray[Any]:
    """Return the numbers of the trials that have ended, the first that ended first."""
    if results.files is None:
        numbers = results.trials["trial"].to_numpy()
    else:
        found = [line.event.trial for line in results.lines if isinstance(line.event, Ended)]
        numbers = np.array(
            list(dict.fromkeys(reversed(found)))[::-1], dtype=np.int64
        )  # an end that was undone doesn't count
    return numbers


def _sentence(results: Results, table: pd.DataFrame) -> str:
    row = table[table["new"]].iloc[-1]
    before, after = int(table["new"].sum()) - 1, len(table) - int(row["ended"])
    said = f"The best {results.metric}, {row['best']:.4g}, came from trial {row['trial']}, number {row['ended']:,} of {len(table):,} to end"
    earlier = (
        f"it replaced {'an' if before == 1 else f'the last of {before}'} earlier best"
        if before
        else "no other was best before"
    )
    later = f", and {after:,} more ended without a better one" if after else ""
    return f"{said}; {earlier}{'s' if before > 1 else ''}{later}."
