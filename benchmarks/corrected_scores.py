"""The winner's validation score on MNIST, as measured and corrected for having been picked, beside its score on the test part."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.tables import Table, Target
from tune_mlp.data.sources import load_dataset
from tune_mlp.data.split import make_problem
from tune_mlp.engines.choose import choose_engine, load_engine
from tune_mlp.insight.paired import around
from tune_mlp.insight.picked import corrected_score
from tune_mlp.insight.samples import RIGHT, SampleScores
from tune_mlp.seeds import trial_seed
from tune_mlp.space.space import to_config
from tune_mlp.study.study import Study
from tune_mlp.training.job import TrainJob
from tune_mlp.training.trainer import Trainer

STUDIES = 10
STUDY: dict[str, Any] = {
    "name": "corrected",
    "data": {"name": "mnist", "samples": 6000, "validation": 0.33333},
    "space": {
        "lr": {"log": [0.003, 0.3]},
        "batch_size": {"choice": [16, 32, 64]},
        "depth": {"int": [1, 2]},
        "width": {"choice": [32, 64, 128]},
        "activation": {"choice": ["relu", "gelu", "tanh"]},
        "dropout": {"choice": [0.0, 0.2]},
    },
    "trials": 40,
    "epochs": 4,
    "search": "random",
    "scheduler": "fifo",
}
"""A study of 4,000 samples to train on and 2,000 to validate. Small parts make luck large."""


def _searched(seed: int) -> tuple[SampleScores, NDArray[np.float64]]:
    """Train the trials of one study as a search does, without Ray; return their scores, best first, and their test accuracies."""
    study = Study.model_validate({**STUDY, "seed": seed})
    dataset = load_dataset(study.data, None, None, say=_silent)
    bound = study.bound(dataset.task)
    problem = make_problem(dataset, bound.data, bound.seed)
    engine = load_engine(choose_engine("auto", gpu=False, eager_only="")[0])
    metric, mode = bound.ranking
    trainers: list[Trainer] = []
    for number, params in zip(range(study.number_of_trials), study.draws(), strict=False):
        job = TrainJob(to_config(params), problem, engine, trial_seed(seed, number), metric, mode, bound.epochs)
        trainer = Trainer(job)
        trainer.step(bound.epochs)
        if not trainer.diverged:
            trainers.append(trainer)
    trainers.sort(key=lambda trainer: (-trainer.best_metrics[metric], trainer.best_metrics["val_loss"]))
    values = np.stack([trainer.best_outcomes[0] for trainer in trainers if trainer.best_outcomes is not None])
    scores = SampleScores(RIGHT, np.arange(len(trainers)), values.astype(np.float32), 1)
    return scores, np.array([trainer.test()["test_accuracy"] for trainer in trainers])


def _silent(line: str, style: str = "") -> None:
    """Show nothing."""


def measure(studies: int = STUDIES) -> Table:
    """Search `studies` times, each with a split, draws and weights of its own."""
    table = Table(
        f"The winner's accuracy on MNIST in {studies} studies of {STUDY['trials']} trials",
        ["study", "measured", "corrected", "95 % interval", "test", "shift", "measured: error", "corrected: error"],
        notes=[
            "4,000 samples to train on, 2,000 to validate, 10,000 to test; random search, 4 epochs a trial. Shift and errors are in points.",
            "The shift is what all trials together score better on the validation part than on the test part, whose writers are others: "
            "the luck of the split. An error is the score less the winner's on the test part, less the shift: the luck of the pick.",
        ],
    )
    errors: list[tuple[float, float]] = []
    shifts: list[float] = []
    for seed in range(studies):
        scores, tested = _searched(seed)
        measured, corrected, test = float(scores.scores[0]), corrected_score(scores, seed), float(tested[0])
        low, high = around(scores, 0, corrected)
        shifts.append(100 * float((scores.scores - tested).mean()))
        errors.append((100 * (measured - test) - shifts[-1], 100 * (corrected - test) - shifts[-1]))
        figures = [
            f"{measured:.4f}",
            f"{corrected:.4f}",
            f"{low:.4f} to {high:.4f}",
            f"{test:.4f}",
            f"{shifts[-1]:+.2f}",
        ]
        table.rows.append([str(seed), *figures, *(f"{error:+.2f}" for error in errors[-1])])
    measured_error, corrected_error = np.mean(errors, axis=0)
    means = [f"{mean:+.2f}" for mean in (np.mean(shifts), measured_error, corrected_error)]
    table.rows.append(["mean", "", "", "", "", *means])
    nearer = bool(abs(corrected_error) < abs(measured_error))
    table.targets.append(
        Target("in the mean, the corrected score is nearer to the truth than the measured one", nearer)
    )
    return table
