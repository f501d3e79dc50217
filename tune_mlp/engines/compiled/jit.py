"""How kernels are compiled: once a machine and version, kept on disk wherever that is possible."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

Function = Callable[..., Any]


def _cache_folder() -> str:
    """The user's cache folder, or a temporary one where the home is read-only. It is named after the sources: numba
    itself looks only at the file of the function that is called, and not at those that went into it."""
    sources = hashlib.blake2b(digest_size=8)
    for path in sorted(Path(__file__).parent.glob("*.py")):
        sources.update(path.read_bytes())
    name = f"kernels-{sources.hexdigest()}"
    for folder in (user_cache_path("tune-mlp") / name, Path(tempfile.gettempdir()) / f"tune-mlp-{os.getuid()}" / name):
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if folder.stat().st_uid != os.getuid():
                continue  # somebody else's: compiled code is loaded from it
            with tempfile.TemporaryFile(dir=folder):
                return str(folder)
        except (OSError, RuntimeError):  # RuntimeError: no home at all
            continue
    return tempfile.mkdtemp(prefix="tune-mlp-")


os.environ.setdefault("NUMBA_CACHE_DIR", _cache_folder())  # read by numba when it is imported

import numba  # noqa: E402  # after its cache folder is known

# Sums may be reordered, which vectorises them; NaN and infinity keep their meaning, since divergence shows by them.
FAST = {"reassoc", "contract", "nsz", "arcp"}


def kernel(function: Function) -> Function:
    """Compile for one thread, without the interpreter, and keep the result on disk."""
    compiled: Function = numba.njit(cache=True, fastmath=FAST, nogil=True, error_model="numpy")(function)
    return compiled


def inline(function: Function) -> Function:
    """A part of a kernel, compiled into it."""
    compiled: Function = numba.njit(fastmath=FAST, nogil=True, error_model="numpy")(function)
    return compiled
