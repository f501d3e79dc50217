"""The figures of a search: what each is called, where its rows come from, how they are drawn, and how it is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pandas as pd

from tune_mlp.charts.best_so_far import best_so_far
from tune_mlp.charts.convergence import convergence
from tune_mlp.charts.figure import Chart, Figure
from tune_mlp.charts.importance import importance
from tune_mlp.charts.learning_curves import learning_curves
from tune_mlp.charts.loss_by_step import loss_by_step
from tune_mlp.charts.overfitting import overfitting
from tune_mlp.charts.rungs import rungs
from tune_mlp.charts.workers import workers
from tune_mlp.insight.importance import importance as importance_rows
from tune_mlp.insight.views.best_so_far import best_so_far as best_so_far_rows
from tune_mlp.insight.views.convergence import convergence as convergence_rows
from tune_mlp.insight.views.learning_curves import learning_curves as learning_curves_rows
from tune_mlp.insight.views.loss_by_step import loss_by_step as loss_by_step_rows
from tune_mlp.insight.views.overfitting import overfitting as overfitting_rows
from tune_mlp.insight.views.rungs import rungs as rungs_rows
from tune_mlp.insight.views.workers import workers as workers_rows
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
    "learning_curves": SearchFigure(
        "Learning curves",
        learning_curves_rows,
        learning_curves,
        "A line is a trial's score by epoch; the coloured one is the best trial. A mark shows where a trial was stopped, "
        "diverged or failed before its last epoch.",
    ),
    "best_so_far": SearchFigure(
        "The best so far",
        best_so_far_rows,
        best_so_far,
        "A point is a trial's score, in the order in which the trials ended; the line is the best one by then.",
    ),
    "rungs": SearchFigure(
        "Survivors by epoch",
        rungs_rows,
        rungs,
        "A bar holds the trials that trained an epoch, by what became of them after it. The number above a bar is given where "
        "it changes.",
    ),
    "workers": SearchFigure(
        "The workers' timeline",
        workers_rows,
        workers,
        "A bar is the time in which a trial trained, with the trial's number where there is room; a node has as many "
        "workers as trials that it trained at once.",
    ),
    "convergence": SearchFigure(
        "Epochs to come near the best",
        convergence_rows,
        convergence,
        "A point is the median number of epochs until the trials of a group reached 90, 95 and 97 % of the best score; it is "
        "hollow where fewer than half of them did. The numbers at the right say how many did, for the three in turn. Of a score "
        "that is to be small, it is the share of the way from the median after the first epoch down to the best.",
    ),
    "overfitting": SearchFigure(
        "Overfitting",
        overfitting_rows,
        overfitting,
        "A point is a trial: how much better its net did on the training part than on the validation part. The coloured tick is "
        "the median of the row. The parameters are those by which the gap differs most.",
    ),
    "loss_by_step": SearchFigure(
        "The loss by step",
        loss_by_step_rows,
        loss_by_step,
        "The line is the mean loss of neighbouring steps of the best trial, and the band reaches from the lowest to the highest "
        "of them. The axis is linear near 0 and logarithmic above.",
    ),
    "importance": SearchFigure(
        "What matters",
        importance_rows,
        importance,
        "A bar is the share of the score's variance that a parameter has by itself; the line on it is its 90 % interval. "
        "A grey bar can't be told from that of a placebo, a shuffled copy of the parameters.",
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
