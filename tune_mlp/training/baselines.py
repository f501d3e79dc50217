"""What simple answers reach on a problem's own split, so that a search's figures can be judged: no model at all, and a linear one."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune_mlp.data.dataset import Dataset, Fold, Problem

MOST_ROWS = 20_000
"""The largest number of training rows that the linear model is fitted to."""
Answer = Callable[[NDArray[Any]], NDArray[Any]]
"""Answers for raw samples: class numbers [n], or numbers [n, outputs] in the target's own unit."""


def measure_baselines(problem: Problem) -> list[dict[str, Any]]:
    """Return a row for each baseline: its name and its scores on the validation and the test part, means over the folds.

    A linear model is measured on tables only, where it takes seconds at most.
    """
    fits = {"the commonest class" if problem.dataset.task == "classification" else "the mean": _fit_constant}
    if problem.dataset.columns:
        fits["a linear model"] = _fit_linear
    return [{"name": name, **_scores(problem, fit)} for name, fit in fits.items()]


def _scores(problem: Problem, fit: Callable[[Dataset, Fold], Answer]) -> dict[str, float]:
    dataset, by_fold = problem.dataset, []
    for fold in problem.folds:
        answer = fit(dataset, fold)
        scores = _score("val", dataset, answer(dataset.x[fold.validation]), dataset.y[fold.validation])
        if len(dataset.x_test):
            scores |= _score("test", dataset, answer(dataset.x_test), dataset.y_test)
        by_fold.append(scores)
    return {name: math.fsum(scores[name] for scores in by_fold) / len(by_fold) for name in by_fold[0]}


def _score(part: str, dataset: Dataset, answers: NDArray[Any], wanted: NDArray[Any]) -> dict[str, float]:
    if dataset.task == "classification":
        return {f"{part}_accuracy": float((answers == wanted).mean())}
    residual = np.square(answers - wanted.astype(np.float64))
    spread = np.square(wanted - wanted.mean(axis=0, dtype=np.float64)).mean(axis=0)
    r2 = np.where(spread > 0, 1 - residual.mean(axis=0) / np.where(spread > 0, spread, 1), 0.0)
    return {f"{part}_rmse": math.sqrt(float(residual.mean())), f"{part}_r2": float(r2.mean())}


def _fit_constant(dataset: Dataset, fold: Fold) -> Answer:
    y = dataset.y[fold.train]
    if dataset.task == "classification":
        commonest = np.bincount(y.astype(np.int64)).argmax()
        return lambda samples: np.full(len(samples), commonest)
    mean = y.mean(axis=0, dtype=np.float64)
    return lambda samples: np.broadcast_to(mean, (len(samples), len(mean)))


def _fit_linear(dataset: Dataset, fold: Fold) -> Answer:
    from sklearn.exceptions import ConvergenceWarning  # scikit-learn's models take over a second to import
    from sklearn.linear_model import LogisticRegression, Ridge

    rows = fold.train
    if len(rows) > MOST_ROWS:
        rows = np.sort(np.random.default_rng(0).choice(rows, MOST_ROWS, replace=False))
    x, y = fold.inputs.apply(dataset.x[rows]).astype(np.float64), dataset.y[rows]
    if dataset.task == "classification":
        if len(np.unique(y)) < 2:
            return _fit_constant(dataset, fold)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # close enough for a comparison
            classifier = LogisticRegression(max_iter=300).fit(x, y)
        return lambda samples: np.asarray(classifier.predict(fold.inputs.apply(samples).astype(np.float64)))
    regressor = Ridge().fit(x, fold.targets.apply(y))

    def answer(samples: NDArray[Any]) -> NDArray[Any]:
        scaled = np.asarray(regressor.predict(fold.inputs.apply(samples).astype(np.float64))).reshape(len(samples), -1)
        return fold.targets.invert(scaled).astype(np.float64)

    return answer
