"""The figures of a search: what each is called, where its rows come from, how they are drawn, and how it is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pandas as pd
from altair.utils.schemapi import debug_mode

from tune_mlp.charts.best_so_far import best_so_far
from tune_mlp.charts.configurations import configurations
from tune_mlp.charts.confirmed import confirmed
from tune_mlp.charts.contenders import contenders
from tune_mlp.charts.convergence import convergence
from tune_mlp.charts.cost_against_score import cost_against_score
from tune_mlp.charts.figure import Chart, Figure, without_facts
from tune_mlp.charts.importance import importance
from tune_mlp.charts.learning_curves import learning_curves
from tune_mlp.charts.loss_by_step import loss_by_step
from tune_mlp.charts.overfitting import overfitting
from tune_mlp.charts.parallel_coordinates import parallel_coordinates
from tune_mlp.charts.parameters import parameters
from tune_mlp.charts.rungs import rungs
from tune_mlp.charts.strongest_pair import strongest_pair
from tune_mlp.charts.workers import workers
from tune_mlp.insight.views.best_so_far import best_so_far as best_so_far_rows
from tune_mlp.insight.views.configurations import configurations as configurations_rows
from tune_mlp.insight.views.confirmed_seeds import confirmed_seeds as confirmed_rows
from tune_mlp.insight.views.contenders import contenders as contenders_rows
from tune_mlp.insight.views.convergence import convergence as convergence_rows
from tune_mlp.insight.views.cost_against_score import time_against_score as time_against_score_rows
from tune_mlp.insight.views.cost_against_score import weights_against_score as weights_against_score_rows
from tune_mlp.insight.views.judged_parameters import judged_parameters
from tune_mlp.insight.views.learning_curves import learning_curves as learning_curves_rows
from tune_mlp.insight.views.loss_by_step import loss_by_step as loss_by_step_rows
from tune_mlp.insight.views.overfitting import overfitting as overfitting_rows
from tune_mlp.insight.views.parallel_coordinates import parallel_coordinates as parallel_coordinates_rows
from tune_mlp.insight.views.parameters import parameters as parameters_rows
from tune_mlp.insight.views.rungs import rungs as rungs_rows
from tune_mlp.insight.views.strongest_pair import strongest_pair as strongest_pair_rows
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
    "configurations": SearchFigure(
        "The curves of configurations",
        configurations_rows,
        configurations,
        "A colour is a configuration: its training curve is drawn through, its validation curve dashed. Where it was trained from "
        "several seeds or folds, a line is their mean, and the band one standard deviation either way.",
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
        "A coloured mark is the epoch by which half of the trials of a row had reached 90, 95 and 97 % of the best score; a row "
        "has none where fewer did. A grey disc counts the trials that reached 90 % in an epoch. The numbers at the right say how "
        "many reached each of the three. Of a score that is to be small, a share is that of the way from the median after the "
        "first epoch down to the best.",
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
        "at its score, the better ones on top. The blue lines are the best tenth of the trials, three at least and fifty at most. Drag along an "
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
    "strongest_pair": SearchFigure(
        "The strongest pair",
        strongest_pair_rows,
        strongest_pair,
        (
            "A cell holds the trials whose values of both parameters lie there; its colour and its number are the mean of their scores. "
            "Empty cells were not tried. The brighter the better."
        ),
    ),
    "time_against_score": SearchFigure(
        "Time against score",
        time_against_score_rows,
        cost_against_score,
        (
            "A point is a trial: the seconds it took against its score. The blue ones, named by their numbers, are the front: "
            "no other trial is both cheaper and better than one of them."
        ),
    ),
    "weights_against_score": SearchFigure(
        "Weights against score",
        weights_against_score_rows,
        cost_against_score,
        (
            "A point is a trial: the weights its net has against its score. The blue ones, named by their numbers, are the front: "
            "no other trial is both cheaper and better than one of them."
        ),
    ),
    "contenders": SearchFigure(
        "Who can't be told from the winner",
        contenders_rows,
        contenders,
        (
            "A point is a trial's score on the validation samples and the line its 95 % interval; the blue ones can't be told from the "
            "winner, by paired tests on the same samples, which see smaller differences than these intervals. The dashed line is "
            "the score to expect of the winner on new data, since it was picked as the best, with its interval."
        ),
    ),
    "confirmed": SearchFigure(
        "Trained again from fresh seeds",
        confirmed_rows,
        confirmed,
        (
            "A grey dot is a net that was trained again from a fresh seed; the large dot is their mean and the line its 95 % interval. "
            "The diamond is what the search had measured. The blue configurations can't be told from the best."
        ),
    ),
}


def search_figure(results: Results, name: str) -> Figure:
    """Return a figure of a search. It has no chart where the results have no rows for it; its finding then says why."""
    kind = SEARCH_FIGURES[name]
    answer = kind.rows(results)
    frame = answer.to_frame()
    with debug_mode(False):  # else Altair checks each part of a chart whenever it copies it, which takes seconds
        chart = None if frame.empty else kind.draw(frame)
    return Figure(
        name=name,
        title=kind.title,
        finding=answer.sentence,
        caption=kind.caption,
        data=without_facts(frame),
        chart=chart,
        notes=answer.notes,
    )
