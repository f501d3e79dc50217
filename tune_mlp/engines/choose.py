"""Which engine trains a trial. Importing this imports no PyTorch; making an engine does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tune_mlp.engines.check import not_compiled
from tune_mlp.errors import UsageError, did_you_mean
from tune_mlp.imports import large_imports

if TYPE_CHECKING:
    from tune_mlp.engines.base import Engine


def _eager() -> Engine:
    from tune_mlp.engines.eager.engine import EagerEngine

    return EagerEngine()


def _compiled() -> Engine:
    from tune_mlp.engines.compiled.engine import CompiledEngine

    return CompiledEngine()


ENGINES: dict[str, Callable[[], Engine]] = {"eager": _eager, "compiled": _compiled}


def engine(name: str) -> Engine:
    with large_imports():
        return ENGINES[name]()


def warm(name: str) -> None:
    """Import what the engine needs, and load its kernels where they are compiled."""
    from tune_mlp.engines.compiled.cache import is_compiled

    engine(name)
    if name == "compiled" and is_compiled():
        from tune_mlp.engines.compiled.load import load_kernels

        load_kernels()


def choose_engine(wanted: str, gpu: bool = False, eager_only: str = "") -> tuple[str, str]:
    """The engine's name, and why it is that one, for `auto`, `eager` or `compiled`; `eager_only` is what is asked for that
    the compiled engine doesn't train, such as `a CNN`."""
    if wanted == "auto" and eager_only:
        return "eager", f"only it offers {eager_only}"
    if wanted == "auto":
        return ("eager", "it can use a GPU") if gpu else ("compiled", "the fastest for an MLP on a CPU")
    if wanted not in ENGINES:
        raise UsageError(f"engine: unknown name {wanted!r}{did_you_mean(wanted, ['auto', *ENGINES])}")
    if wanted == "compiled" and gpu:
        raise UsageError("engine: compiled trains on a CPU, and resources ask for a GPU; use auto or eager, or gpu: 0")
    if wanted == "compiled" and eager_only:
        raise not_compiled(eager_only)
    return wanted, "asked for"
