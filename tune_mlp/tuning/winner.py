"""The winner: its best weights, tested once on the test part, and saved as plain PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tune_mlp.data.dataset import Problem
from tune_mlp.engines.choose import engine as engine_named
from tune_mlp.errors import RunError
from tune_mlp.records import metric_names
from tune_mlp.results.results import Results
from tune_mlp.space.domains import as_value
from tune_mlp.space.space import to_config
from tune_mlp.training import checkpoint
from tune_mlp.training.trainer import test_weights
from tune_mlp.tuning.folder import CHECKPOINTS
from tune_mlp.tuning.trainable import weights_file


def save_winner(results: Results, problem: Problem, engine: str, run: Path) -> dict[str, float]:
    """Write best/model.pt and best/trial.json; returns the test scores, empty where there is no test part. With several
    folds the scores are the folds' mean, and the model is the fold's that validated first."""
    best = results.best
    assert best is not None
    trial = int(best["trial"])
    path = weights_file(run / CHECKPOINTS, trial)
    if not path.exists():
        raise RunError(f"the winner's weights are missing: trial {trial} left none in {path.parent}")
    kept = checkpoint.load(path)
    if kept["epoch"] != best["best_epoch"]:
        raise RunError(f"the winner's weights are of epoch {kept['epoch']}, and its best is {best['best_epoch']}")
    weights: list[dict[str, Any]] = kept["folds"]
    params = {path: as_value(value) for path, value in results.params[trial].items()}
    config = to_config(params)
    scores = test_weights(config, problem, engine_named(engine), weights)
    dataset, fold = problem.dataset, problem.folds[0]
    regression = dataset.task == "regression"
    checkpoint.save_model(
        run / "best",
        weights[0],
        {
            "trial": trial,
            "params": params,
            "config": config.model_dump(),
            "inputs": int(dataset.x.shape[1]),
            "outputs": dataset.outputs,
            "classes": list(dataset.classes),
            "features": list(dataset.features),
            "dataset": dataset.name,
            "stand_in_for": dataset.stand_in_for,
            "epoch": int(best["best_epoch"]),
            "metrics": {name: best[f"best_{name}"] for name in metric_names(dataset.task, "val")},
            "test": scores,
            "normalize": fold.inputs.describe(),
            "target": {"mean": fold.targets.mean.tolist(), "std": fold.targets.std.tolist()} if regression else None,
        },
    )
    return scores
