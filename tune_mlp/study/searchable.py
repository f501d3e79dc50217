"""What each search method and scheduler can work with: a space that they can't is refused before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence

from tune_mlp.errors import StudyError
from tune_mlp.records import GoalName
from tune_mlp.space.domains import Choice, Domain, Grid
from tune_mlp.space.space import EXPERIMENT, Branch, Node, Sized, Space, combinations, domains_of, finite
from tune_mlp.study.mutable import MUTABLE, mutable
from tune_mlp.study.settings import Scheduler, Search

MAX_GRID = 100_000


def check_search(search: Search, space: Space, trials: int | None) -> None:
    """Refuse a space that the search method can't search."""
    if search.grid:
        if endless := finite(space):
            raise StudyError(
                "a grid search needs values that it can count: choice, grid, int, or uniform and log with a step",
                ("space", *endless.split(".")),
            )
        if trials is None and combinations(space.nodes) > MAX_GRID:
            raise StudyError(f"the grid has more than {MAX_GRID} combinations; say how many trials to run", ("search",))
    if not (search.gp or search.cmaes or search.nsga2):
        return
    for path, node in space.walk():
        if isinstance(node, Branch) and any(any(map(_drawn, inner.values())) for inner in node.options.values()):
            rule = f"{search.name} can't learn about parameters that exist only with an option; search with tpe"
            raise StudyError(rule, ("space", *path.split(".")))
        if isinstance(node, Sized) and isinstance(node.item, Domain) and isinstance(node.length, Domain):
            rule = f"{search.name} can't learn about a list whose length is drawn, too; search with tpe"
            raise StudyError(rule, ("space", *path.split(".")))
        if search.cmaes and (any(isinstance(one, Choice) and not isinstance(one, Grid) for one in domains_of(node))):
            rule = "cmaes searches numbers alone, and this is a choice; write int, log_int, uniform, log or grid, or search with tpe"
            raise StudyError(rule, ("space", *path.split(".")))
    if search.cmaes and sum(1 for _, node in space.walk() for _ in domains_of(node)) < 2:
        raise StudyError("cmaes needs two parameters at least that are drawn", ("space",))


def check_scheduler(scheduler: Scheduler, space: Space) -> None:
    """Refuse a space whose settings population-based training can't change, or mustn't."""
    if scheduler.pbt and not mutable(space):
        rule = f"pbt changes settings while they train; let one of {', '.join(MUTABLE)} be a domain"
        raise StudyError(rule, ("space",))
    if scheduler.pbt and EXPERIMENT in space.nodes:
        raise StudyError("pbt mixes settings; named experiments are to be kept apart", ("space", EXPERIMENT))


def check_plateau(search: Search, scheduler: Scheduler, metrics: Sequence[GoalName]) -> None:
    """Refuse a search whose end can't be judged by the gain of further draws in one metric."""
    if search.grid or scheduler.hyperband or scheduler.pbt:
        name = "search grid" if search.grid else f"scheduler {scheduler.name}"
        raise StudyError(f"a plateau is judged from draws that come one after the other, got {name}", ("until",))
    if metrics:
        rule = f"a plateau is judged by one metric, and a front can grow beyond it, got metrics {', '.join(metrics)}"
        raise StudyError(rule, ("until",))


def _drawn(node: Node) -> bool:
    return isinstance(node, Branch) or any(True for _ in domains_of(node))
