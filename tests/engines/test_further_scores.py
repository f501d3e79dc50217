"""Further scores are scikit-learn's own, on random answers and as either engine measures them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn import metrics

from tests.builders import config, dataset, problem
from tune_mlp.data.dataset import Problem
from tune_mlp.engines.choose import engine
from tune_mlp.engines.further_scores import ClassAnswers, probabilities, score_classes, score_numbers
from tune_mlp.records import FURTHER_SCORES

CLASS_NAMES, NUMBER_NAMES = FURTHER_SCORES["classification"], FURTHER_SCORES["regression"]


def of_scikit_learn(
    wanted: NDArray[np.int64], found: NDArray[np.int64], given: NDArray[np.float64]
) -> dict[str, float]:
    classes = range(given.shape[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that nobody wanted
        area = (
            metrics.roc_auc_score(wanted, given[:, 1])
            if given.shape[1] == 2
            else metrics.roc_auc_score(wanted, given, multi_class="ovr", labels=classes)
        )
        return {
            "balanced_accuracy": metrics.balanced_accuracy_score(wanted, found),
            "macro_f1": metrics.f1_score(wanted, found, average="macro"),
            "roc_auc": area,
            "log_loss": metrics.log_loss(wanted, given, labels=classes),
        }


def answers(seed: int, classes: int, samples: int, ties: bool) -> ClassAnswers:
    generator = np.random.default_rng(seed)
    outputs = generator.normal(0, 2, (samples, classes))
    wanted = generator.choice(classes, samples, p=generator.dirichlet(np.full(classes, 2.0)))
    outputs[np.arange(samples), wanted] += 1
    given = probabilities(np.round(outputs) if ties else outputs, "cross_entropy")
    return ClassAnswers(wanted, given.argmax(axis=1), given)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("seed", range(5))
def test_scores_of_random_answers_are_scikit_learns(seed: int, classes: int, ties: bool) -> None:
    made = answers(seed, classes, 700, ties)
    assert np.unique(made.wanted).size == classes
    assert score_classes(CLASS_NAMES, made) == pytest.approx(of_scikit_learn(*made), abs=1e-6)


@pytest.mark.parametrize("outputs", [1, 3])
def test_the_mean_absolute_error_is_scikit_learns(outputs: int) -> None:
    wanted, found = np.random.default_rng(0).normal(1e3, 50, (2, 400, outputs))
    assert score_numbers(NUMBER_NAMES, wanted, found) == pytest.approx(
        {"mae": metrics.mean_absolute_error(wanted, found)}, abs=1e-6
    )


def test_a_class_that_never_occurs_counts_in_no_score() -> None:
    made = answers(0, 4, 300, ties=False)
    wanted = np.where(made.wanted == 3, 0, made.wanted)
    theirs = of_scikit_learn(wanted, made.found, made.probabilities)
    ours = score_classes(CLASS_NAMES, made._replace(wanted=wanted))
    assert {name: ours[name] for name in ours if name != "roc_auc"} == pytest.approx(
        {name: theirs[name] for name in theirs if name != "roc_auc"}, abs=1e-6
    )
    there = [metrics.roc_auc_score(wanted == place, made.probabilities[:, place]) for place in range(3)]
    assert ours["roc_auc"] == pytest.approx(np.mean(there), abs=1e-9)


@pytest.mark.parametrize("classes", [2, 3])
def test_answers_of_one_class_alone_have_finite_scores(classes: int) -> None:
    wanted, given = np.zeros(5, np.int64), np.full((5, classes), 1 / classes)
    scores = score_classes(CLASS_NAMES, ClassAnswers(wanted, wanted, given))
    assert scores == {
        "balanced_accuracy": 1.0,
        "macro_f1": 1.0,
        "roc_auc": 0.5,
        "log_loss": pytest.approx(np.log(classes)),
    }


def test_a_certain_wrong_answer_has_a_finite_log_loss() -> None:
    given = probabilities(np.float32([[1000.0, 0.0]]), "cross_entropy")
    made = ClassAnswers(np.array([1]), np.array([0]), given)
    assert score_classes(["log_loss"], made)["log_loss"] == pytest.approx(metrics.log_loss([1], given, labels=[0, 1]))


@pytest.fixture(scope="module", params=["classification", "regression"])
def on(request: pytest.FixtureRequest) -> Problem:
    return problem(data=dataset(request.param, n=300))


@pytest.mark.parametrize("name", ["eager", "compiled"])
@pytest.mark.parametrize("loss", ["cross_entropy", "multi_margin", "mse"])
def test_an_engine_measures_what_scikit_learn_does_of_its_outputs(name: str, loss: str, on: Problem) -> None:
    data, fold = on.dataset, on.folds[0]
    further = FURTHER_SCORES[data.task]
    trial = config(loss=loss if data.task == "classification" else "mse")
    run = engine(name).start(trial, on, 0, 3)
    run.train_epoch(1)
    usual = run.evaluate(data.x, data.y, fold.validation)
    scores = run.evaluate(data.x, data.y, fold.validation, further)
    assert scores.items() >= usual.items()
    assert list(scores)[-len(further) :] == list(further)
    with torch.no_grad():
        outputs = run.module().eval()(torch.from_numpy(fold.inputs.apply(data.x[fold.validation]))).numpy()
    wanted = data.y[fold.validation]
    if data.task == "regression":
        found = fold.targets.invert(outputs)
        theirs = {"mae": metrics.mean_absolute_error(wanted, found)}
    else:
        theirs = of_scikit_learn(wanted, outputs.argmax(axis=1), probabilities(outputs, loss))
    assert {score: scores[score] for score in further} == pytest.approx(theirs, rel=1e-5)


@pytest.mark.parametrize("name", ["eager", "compiled"])
def test_a_run_that_diverged_has_no_further_score_either(name: str, on: Problem) -> None:
    run = engine(name).start(config(lr=1e30, loss="mse"), on, 0, 0)
    for epoch in (1, 2):
        run.train_epoch(epoch)
    further = FURTHER_SCORES[on.dataset.task]
    scores = run.evaluate(on.dataset.x, on.dataset.y, further=further)
    assert all(np.isnan(scores[score]) for score in further)
