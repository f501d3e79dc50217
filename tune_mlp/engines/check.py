"""Refusals at the start of a run, in one line each: what can't be trained, and what an engine doesn't train."""

from __future__ import annotations

from tune_mlp.config import REGRESSION_LOSSES, TrialConfig, eager_only
from tune_mlp.data.dataset import Dataset
from tune_mlp.errors import UsageError
from tune_mlp.models.pictures import check_model


def check_start(config: TrialConfig, dataset: Dataset) -> None:
    """Refuse what no engine trains."""
    if dataset.task == "regression" and config.loss not in REGRESSION_LOSSES:
        raise UsageError(
            f"loss: regression needs one of {', '.join(REGRESSION_LOSSES)}, got {config.loss} on {dataset.name}"
        )
    if dataset.task == "regression" and config.class_weight != "none":
        raise UsageError(f"class_weight: regression has no classes, got {config.class_weight} on {dataset.name}")
    check_model(config, dataset)


def check_compiled(config: TrialConfig) -> None:
    """Refuse what the compiled engine doesn't train. `choose_engine` has refused it before, unless it wasn't asked."""
    reason = eager_only(config)
    if reason:
        raise not_compiled(reason)


def not_compiled(reason: str) -> UsageError:
    """Return the error that says what the compiled engine doesn't offer."""
    return UsageError(f"engine: compiled doesn't offer {reason}, only eager does; use auto or eager")


def no_jit() -> UsageError:
    """Return the error that says why there is no compiled engine here."""
    return UsageError(
        "engine: compiled needs numba's compiler, and NUMBA_DISABLE_JIT is set, which switches it off; "
        "unset it, or use auto or eager"
    )
