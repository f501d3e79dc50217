"""Effects: the share of the variance of each parameter, what its best value brings, and how sure both are.

The shares come from a fit of all parameters and pairs with shrinkage. The intervals come from resamples of the trials. A
resample's weights differ from the fitted ones as the fitted ones differ from the truth, so each resample is mirrored at
the fit; what noise adds to a sum of squares is taken off (the basic bootstrap, Davison and Hinkley 1997, section 5.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tune_mlp.insight.features import Feature
from tune_mlp.insight.variance_components import Components, Group, fit

Floats = NDArray[np.float64]

RESAMPLES = 200
LEAST_VARIANCE = 0.5
"""The variance of a parameter's weights in resamples is at least this share of the response's, so that shrinkage hides no doubt."""
INTERVAL = (0.05, 0.95)
"""The quantiles of a 90 % interval."""
PAIR_ORDER = 2
"""The highest order of a number's polynomials in a pair."""
ROWS_AT_ONCE = 2_000
"""The number of trials whose products are held in memory at once."""
CERTAIN = 0.95
"""A value is among the best unless it is worse than the best one in more than this share of the resamples."""
KNOWN = 0.9
"""A share of the variance is known if its interval is narrower than this."""


@dataclass(frozen=True)
class Share:
    """A part of the variance, with a 90 % interval."""

    share: float
    low: float
    high: float

    @property
    def known(self) -> bool:
        """True if the interval tells anything of the share: one from 0 to 100 % doesn't."""
        return self.high - self.low < KNOWN


@dataclass(frozen=True)
class Effect:
    """What one parameter does to the response."""

    share: Share
    gain: Share
    """What the best value brings over a value at random, in the response's unit."""
    curve: Floats
    """The effect at each of the feature's points."""
    worse: Floats
    """The share, for each point, of resamples in which it is worse than the best point."""
    resampled: Floats
    """[points, resamples]: the effect in each resample."""

    def cost_of(self, point: int) -> float:
        """Return how much worse than the best value a point may be: the upper end of a 95 % bound."""
        return float(np.quantile(self.resampled.max(axis=0) - self.resampled[point], 0.95))


def pair_group(first: Feature, second: Feature) -> Group:
    """Return the functions of two parameters together: products of theirs, among the trials that have both."""
    (a, prior_a), (b, prior_b) = ((_lowest(feature)) for feature in (first, second))
    columns = (a[:, :, None] * b[:, None, :]).reshape(len(a), -1)
    prior = (prior_a[:, None] * prior_b).ravel()
    return Group(columns, prior / prior.sum())


def _lowest(feature: Feature) -> tuple[Floats, Floats]:
    most = PAIR_ORDER if feature.is_number else len(feature.prior)
    return feature.columns[:, :most], feature.prior[:most]


def effects(
    found: Sequence[Feature],
    pairs: Sequence[tuple[int, int]],
    chosen: Sequence[int],
    certain: Sequence[tuple[int, int]],
    response: Floats,
    random: np.random.Generator,
) -> tuple[list[Effect], list[Share]]:
    """Return the effect of each feature, and the share of each of the `certain` pairs.

    All `pairs` take part in the fit; those without evidence are shrunk away. A resample is fitted by the `chosen`
    features and the certain pairs; each other feature is added alone.
    """
    both = list(dict.fromkeys([*certain, *pairs]))
    groups = [Group(feature.columns, feature.prior) for feature in found]
    groups += [pair_group(found[a], found[b]) for a, b in both]
    measures = [feature.measure for feature in found]
    measures += [float((found[a].present & found[b].present).mean()) for a, b in both]
    model = fit(groups, response)
    sizes = model.by_group(model.weights**2 + np.diag(model.covariance)) * measures
    total = float(sizes.sum()) + model.noise
    resampling = _Resampling.of(model, groups, response, random)
    base = [*chosen, *range(len(found), len(found) + len(certain))]
    resampled = resampling.fit(base, base) | {
        place: resampling.fit([*base, place], [place])[place] for place in range(len(found)) if place not in chosen
    }
    shares = {place: _share(float(sizes[place]) / total, its, measures[place]) for place, its in resampled.items()}
    own = [
        _effect(feature, model.weights[model.group_of == place], resampled[place], shares[place])
        for place, feature in enumerate(found)
    ]
    return own, [shares[len(found) + place] for place in range(len(certain))]


