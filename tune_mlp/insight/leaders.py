"""The leaders of a search: the trials that can't be told from the winner.

Each trial is compared with the winner by a paired test, and the p values are multiplied by the number of all pairs of trials. The number of trials
alone would be too little: the winner was picked for its luck, so that of 100 equally good trials one would be told from it in a third of all
searches. Some pair of equally good trials is told apart in at most 5 % of searches, whichever trial is picked (Bonferroni, as in
Tukey's comparisons of all pairs).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tune_mlp.command_line import command_line
from tune_mlp.errors import TuneMlpError
from tune_mlp.insight.paired import CONFIDENCE, Differences, differences
from tune_mlp.insight.samples import SampleScores, sample_scores
from tune_mlp.results.results import Results


class AgainstTheWinner(NamedTuple):
    """The other trials beside the winner, which is the first; each array has a value for each of them."""

    differences: Differences
    """The winner less the other; their p isn't corrected."""
    p: NDArray[np.float64]
    """Corrected for the number of all pairs of trials."""

    @property
    def told_apart(self) -> NDArray[np.bool_]:
        told: NDArray[np.bool_] = self.p <= 1 - CONFIDENCE
        return told


def against_the_winner(scores: SampleScores) -> AgainstTheWinner:
    """Compare each trial with the first one."""
    count = len(scores.trials)
    found = differences(scores, 0, range(1, count))
    return AgainstTheWinner(found, np.minimum(1.0, found.p * (count * (count - 1) / 2)))


def indistinguishable_line(results: Results) -> str:
    """Say in one line how many trials can't be told from the winner, and which command tells more; empty where it can't be told."""
    try:
        scores, _ = sample_scores(results)
        command = command_line("compare", results.where)
    except TuneMlpError:  # a table alone, a run of an earlier version
        return ""
    if len(scores.trials) < 2:
        return ""
    told_apart = against_the_winner(scores).told_apart
    others = len(told_apart)
    alike = others - int(np.count_nonzero(told_apart))
    return f"{how_many_alike(alike, others, 'the winner')}: {command}"


def how_many_alike(alike: int, others: int, winner: str) -> str:
    """Say how many of the other trials can't be told from the winner, which is named as given."""
    if others == 1:
        return f"the other trial {'cannot' if alike else 'can'} be told from {winner} at 95 %"
    if alike == 0:
        return f"{'both' if others == 2 else f'all {others:,}'} other trials can be told from {winner} at 95 %"
    return f"{alike:,} of the {others:,} other trials can't be told from {winner} at 95 %"
