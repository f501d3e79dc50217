"""Build the model that a TrialConfig names."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from tune_mlp.config import TrialConfig
from tune_mlp.models.cnn import build_cnn
from tune_mlp.models.mlp import build_mlp

Build = Callable[[int, tuple[int, ...], int, TrialConfig, int], nn.Sequential]

MODELS: dict[str, Build] = {
    "mlp": lambda inputs, shape, outputs, config, seed: build_mlp(inputs, outputs, config, seed),
    "cnn": lambda inputs, shape, outputs, config, seed: build_cnn(shape, outputs, config, seed),
}


def build_model(inputs: int, shape: tuple[int, ...], outputs: int, config: TrialConfig, seed: int) -> nn.Sequential:
    """Build a model of `inputs` numbers a sample; `shape` is `Dataset.shape`, which is empty where samples aren't pictures."""
    return MODELS[config.model.name](inputs, shape, outputs, config, seed)
