"""The description of a trained model: all that its inputs and its outputs need where the model is used, in plain values."""

from __future__ import annotations

from typing import Any

from tune_mlp.config import TrialConfig
from tune_mlp.data.dataset import Dataset, Fold
from tune_mlp.data.encoder import TableEncoder
from tune_mlp.data_settings import DataSettings


def describe_model(
    config: TrialConfig, dataset: Dataset, fold: Fold, settings: DataSettings, nets: int = 1
) -> dict[str, Any]:
    """Return what `best/trial.json` says of a model that was trained on a fold, whichever run it comes from.

    The model is one net, or the average of several.
    """
    features = fold.inputs.features if isinstance(fold.inputs, TableEncoder) else dataset.features
    regression = dataset.task == "regression"
    return {
        "config": config.model_dump(),
        "nets": nets,
        "inputs": len(features) if features else int(dataset.x.shape[1]),
        "shape": list(dataset.shape),
        "outputs": dataset.outputs,
        "classes": list(dataset.classes),
        "features": list(features),
        "dataset": dataset.name,
        "stand_in_for": dataset.stand_in_for,
        "normalize": fold.inputs.describe(),
        "na_values": settings.na_values,
        "csv": settings.csv.model_dump(),
        "target": {"mean": fold.targets.mean.tolist(), "std": fold.targets.std.tolist()} if regression else None,
    }
