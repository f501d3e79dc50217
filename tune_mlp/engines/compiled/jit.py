"""How kernels are compiled: once a machine and version, kept on disk wherever that is possible."""

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
"""Bytes in a line of the cache."""

# Sums may be reordered, which vectorises them; NaN and infinity keep their meaning, since divergence shows by them. Without
# numba's runtime nothing is allocated, and no array's references are counted, by locked instructions, at each slice of it.
OPTIONS = {"fastmath": {"reassoc", "contract", "nsz", "arcp"}, "nogil": True, "error_model": "numpy", "_nrt": False}


def aligned(count: int) -> NDArray[np.float32]:
    """So many numbers to write on; no register's worth of them lies across two lines of the cache, as NumPy's own may."""
    room = np.empty(count + LINE // 4, np.float32)
    start = -room.ctypes.data % LINE // 4
    return room[start : start + count]


def kernel(function: Function) -> Function:
    """Compile for one thread, without the interpreter, and keep the result on disk."""
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
    """numba's own compiler, told that a function's arrays don't overlap. It knows the flag, and has no option for it."""

    def define_pipelines(self) -> list[Any]:
        self.state.flags.noalias = True
        return [DefaultPassBuilder.define_nopython_pipeline(self.state)]


def inline(function: Function) -> Function:
    """A part of a kernel, compiled into it for certain: a function that stays a call of its own runs as it was compiled
    for this kernel when the kernel is loaded from disk, and as compiled for itself in the process that compiles. Sums
    then came out in another order.

    Its arrays must not overlap where it writes: a loop then needs no test for that, which at a batch of 1 took as long as
    the loop.
    """
    compiled: Function = numba.njit(
        forceinline=True, pipeline_class=_Apart, no_cpython_wrapper=True, no_cfunc_wrapper=True, **OPTIONS
    )(function)
    return compiled


def spliced(function: Function) -> Function:
    """A part of a kernel as if written there, never compiled for itself: for what calls the functions made of vector
    instructions, which would be compiled along with each part."""
    compiled: Function = numba.njit(inline="always", **OPTIONS)(function)
    return compiled
