"""Which engine trains a trial. Importing this imports no PyTorch; making an engine does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tune_mlp.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from tune_mlp.engines.base import Engine


def _eager() -> Engine:
    from tune_mlp.engines.eager.engine import EagerEngine

    return EagerEngine()


ENGINES: dict[str, Callable[[], Engine]] = {"eager": _eager}


def engine(name: str) -> Engine:
    return ENGINES[name]()


def choose_engine(wanted: str) -> tuple[str, str]:
    """The engine's name, and why it is that one, for `auto`, `eager` or `compiled`."""
    if wanted == "auto":
        return "eager", "the only engine in this version"
    if wanted in ENGINES:
        return wanted, "asked for"
    if wanted == "compiled":
        raise UsageError("engine compiled isn't in this version; use auto or eager")
    raise UsageError(f"engine: unknown name {wanted!r}{did_you_mean(wanted, ['auto', *ENGINES])}")
