"""The judged parameters: the rows of the chart of importance, which are none where nothing could be judged."""

from __future__ import annotations

from dataclasses import replace

from tune_mlp.insight.importance import importance
from tune_mlp.results.answer import Answer
from tune_mlp.results.results import Results


def judged_parameters(results: Results) -> Answer:
    """Return the answer of importance without the parameters that it couldn't judge."""
    answer = importance(results)
    judged = answer.table["low"].notna()
    return replace(answer, table=answer.table[judged], shown=None)
