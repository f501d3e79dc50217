"""The contenders: the trials that can't be told apart from the winner, with their intervals, and a few that can."""

from __future__ import annotations

import pandas as pd

from tune_mlp.errors import TuneMlpError
from tune_mlp.insight.compare import ALIKE, WINNER, compare
from tune_mlp.insight.views.drawn_trials import settings_of
from tune_mlp.insight.views.scored_trials import nothing
from tune_mlp.results.answer import Answer
from tune_mlp.results.results import Results

MOST = 20
BESIDE = 3
"""The number of trials that are told apart from the winner and shown all the same, so that the difference can be seen."""
COLUMNS = ["trial", "score", "low", "high", "verdict", "difference", "p", "settings"]


def contenders(results: Results) -> Answer:
    """Return a row for the winner, for each trial that can't be told from it, and for the next few, each with its 95 % interval."""
    if results.files is None:
        return nothing(
            "A table doesn't say which samples each trial got right, so no trials can be told apart.", COLUMNS
        )
    try:
        compared = compare(results)
    except TuneMlpError as error:
        return nothing(f"The trials can't be held against each other: {error}.", COLUMNS)
    table = compared.table
    alike = table["verdict"].isin([WINNER, ALIKE])
    shown = pd.concat([table[alike].head(MOST), table[~alike].head(BESIDE)]).head(MOST)
    measure = table.columns[1]
    rows = shown.rename(columns={measure: "score"}).reset_index(drop=True)
    rows["settings"] = [settings_of(results, int(trial)) for trial in rows["trial"]]
    more = int(alike.sum()) - MOST
    notes = (f"{more:,} more trials can't be told apart from the winner and aren't drawn.",) if more > 0 else ()
    facts = {"metric": measure, "winner": compared.facts["winner"]}
    return Answer(compared.sentence, rows[COLUMNS], compared.method, notes=(*notes, *compared.notes), facts=facts)
