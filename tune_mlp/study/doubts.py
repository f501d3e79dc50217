"""Settings that are allowed and yet are probably a mistake, each with a warning in a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tune_mlp.records import GoalName
from tune_mlp.study.settings import Scheduler, Search

BY_ALL_GOALS = ("asha", "fifo")
"""The schedulers that stop no trial for its metric alone."""


def doubts_about_goals(metrics: Sequence[GoalName], scheduler: Scheduler) -> Iterator[str]:
    """Yield what is doubtful about goals beside the scheduler."""
    if metrics and scheduler.name not in BY_ALL_GOALS:
        yield (
            f"{scheduler.name} compares trials by {metrics[0]} alone, and so may end one that would be on the front of "
            f"{', '.join(metrics)}; asha compares them by all goals, and fifo ends none"
        )


def doubts_about_scheduler(scheduler: Scheduler, epochs: int) -> Iterator[str]:
    """Yield why a scheduler stops nothing."""
    asha = scheduler.asha or scheduler.promotion_asha or scheduler.pasha
    if asha and asha.grace_period >= epochs:
        yield f"{scheduler.name} stops nothing: grace_period={asha.grace_period} isn't below epochs={epochs}"
    if scheduler.top_k and scheduler.top_k.after >= epochs:
        yield f"top_k stops nothing: after={scheduler.top_k.after} isn't below epochs={epochs}"


def doubts_about_search(
    search: Search, scheduler: Scheduler, trials: int, metrics: Sequence[GoalName]
) -> Iterator[str]:
    """Yield why a search learns nothing, or late."""
    if search.learns and search.startup >= trials:
        said = "population" if search.nsga2 else "startup"
        yield f"{search.name} learns nothing: its first {said}={search.startup} draws are random, of trials={trials}"
    if (search.evolves or (search.learns and metrics)) and scheduler.pauses:
        yield (
            f"{search.name} learns from trials that ended, and under {scheduler.name} most of them end only with the search"
        )
