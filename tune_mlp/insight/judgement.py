"""Judgement: the parameters of a set of trials, each with its evidence and its effect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tune_mlp.insight.effects import Effect, Share, effects, pair_group
from tune_mlp.insight.evidence import Candidate, Evidence, find_effects
from tune_mlp.insight.features import Feature, features
from tune_mlp.insight.responses import Responses, responses
from tune_mlp.insight.variance_components import Group
from tune_mlp.results.remembered import remembered
from tune_mlp.results.results import Results

Floats = NDArray[np.float64]

FEWEST = 8
"""Fewer trials with a score tell nothing."""
LEVEL, PAIR_LEVEL = 0.035, 0.002
"""How often noise alone may look like the effect of a parameter, and of a pair; together below 5 %."""
PAIRED = 12
"""Pairs are looked for among so many parameters, those of the greatest strength."""


@dataclass(frozen=True)
class Judged:
    """What a set of trials says of its parameters."""

    found: Sequence[Feature]
    evidence: Evidence
    pairs: Sequence[tuple[int, int]]
    pair_evidence: Evidence
    own: Sequence[Effect]
    shown_pairs: Sequence[int]
    """The places of the pairs with an effect; without any that of the strongest pair, if there are pairs."""
    pair_shares: Sequence[Share]
    """The shares of the shown pairs."""

    @property
    def with_effect(self) -> set[int]:
        """The places of the parameters that have an effect, alone or in a pair."""
        in_pairs = {place for pair in self.pair_evidence.chosen for place in self.pairs[pair]}
        return {*self.evidence.chosen, *in_pairs}


@dataclass(frozen=True)
class Assessment:
    """The trials of results, as they are judged, and what came of it."""

    response: Responses
    scores: Floats
    """The responses with mean 0 and standard deviation 1."""
    unit: float
    """The standard deviation that they had; effects are in this unit."""
    found: Sequence[Feature]
    """The parameters that can be judged."""
    constant: Sequence[str]
    """The parameters with one value only."""
    rare: Sequence[str]
    """The parameters that too few trials have."""
    fault: str
    """Why nothing can be judged; empty where it can."""

    @classmethod
    def of(cls, results: Results) -> Self:
        """Prepare results for judgement."""
        response = responses(results)
        varied, constant = features([results.params.get(int(trial), {}) for trial in response.trials])
        found = [feature for feature in varied if feature.present.sum() >= FEWEST]
        rare = [feature.name for feature in varied if feature.present.sum() < FEWEST]
        scores, unit = standardised(response.scores)
        fault = _cannot_judge(results.metric, len(scores) - int(response.without.sum()), found, unit)
        return cls(response, scores, unit, found, constant, rare, fault)


@remembered
def judged_trials(results: Results, seed: int) -> tuple[Assessment, Judged | None]:
    """Return the trials of results and the judgement of their parameters; None where nothing can be judged."""
    assessed = Assessment.of(results)
    if assessed.fault:
        return assessed, None
    return assessed, judge(assessed.found, assessed.scores, np.random.default_rng(seed))


def judge(found: Sequence[Feature], scores: Floats, random: np.random.Generator) -> Judged:
    """Judge the features by the scores of their trials, which are standardised."""
    views = [scores, _normal_scores(scores)]
    mains = [Candidate(Group(feature.columns, feature.prior), feature.present) for feature in found]
    evidence = find_effects(mains, views, LEVEL, random)
    strongest = sorted(np.argsort(-evidence.strengths, kind="stable")[:PAIRED].tolist())
    strongest = sorted({*strongest, *evidence.chosen[:PAIRED]})
    pairs = [(a, b) for a, b in combinations(strongest, 2) if _both_vary(found[a], found[b])]
    candidates = [Candidate(pair_group(found[a], found[b]), found[a].present & found[b].present) for a, b in pairs]
    given = [mains[place].group for place in evidence.chosen]
    pair_evidence = find_effects(candidates, views, PAIR_LEVEL, random, given)
    shown = pair_evidence.chosen or [int(np.argmax(pair_evidence.strengths))] if pairs else []
    own, pair_shares = effects(found, pairs, evidence.chosen, [pairs[place] for place in shown], scores, random)
    return Judged(found, evidence, pairs, pair_evidence, own, shown, pair_shares)


def _both_vary(first: Feature, second: Feature) -> bool:
    """True if both parameters vary among the trials that have both: a choice doesn't where it is what brings the other one."""
    both = first.present & second.present
    return both.sum() >= FEWEST and all(np.ptp(feature.columns[both], axis=0).any() for feature in (first, second))


def standardised(scores: Floats) -> tuple[Floats, float]:
    """Return the scores with mean 0 and standard deviation 1, and the old deviation: 0 where all scores are the same."""
    largest = float(np.abs(scores).max(initial=0.0))
    if largest == 0:
        return scores, 0.0
    centred = scores / largest - float((scores / largest).mean())  # the largest numbers have no squares
    deviation = float(centred.std())
    return (centred / deviation, deviation * largest) if deviation > 1e-12 else (np.zeros_like(scores), 0.0)


def _normal_scores(scores: Floats) -> Floats:
    """Return the scores' ranks as quantiles of a normal distribution; equal scores get the same."""
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - counts / 2) / len(scores)
    quantiles = np.array([NormalDist().inv_cdf(float(rank)) for rank in ranks])[places]
    return np.asarray(quantiles - quantiles.mean())


def _cannot_judge(metric: str, scored: int, found: Sequence[Feature], unit: float) -> str:
    """Say why nothing can be judged; empty where it can."""
    if scored == 0:
        return "No trial has a score, so no parameter can be judged."
    if scored < FEWEST:
        trials = "1 trial has" if scored == 1 else f"{scored} trials have"
        return f"{trials} a score: at least {FEWEST} are needed to tell which parameters matter."
    if not found:
        return "No parameter has more than one value, so there is nothing to judge."
    if unit == 0:
        return f"All trials have the same {metric}: nothing here has a detectable effect."
    return ""
