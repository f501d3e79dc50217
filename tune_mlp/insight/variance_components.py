"""Variance components: how much of a response's variance each group of functions carries, with shrinkage towards none.

The model is a sum of groups, each a linear combination of its functions with weights drawn from a normal distribution of
the group's own variance, plus noise. The variances are those that make the responses most likely (MacKay 1992, "Bayesian
Interpolation", the fixed-point equations of type-II maximum likelihood). A group without evidence gets the variance 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STEPS = 60
"""The largest number of steps of the fixed-point equations."""
NONE = 1e-8
"""A group whose variance falls below this share of the response's is left out."""


@dataclass(frozen=True)
class Group:
    """Functions that belong together, such as those of one parameter."""

    columns: Floats
    """[trials, functions]"""
    prior: Floats
    """The share of the group's variance that each function is expected to have."""


@dataclass(frozen=True)
class Components:
    """The fitted model. Weights, and their covariance, are of the centred functions, group after group."""

    weights: Floats
    covariance: Floats
    noise: float
    """The variance of the noise."""
    variances: Floats
    """The variance of each group's weights, before the prior shares it out; 0 where the group was left out."""
    group_of: NDArray[np.int64]
    """The place of each weight's group."""

    def by_group(self, values: Floats) -> Floats:
        """Sum a value for each weight over the weights of each group."""
        return np.asarray(np.bincount(self.group_of, values, minlength=len(self.variances)), np.float64)


def fit(groups: Sequence[Group], response: Floats) -> Components:
    """Fit the model to centred responses."""
    columns = np.column_stack([group.columns for group in groups])
    prior = np.concatenate([group.prior for group in groups])
    group_of = np.repeat(np.arange(len(groups)), [len(group.prior) for group in groups])
    columns = columns - columns.mean(axis=0)
    response = response - response.mean()
    gram, moments, total = columns.T @ columns, columns.T @ response, float(response @ response)
    count = len(response)
    noise = total / count / 2
    variances = np.full(len(groups), total / count / len(groups))
    weights, covariance = np.zeros(len(prior)), np.zeros((len(prior), len(prior)))
    for _ in range(STEPS):
        kept = np.flatnonzero(variances[group_of] > 0)
        before, noise_before = variances, noise
        scale = np.sqrt(prior[kept] * variances[group_of[kept]])
        inner = scale[:, None] * gram[np.ix_(kept, kept)] * scale / noise
        inner[np.diag_indices_from(inner)] += 1.0
        part = scale[:, None] * np.linalg.inv(inner) * scale
        weights, covariance = np.zeros(len(prior)), np.zeros((len(prior), len(prior)))
        weights[kept] = part @ moments[kept] / noise
        covariance[np.ix_(kept, kept)] = part
        spread = np.diag(covariance)
        determined = np.zeros(len(prior))
        determined[kept] = 1.0 - spread[kept] / scale**2
        squares = np.bincount(group_of, weights**2 / prior, minlength=len(groups))
        free = np.bincount(group_of, determined, minlength=len(groups))
        variances = np.where(before > 0, squares / np.maximum(free, 1e-12), 0.0)
        # The fixed point may be far: a step of expectation maximisation, which is never too long, limits it.
        mean_squares = np.bincount(group_of, (weights**2 + spread) / prior, minlength=len(groups))
        variances = np.minimum(variances, 4 * mean_squares / np.bincount(group_of))
        variances[variances < NONE * total / count] = 0.0
        residual = total - 2 * weights @ moments + weights @ gram @ weights
        noise = max(residual / max(count - 1 - determined.sum(), 1.0), 1e-10 * total / count)
        changed = np.abs(np.log(np.maximum(variances, 1e-300)) - np.log(np.maximum(before, 1e-300)))
        if (changed < 1e-2).all() and abs(np.log(noise / noise_before)) < 1e-3:
            break
    return Components(weights, covariance, float(noise), variances, group_of)
