"""The figures of a search: what each is called, where its rows come from, how they are drawn, and how it is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pandas as pd

from tune_mlp.charts.figure import Chart, Figure
from tune_mlp.charts.importance import importance
from tune_mlp.charts.parallel_coordinates import parallel_coordinates
from tune_mlp.insight.importance import importance as importance_rows
from tune_mlp.insight.views.parallel_coordinates import parallel_coordinates as parallel_coordinates_rows
from tune_mlp.results.answer import Answer
from tune_mlp.results.results import Results


class SearchFigure(NamedTuple):
    """One kind of figure that a search has."""

    title: str
    rows: Callable[[Results], Answer]
    """The rows to draw, with the finding as the answer's sentence. Without rows the sentence says why there is no figure."""
    draw: Callable[[pd.DataFrame], Chart]
    caption: str


SEARCH_FIGURES: dict[str, SearchFigure] = {
    "importance": SearchFigure(
        "What matters",
        importance_rows,
        importance,
        "A bar is the share of the score's variance that a parameter has by itself; the line on it is its 90 % interval. "
        "A grey bar can't be told from that of a placebo, a shuffled copy of the parameters.",
    ),
    "parallel_coordinates": SearchFigure(
        "Settings and scores together",
        parallel_coordinates_rows,
        parallel_coordinates,
        "A line is a trial: it passes through its value on each parameter's axis, the most important parameter first, and ends "
        "at its score, the better ones on top. The blue lines are the best tenth of the trials, three at least. Drag along an "
        "axis to keep only the lines that pass there, on several axes if you like; click on an axis to let go.",
    ),
}


def search_figure(results: Results, name: str) -> Figure:
    """Return a figure of a search. It has no chart where the results have no rows for it; its finding then says why."""
    kind = SEARCH_FIGURES[name]
    answer = kind.rows(results)
    frame = answer.to_frame()
    return Figure(
        name=name,
        title=kind.title,
        finding=answer.sentence,
        caption=kind.caption,
        data=frame,
        chart=None if frame.empty else kind.draw(frame),
        notes=answer.notes,
    )
