"""What simple answers reach on a problem's own split, so that a search's figures can be judged: no model at all, and a linear one."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune_mlp.data.dataset import Dataset, Fold, Problem
from tune_mlp.engines.further_scores import ClassAnswers, score_classes, score_numbers

MOST_ROWS = 20_000
"""The largest number of training rows that the linear model is fitted to."""
Answer = Callable[[NDArray[Any]], NDArray[np.float64]]
"""Answers for raw samples: each class's probability [n, classes], or numbers [n, outputs] in the target's own unit."""


def measure_baselines(problem: Problem, further: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return a row for each baseline: its name and its scores on the validation and the test part, means over the folds.

    `further` names scores beside those of the task. A linear model is measured on tables only, where it takes seconds at most.
    """
    fits = {"the commonest class" if problem.dataset.task == "classification" else "the mean": _fit_constant}
    if problem.dataset.columns:
        fits["a linear model"] = _fit_linear
    return [{"name": name, **_scores(problem, fit, further)} for name, fit in fits.items()]


def _scores(problem: Problem, fit: Callable[[Dataset, Fold], Answer], further: Sequence[str]) -> dict[str, float]:
    dataset, by_fold = problem.dataset, []
    for fold in problem.folds:
        answer = fit(dataset, fold)
        parts = {"val": (dataset.x[fold.validation], dataset.y[fold.validation])}
        if len(dataset.x_test):
            parts["test"] = dataset.x_test, dataset.y_test
        by_fold.append(
            {
                f"{part}_{name}": score
                for part, (x, wanted) in parts.items()
                for name, score in _score(dataset, answer(x), wanted, further).items()
            }
        )
    return {name: math.fsum(scores[name] for scores in by_fold) / len(by_fold) for name in by_fold[0]}


def _score(
    dataset: Dataset, answers: NDArray[np.float64], wanted: NDArray[Any], further: Sequence[str]
) -> dict[str, float]:
    if dataset.task == "classification":
        found = answers.argmax(axis=1)
        more = score_classes(further, ClassAnswers(wanted.astype(np.int64), found, answers))
        return {"accuracy": float((found == wanted).mean()), **more}
    numbers = wanted.astype(np.float64)
    residual = np.square(answers - numbers)
    spread = np.square(wanted - wanted.mean(axis=0, dtype=np.float64)).mean(axis=0)
    r2 = np.where(spread > 0, 1 - residual.mean(axis=0) / np.where(spread > 0, spread, 1), 0.0)
    more = score_numbers(further, numbers, answers)
    return {"rmse": math.sqrt(float(residual.mean())), "r2": float(r2.mean()), **more}


def _fit_constant(dataset: Dataset, fold: Fold) -> Answer:
    y = dataset.y[fold.train]
    if dataset.task == "classification":  # each class's share, of which the commonest's is largest
        always = np.bincount(y.astype(np.int64), minlength=dataset.outputs) / len(y)
    else:
        always = y.mean(axis=0, dtype=np.float64)
    return lambda samples: np.broadcast_to(always, (len(samples), len(always)))


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

        def probabilities(samples: NDArray[Any]) -> NDArray[np.float64]:
            given = np.zeros((len(samples), dataset.outputs))  # a class may have no sample among these
            given[:, classifier.classes_] = classifier.predict_proba(fold.inputs.apply(samples).astype(np.float64))
            return given

        return probabilities
    regressor = Ridge().fit(x, fold.targets.apply(y))

    def answer(samples: NDArray[Any]) -> NDArray[np.float64]:
        scaled = np.asarray(regressor.predict(fold.inputs.apply(samples).astype(np.float64))).reshape(len(samples), -1)
        return fold.targets.invert(scaled).astype(np.float64)

    return answer
