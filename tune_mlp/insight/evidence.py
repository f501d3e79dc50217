"""Evidence: which groups of functions have an effect that shuffled copies of them, the placebos, don't reach.

Groups are chosen one after the other. In each round the response is what the chosen groups leave unexplained. Each
other group's strength is compared with the largest strength of all placebos in each of many shuffles, so the level holds
for all groups together, whatever the distribution of the response is (Westfall and Young 1993, the step-down procedure
of the maximum). A conditional parameter is shuffled among the trials that have it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tune_mlp.insight.variance_components import Group, fit

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SHUFFLES, MANY_TRIALS = 999, 2_000
"""The number of placebo copies of each group; of more trials than this a fifth is made, since each copy takes longer."""


def shuffles_of(trials: int) -> int:
    """Return the number of placebo copies that are made for so many trials."""
    return SHUFFLES if trials <= MANY_TRIALS else (SHUFFLES + 1) // 5 - 1


@dataclass(frozen=True)
class Candidate:
    """A group that may have an effect, among the trials where it is present."""

    group: Group
    present: Bools

    @cached_property
    def tested(self) -> Floats:
        """The group's functions in the trials where it is present, with mean 0 there: whether it is present isn't its effect."""
        columns = self.group.columns[self.present]
        return np.asarray(columns - columns.mean(axis=0))


@dataclass
class Evidence:
    """What the comparison with placebos gave."""

    chosen: list[int]
    """The places of the candidates with an effect, in the order in which they were found."""
    p_values: Floats
    """The share of shuffles, for each candidate, in which the strongest placebo was as strong, corrected for all rounds."""
    strengths: Floats
    """The strength of each candidate in the round that judged it last, in standard deviations of a placebo's."""
    threshold: float = math.nan
    """The strength that a candidate had to reach in the last round."""
    rounds: int = field(default=0)


def find_effects(
    candidates: Sequence[Candidate],
    responses: Sequence[Floats],
    level: float,
    random: np.random.Generator,
    given: Sequence[Group] = (),
) -> Evidence:
    """Find the candidates with an effect on any of the responses, beside the groups that are given.

    The responses are forms of the same one, such as its values and its ranks.
    """
    shuffles = shuffles_of(len(responses[0]))
    evidence = Evidence([], np.ones(len(candidates)), np.full(len(candidates), -math.inf))
    largest_p = 0.0
    while len(evidence.chosen) < len(candidates):
        chosen = [*given, *(candidates[place].group for place in evidence.chosen)]
        views = [_unexplained(response, chosen) for response in responses]
        strengths = np.full(len(candidates), -math.inf)
        left = [place for place in range(len(candidates)) if place not in evidence.chosen]
        strongest = np.full(shuffles, -math.inf)
        for places in _by_presence(candidates, left):
            present = candidates[places[0]].present
            orders = np.argsort(random.random((int(present.sum()), shuffles)), axis=0)
            for view in views:
                rests = view.shuffled(present, orders)
                for place in places:
                    strength = float(_strength(candidates[place], view.rest[present, None])[0])
                    strengths[place] = max(strengths[place], strength)
                    strongest = np.maximum(strongest, _strength(candidates[place], rests))
        evidence.strengths[left] = strengths[left]
        evidence.rounds += 1
        evidence.threshold = float(np.quantile(strongest, 1 - level, method="higher"))
        reached = (strongest[:, None] >= evidence.strengths[left]).sum(axis=0)
        p_values = np.maximum(largest_p, (1 + reached) / (shuffles + 1))
        evidence.p_values[left] = p_values
        best = int(np.argmax(evidence.strengths[left]))
        if p_values[best] > level:
            break
        largest_p = float(p_values[best])
        evidence.chosen.append(left[best])
    return evidence


@dataclass(frozen=True)
class _Unexplained:
    """What the chosen groups leave of a response, and the matrix that takes their part out of any response."""

    rest: Floats
    explains: Floats | None
    """[trials, functions] and its counterpart: their product takes a response to its explained part."""
    weights_of: Floats | None

    def shuffled(self, present: Bools, orders: NDArray[np.int64]) -> Floats:
        """Return copies of the rest where present, [present trials, shuffles], shuffled there, without what the groups explain."""
        copies = self.rest[present][orders]
        if self.explains is None or self.weights_of is None:
            return copies
        absent = self.weights_of[:, ~present] @ self.rest[~present]
        weights = self.weights_of[:, present] @ copies + absent[:, None]
        return np.asarray(copies - self.explains[present] @ weights)


def _unexplained(response: Floats, chosen: Sequence[Group]) -> _Unexplained:
    centred = response - response.mean()
    if not chosen:
        return _Unexplained(centred, None, None)
    model = fit(chosen, centred)
    columns = np.column_stack([group.columns for group in chosen])
    columns = columns - columns.mean(axis=0)
    weights_of = model.covariance @ columns.T / model.noise
    return _Unexplained(centred - columns @ model.weights, columns, weights_of)


def _by_presence(candidates: Sequence[Candidate], places: Sequence[int]) -> list[list[int]]:
    """Return the places together whose candidates are present in the same trials: they share their shuffles."""
    together: dict[bytes, list[int]] = {}
    for place in places:
        together.setdefault(candidates[place].present.tobytes(), []).append(place)
    return list(together.values())


def _strength(candidate: Candidate, rests: Floats) -> Floats:
    """Return how strongly a candidate goes with each of the rests, [present trials, rests], on a normal distribution's scale.

    The sum of squared correlations, weighted by the prior, is about a multiple of a chi-square variable; the cube root
    of Wilson and Hilferty (1931) makes it about normal, so that groups of different sizes can be compared.
    """
    columns, prior = candidate.tested, candidate.group.prior
    squares = (rests**2).mean(axis=0)
    sizes = np.maximum((columns**2).sum(axis=0), 1e-12)
    parts = (columns.T @ rests) ** 2 / sizes[:, None]
    score = (prior / prior.sum()) @ parts / np.maximum(squares, 1e-300)
    free = prior.sum() ** 2 / (prior**2).sum()
    return np.asarray((np.cbrt(score) - (1 - 2 / (9 * free))) / math.sqrt(2 / (9 * free)))
