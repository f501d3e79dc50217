"""The goals of a study that has several: which go together, and which searches and schedulers can serve them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

from tune_mlp.errors import StudyError
from tune_mlp.records import COSTS, GoalName, Metric, Task, metrics_to_rank_by
from tune_mlp.study.settings import Search

ONE_GOAL = ("cmaes",)
"""The searches of Optuna's that serve one goal alone."""


def check_goals(metrics: Sequence[GoalName], metric: Metric | None, search: Search) -> None:
    """Refuse goals that don't go together, and a search that can't serve them."""
    if not metrics:
        if search.nsga2:
            raise StudyError("nsga2 searches for the front of several goals: name them in metrics", ("search",))
        return
    first, where = metrics[0], ("metrics",)
    if len(metrics) == 1:
        raise StudyError(f"metrics names two goals or three; for one alone there is metric: {first}", where)
    if first not in get_args(Metric):
        rule = f"trials are ranked by the first of metrics, which must be a metric of the data, got {first}"
        raise StudyError(f"{rule}; name it after one, as in [val_accuracy, {first}]", where)
    if metric not in (None, first):
        raise StudyError(f"metrics begin with {first}, and metric is {metric}: name one of the two", where)
    if len(set(metrics)) < len(metrics):
        raise StudyError(f"metrics names a goal twice, got {', '.join(metrics)}", where)
    if search.name in ONE_GOAL:
        raise StudyError(f"{search.name} has one goal alone; search with tpe, gp or nsga2", ("search",))


def check_known(task: Task, asked: Mapping[str, Sequence[str]]) -> None:
    """Refuse metrics that data of this task don't have; each is asked for by a setting."""
    known = metrics_to_rank_by(task)
    for where, names in asked.items():
        for name in names:
            if name not in known:
                raise StudyError(f"{task} data has {', '.join(known)}, got {where} {name}", (where,))


def measured(metrics: Sequence[GoalName]) -> list[str]:
    """Return the goals that are metrics of the data, which are measured in each epoch."""
    return [name for name in metrics if name not in COSTS]
