"""Scores that a study may ask for beside the usual ones, each equal to scikit-learn's; they need all answers at once.

scikit-learn's own functions would cost each worker a second for their import, and check their arguments in each epoch anew.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tune_mlp.config import REGRESSION_LOSSES
from tune_mlp.records import FURTHER_SCORES

Floats = NDArray[np.float64]


class ClassAnswers(NamedTuple):
    """The answers for some samples whose classes are known."""

    wanted: NDArray[np.int64]
    """[samples]: the classes."""
    found: NDArray[np.int64]
    """[samples]: the classes that were answered."""
    probabilities: Floats
    """[samples, classes]."""


def balanced_accuracy(answers: ClassAnswers) -> float:
    """Return the mean over the classes of the share of a class's samples that were answered rightly."""
    wanted, _, right = _counts(answers)
    there = wanted > 0
    return float((right[there] / wanted[there]).mean())


def macro_f1(answers: ClassAnswers) -> float:
    """Return the mean over the classes of F1; a class that neither is wanted nor answered isn't counted."""
    wanted, found, right = _counts(answers)
    either = wanted + found
    there = either > 0
    return float((2 * right[there] / either[there]).mean())


def log_loss(answers: ClassAnswers) -> float:
    """Return the mean negative logarithm of the probability that the right class was given."""
    given = answers.probabilities[np.arange(len(answers.wanted)), answers.wanted]
    smallest = np.finfo(np.float64).eps
    return -float(np.log(np.clip(given, smallest, 1 - smallest)).mean())


def roc_auc(answers: ClassAnswers) -> float:
    """Return the area under the ROC curve: of the second of two classes, or the mean of each class against the rest.

    A class without samples, or without samples of other classes, has none. Where no class has one it is 0.5, as guessing
    would give, so that the score is always finite.
    """
    classes = answers.probabilities.shape[1]
    areas = [
        area
        for place in ((1,) if classes == 2 else range(classes))
        if math.isfinite(area := _area(answers.probabilities[:, place], answers.wanted == place))
    ]
    return math.fsum(areas) / len(areas) if areas else 0.5


def mean_absolute_error(wanted: Floats, found: Floats) -> float:
    """Return the mean over samples and outputs of the absolute difference."""
    return float(np.abs(wanted - found).mean())


CLASS_SCORES: dict[str, Callable[[ClassAnswers], float]] = {
    "balanced_accuracy": balanced_accuracy,
    "macro_f1": macro_f1,
    "roc_auc": roc_auc,
    "log_loss": log_loss,
}
NUMBER_SCORES: dict[str, Callable[[Floats, Floats], float]] = {"mae": mean_absolute_error}
assert (*CLASS_SCORES,) == FURTHER_SCORES["classification"]
assert (*NUMBER_SCORES,) == FURTHER_SCORES["regression"]


def score_classes(names: Sequence[str], answers: ClassAnswers) -> dict[str, float]:
    """Return these scores of classes by name."""
    return {name: CLASS_SCORES[name](answers) for name in names}


def score_numbers(names: Sequence[str], wanted: Floats, found: Floats) -> dict[str, float]:
    """Return these scores of numbers [samples, outputs] by name."""
    return {name: NUMBER_SCORES[name](wanted, found) for name in names}


def probabilities(outputs: NDArray[Any], loss: str) -> Floats:
    """Return each class's probability from a net's outputs [samples, classes], as the loss of its training means them."""
    numbers = outputs.astype(np.float64)
    if loss in REGRESSION_LOSSES:  # trained on 0 and 1 for each class
        shares = np.clip(numbers, 1e-9, None)
    else:
        shares = np.exp(numbers - numbers.max(axis=1, keepdims=True, initial=-np.inf))
    found: Floats = shares / shares.sum(axis=1, keepdims=True)
    return found


def _counts(answers: ClassAnswers) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return how often each class is wanted, answered, and answered rightly."""
    classes = answers.probabilities.shape[1]
    right = answers.wanted[answers.wanted == answers.found]
    wanted, found, both = (
        np.bincount(numbers, minlength=classes) for numbers in (answers.wanted, answers.found, right)
    )
    return wanted, found, both


def _area(given: Floats, belongs: NDArray[np.bool_]) -> float:
    """Return the share of pairs of a sample of a class and another one in which it has the higher probability."""
    inside = int(np.count_nonzero(belongs))
    outside = len(belongs) - inside
    if not inside or not outside:
        return math.nan
    order = np.sort(given[~belongs])
    below = np.searchsorted(order, given[belongs], side="left")
    not_above = np.searchsorted(order, given[belongs], side="right")
    return float((below + not_above).sum(dtype=np.float64) / 2 / inside / outside)
