"""What `search: auto` and `scheduler: auto` stand for: the choices that did best over the tables of learning curves; see docs/search.md."""

from __future__ import annotations

from tune_mlp.space.space import Space, combinations, finite
from tune_mlp.study.settings import Fifo, GridSearch, PromotionAsha, Qmc, Scheduler, Search

FEWEST_EPOCHS_TO_STOP_IN = 3
"""With fewer epochs, a first milestone would be the end, or half of it."""


def automatic_search(space: Space, trials: int, until_plateau: bool) -> Search:
    """Return the search method: a grid where the trials are to go through all combinations, and else quasi-random draws."""
    if not until_plateau and not finite(space) and 1 < combinations(space.nodes) <= trials:
        return Search(grid=GridSearch())
    return Search(qmc=Qmc())


def automatic_scheduler(epochs: int) -> Scheduler:
    """Return the scheduler: promotion ASHA, if there are epochs to pause at."""
    if epochs < FEWEST_EPOCHS_TO_STOP_IN:
        return Scheduler(fifo=Fifo())
    return Scheduler(promotion_asha=PromotionAsha())
