"""How kernels are compiled: once for a machine and version, and kept on disk wherever that is possible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numpy.typing import NDArray

from tune_mlp.engines.compiled.cache import cache_folder

Function = Callable[..., Any]
LINE = 64
"""The number of bytes in a line of the processor's cache."""

# Sums may be reordered, which vectorises them; NaN and infinity keep their meaning, since divergence shows by them. Without
# numba's runtime nothing is allocated, and no array's references are counted, by locked instructions, at each slice of it.
OPTIONS = {"fastmath": {"reassoc", "contract", "nsz", "arcp"}, "nogil": True, "error_model": "numpy", "_nrt": False}


def aligned(count: int) -> NDArray[np.float32]:
    """Return room for `count` numbers that begins at a line of the cache, as NumPy's own arrays may not."""
    room = np.empty(count + LINE // 4, np.float32)
    start = -room.ctypes.data % LINE // 4
    return room[start : start + count]


def kernel(function: Function) -> Function:
    """Compile a function for one thread, without the interpreter, and keep the result on disk."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(
        cache_folder()
    )  # read when a function is decorated; others' caches stay where they are
    try:
        compiled: Function = numba.njit(cache=True, no_cfunc_wrapper=True, **OPTIONS)(function)
    finally:
        numba.config.CACHE_DIR = before
    return compiled


class _Apart(CompilerBase):  # type: ignore[misc]  # numba ships no types
    """numba's compiler, with a flag that says that a function's arrays don't overlap, for which numba has no option."""

    def define_pipelines(self) -> list[Any]:
        self.state.flags.noalias = True
        return [DefaultPassBuilder.define_nopython_pipeline(self.state)]


def inline(function: Function) -> Function:
    """Compile a part of a kernel, which is always inlined into the kernel.

    A function that stayed a call of its own would run as it was compiled for this kernel when the kernel is loaded from
    disk, and as it was compiled for itself in the process that compiles: sums then came out in another order.

    Its arrays must not overlap where it writes. So a loop needs no test for that, which at a batch of 1 took as long as the
    loop. Without wrappers, by which Python could call it, it compiles in two thirds of the time.
    """
    compiled: Function = numba.njit(
        forceinline=True, pipeline_class=_Apart, no_cpython_wrapper=True, no_cfunc_wrapper=True, **OPTIONS
    )(function)
    return compiled


def spliced(function: Function) -> Function:
    """Insert a part of a kernel into numba's own code of the kernel, so that it is never compiled for itself.

    This is for parts that call `multiply`, which would be compiled along with each of them, and for parts that return a view
    of an array, which a function of its own can't.
    """
    compiled: Function = numba.njit(inline="always", **OPTIONS)(function)
    return compiled
