"""Importing large packages, ahead of their use and without looking for garbage.

While they make their objects, Python looks for garbage among them again and again; there is none, and without that an import
of Ray Tune or PyTorch takes a fifth less.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import threading
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


def import_ahead(*modules: str) -> threading.Thread:
    """What is needed next, while the disk or other processes are waited for. An import that fails is tried again by whoever
    needs it."""

    def go() -> None:
        with contextlib.suppress(Exception), large_imports():
            for module in modules:
                importlib.import_module(module)

    thread = threading.Thread(target=go)  # no daemon: a process that ends would pull a half-made package from under it
    thread.start()
    return thread
