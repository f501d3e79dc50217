"""scikit-learn's MLPClassifier, an epoch at a time by `partial_fit`. It has neither dropout nor batch normalisation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray
from sklearn.neural_network import MLPClassifier

from tune_mlp.config import Adam, Sgd, TrialConfig


def can(config: TrialConfig) -> bool:
    """Can MLPClassifier train this net?"""
    return not config.batch_norm and config.dropout == 0


def build_classifier(config: TrialConfig) -> MLPClassifier:
    """Return a classifier with the config's net and steps, and without the settings that MLPClassifier adds by default."""
    settings: dict[str, Any] = {
        "hidden_layer_sizes": config.hidden,
        "activation": "relu",
        "alpha": config.weight_decay,
        "batch_size": config.batch_size,
        "learning_rate_init": config.lr,
        "shuffle": True,
        "random_state": 0,
    }
    if isinstance(config.optimizer, Adam):
        return MLPClassifier(solver="adam", **settings)
    assert isinstance(config.optimizer, Sgd)
    momentum = config.optimizer.momentum
    return MLPClassifier(
        solver="sgd", momentum=momentum, nesterovs_momentum=False, learning_rate="constant", **settings
    )


def make(x: NDArray[Any], y: NDArray[Any], config: TrialConfig) -> Callable[[], float]:
    """Return a function that trains one more epoch on x float32 [n, features] and y int64 [n], and returns its loss."""
    assert config.loss == "cross_entropy"
    assert config.activation == "relu"
    classifier = build_classifier(config)

    def epoch() -> float:
        classifier.partial_fit(x, y, classes=list(range(10)))
        return float(classifier.loss_)

    return epoch
