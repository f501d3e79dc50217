"""What `search: auto` and `scheduler: auto` stand for: the choices that did best over the tables of learning curves; see docs/search.md."""

from __future__ import annotations

from tune_mlp.space.space import Space, combinations, finite
from tune_mlp.study.settings import Asha, Fifo, GridSearch, PromotionAsha, Qmc, Scheduler, Search

FEWEST_EPOCHS_TO_STOP_IN = 3
"""With fewer epochs, a first milestone would be the end, or half of it."""


def automatic_search(space: Space, trials: int, until_plateau: bool) -> Search:
    """Return the search method: a grid where the trials are to go through all combinations, and else quasi-random draws."""
    if not until_plateau and not finite(space) and 1 < combinations(space.nodes) <= trials:
        return Search(grid=GridSearch())
    return Search(qmc=Qmc())


def automatic_scheduler(epochs: int, several_goals: bool) -> Scheduler:
    """Return the scheduler: promotion ASHA, or ASHA where there are several goals to compare by, if there are epochs to stop at."""
    if epochs < FEWEST_EPOCHS_TO_STOP_IN:
        return Scheduler(fifo=Fifo())
    if several_goals:
        return Scheduler(asha=Asha())
    return Scheduler(promotion_asha=PromotionAsha())
