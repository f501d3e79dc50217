"""Which engine trains a trial. Importing this imports no PyTorch; making an engine does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tune_mlp.engines.check import no_jit, not_compiled
from tune_mlp.engines.compiled.cache import is_compiled, jit_is_disabled
from tune_mlp.errors import UsageError, did_you_mean
from tune_mlp.imports import large_imports

if TYPE_CHECKING:
    from tune_mlp.data.dataset import Problem
    from tune_mlp.engines.base import Engine


def _eager() -> Engine:
    from tune_mlp.engines.eager.engine import EagerEngine

    return EagerEngine()


def _compiled() -> Engine:
    if jit_is_disabled():  # on this node, whatever the driver's environment said
        raise no_jit()
    from tune_mlp.engines.compiled.engine import CompiledEngine

    return CompiledEngine()


ENGINES: dict[str, Callable[[], Engine]] = {"eager": _eager, "compiled": _compiled}


def engine(name: str) -> Engine:
    """Return the engine of this name."""
    with large_imports():
        return ENGINES[name]()


def load_engine(name: str, problem: Problem | None = None, device: str = "cpu") -> Engine:
    """Return the engine of this name with everything loaded, so that a trial's first epoch takes no longer than its second.

    A worker calls this once, before its first trial: see `Engine.load`.
    """
    found = engine(name)
    found.load(problem, device)
    return found


def must_compile(name: str) -> bool:
    """True if `load_engine` will compile kernels: for tens of seconds, once for a machine and version."""
    return name == "compiled" and not is_compiled()


def choose_engine(wanted: str, gpu: bool = False, eager_only: str = "") -> tuple[str, str]:
    """Return the name of the engine for `auto`, `eager` or `compiled`, and the reason for it.

    `eager_only` names what is asked for that the compiled engine doesn't train, such as `a CNN`.
    """
    if wanted == "auto":
        reasons = {
            f"only it offers {eager_only}": bool(eager_only),
            "it can use a GPU": gpu,
            "NUMBA_DISABLE_JIT switches the compiled one off": jit_is_disabled(),
        }
        reason = next((reason for reason, holds in reasons.items() if holds), "")
        return ("eager", reason) if reason else ("compiled", "the fastest for an MLP on a CPU")
    if wanted not in ENGINES:
        raise UsageError(f"engine: unknown name {wanted!r}{did_you_mean(wanted, ['auto', *ENGINES])}")
    if wanted == "compiled" and gpu:
        raise UsageError("engine: compiled trains on a CPU, and resources ask for a GPU; use auto or eager, or gpu: 0")
    if wanted == "compiled" and eager_only:
        raise not_compiled(eager_only)
    if wanted == "compiled" and jit_is_disabled():
        raise no_jit()
    return wanted, "asked for"
