"""The figures of a search: what each is called, where its rows come from, how they are drawn, and how it is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pandas as pd

from tune_mlp.charts.figure import Chart, Figure
from tune_mlp.charts.importance import importance
from tune_mlp.charts.parallel_coordinates import parallel_coordinates
from tune_mlp.charts.parameters import parameters
from tune_mlp.insight.views.judged_parameters import judged_parameters
from tune_mlp.insight.views.parallel_coordinates import parallel_coordinates as parallel_coordinates_rows
from tune_mlp.insight.views.parameters import parameters as parameters_rows
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
        judged_parameters,
        importance,
        "Left: a bar is the share of the score's variance that a parameter has by itself, and the line on it its 90 % "
        "interval. Right: how strongly it goes with the score; the shaded part is what the strongest of all shuffled copies of "
        "the parameters, the placebos, reach. A grey parameter can't be told from a placebo, whatever its bar; a blue one has an "
        "effect by itself or in a pair.",
    ),
    "parallel_coordinates": SearchFigure(
        "Settings and scores together",
        parallel_coordinates_rows,
        parallel_coordinates,
        "A line is a trial: it passes through its value on each parameter's axis, the most important parameter first, and ends "
        "at its score, the better ones on top. The blue lines are the best tenth of the trials, three at least. Drag along an "
        "axis to keep only the lines that pass there, on several axes if you like; click on an axis to let go.",
    ),
    "parameters": SearchFigure(
        "The score along each parameter",
        parameters_rows,
        parameters,
        (
            "A panel is a parameter, the most important first; a point is a trial. The shaded part holds the middle half of the "
            "trials' scores, and the line in it is their median: at each value, or along a range in parts of equally many trials."
        ),
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
