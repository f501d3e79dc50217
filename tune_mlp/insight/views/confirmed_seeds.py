"""The confirmed configurations: the value of each net that was trained again, with the means and their intervals."""

from __future__ import annotations

from tune_mlp.command_line import command_line
from tune_mlp.errors import TuneMlpError
from tune_mlp.insight.confirmation import CONFIRM, confirmed, ended_nets
from tune_mlp.insight.views.drawn_trials import settings_of
from tune_mlp.insight.views.scored_trials import nothing
from tune_mlp.results.answer import Answer
from tune_mlp.results.followups import load_followup
from tune_mlp.results.results import Results

MOST = 20
COLUMNS = ["trial", "seed", "value", "settings"]


def confirmed_seeds(results: Results) -> Answer:
    """Return a row for each net of the confirmed configurations, the best one first. The fact `configurations` has their means."""
    if results.files is None:
        return nothing("A table has no configurations that were trained again from fresh seeds.", COLUMNS)
    try:
        followup = load_followup(results.path, CONFIRM)
        if followup is None:
            how = command_line(CONFIRM, results.where)
            return nothing(f"No configuration was trained again from fresh seeds yet: {how} does that.", COLUMNS)
        answer = confirmed(results)
    except TuneMlpError as error:
        return nothing(f"What was trained again can't be read: {error}.", COLUMNS)
    table = answer.table[answer.table["mean"].notna()].head(MOST)
    nets = ended_nets(followup, results.metric)
    rows = table[["trial"]].merge(nets[nets["value"].notna()], on="trial")
    rows["settings"] = rows["trial"].map({trial: settings_of(results, int(trial)) for trial in table["trial"]})
    names = ["trial", "searched", "mean", "low", "high", "verdict", "seeds"]
    facts = {"metric": results.metric, "configurations": table[names].to_dict("records")}
    return Answer(answer.sentence, rows[COLUMNS], answer.method, notes=answer.notes, facts=facts)
