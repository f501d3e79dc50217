"""The model that a TrialConfig describes, by its name."""

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
    """`inputs` numbers a sample, flat; `shape` is `Dataset.shape`, empty where they are no picture."""
    return MODELS[config.model.name](inputs, shape, outputs, config, seed)