@dataclass(frozen=True)
class _Resampled:
    """A group's weights in the resamples."""

    fitted: Floats
    mirrored: Floats
    """[functions, resamples]: the weights, mirrored at the fitted ones."""
    totals: Floats
    """The variance of the response in each resample."""


@dataclass(frozen=True)
class _Resampling:
    """Resamples of the trials, in which some of the groups can be fitted."""

    groups: Sequence[Group]
    variances: Floats
    """The variance of each group's weights."""
    noise: float
    response: Floats
    """The centred response."""
    times: Floats
    """[1 + resamples, trials]: how often each trial was drawn; first the trials themselves."""

    @classmethod
    def of(cls, model: Components, groups: Sequence[Group], response: Floats, random: np.random.Generator) -> Self:
        count = len(response)
        drawn = random.integers(count, size=(RESAMPLES, count))
        times = [np.ones(count), *(np.bincount(draw, minlength=count) for draw in drawn)]
        variances = np.maximum(model.variances, LEAST_VARIANCE * response.var())
        return cls(groups, variances, model.noise, response - response.mean(), np.array(times, np.float64))

    def fit(self, places: Sequence[int], wanted: Sequence[int]) -> dict[int, _Resampled]:
        """Fit the groups at these places in each resample; return the weights of those that are wanted."""
        if not places:
            return {}
        columns = np.column_stack([self.groups[place].columns for place in places])
        prior = np.concatenate([self.groups[place].prior * self.variances[place] for place in places])
        grams, moments, totals = self._sums(np.column_stack([columns, self.response]))
        inner = grams / self.noise
        inner[:, np.arange(len(prior)), np.arange(len(prior))] += 1.0 / prior
        weights = np.linalg.solve(inner, moments[:, :, None] / self.noise)[:, :, 0].T
        mirrored = 2 * weights[:, :1] - weights[:, 1:]
        ends = np.cumsum([len(self.groups[place].prior) for place in places])[:-1]
        parts = dict(
            zip(places, zip(np.split(weights[:, 0], ends), np.split(mirrored, ends), strict=True), strict=True)
        )
        return {place: _Resampled(*parts[place], totals[1:]) for place in wanted}

    def _sums(self, columns: Floats) -> tuple[Floats, Floats, Floats]:
        """Return in each resample the centred sums of products of the columns: of all but the last with each other, with the
        last, and the variance of the last."""
        first, second = np.triu_indices(columns.shape[1])
        products = np.zeros((len(self.times), len(first)))
        for start in range(0, len(columns), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            products += self.times[:, rows] @ (columns[rows][:, first] * columns[rows][:, second])
        sums = self.times @ columns
        products -= sums[:, first] * sums[:, second] / len(columns)
        whole = np.empty((len(self.times), columns.shape[1], columns.shape[1]))
        whole[:, first, second] = whole[:, second, first] = products
        return whole[:, :-1, :-1], whole[:, :-1, -1], whole[:, -1, -1] / len(columns)


def _share(share: float, resampled: _Resampled, measure: float) -> Share:
    """Return a share with its interval. Its upper end is never below what noise alone would hide, even by good luck."""
    deviations = resampled.mirrored - resampled.fitted[:, None]
    noise = float(
        np.median((deviations**2).sum(axis=0))
    )  # not the mean, which a few odd resamples of few trials decide
    totals = np.maximum(resampled.totals, 1e-300) / measure
    low, high = np.quantile(((resampled.mirrored**2).sum(axis=0) - 2 * noise) / totals, INTERVAL)
    hidden = np.quantile(((deviations**2).sum(axis=0) - noise) / totals, INTERVAL[1])
    low, high = np.clip([low, max(high, hidden)], 0.0, 1.0)
    return Share(share, min(float(low), share), max(float(high), share))


def _effect(feature: Feature, weights: Floats, resampled: _Resampled, share: Share) -> Effect:
    curve = feature.at_points @ weights
    curves = feature.at_points @ resampled.mirrored
    best = int(np.argmax(curve))
    gain = float(curve[best])
    low, high = np.quantile(curves[best], INTERVAL)
    worse = (curves < curves[best]).mean(axis=1)
    return Effect(share, Share(gain, min(float(low), gain), max(float(high), gain)), curve, worse, curves)
