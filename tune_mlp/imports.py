"""Importing large packages. While they make their objects, Python looks for garbage among them again and again; there is
none, and without that an import of Ray Tune or PyTorch takes a fifth less."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def large_imports() -> Iterator[None]:
    """For the imports within."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
