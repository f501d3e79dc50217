"""Garbage collection that waits, and importing large packages ahead of their use while it does.

An import makes many objects and no garbage, yet the collector looks for garbage again and again. Without it, an import of
Ray Tune or PyTorch takes a fifth less time.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def garbage_waits() -> Iterator[None]:
    """Switch garbage collection off until the end of the block."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


large_imports = garbage_waits
"""The imports inside the block run without garbage collection."""


def spare_from_collection() -> None:
    """Leave all objects that there are now out of garbage collection for good.

    A process that imported large packages has some hundred thousand, and a collection that looks at them all stops every thread for
    a tenth of a second.
    """
    gc.collect()
    gc.freeze()


_under_way: dict[tuple[str, ...], threading.Thread] = {}


def import_ahead(*modules: str) -> threading.Thread:
    """Import modules in a thread, while the main thread waits for the disk or for other processes. An import that fails is
    tried again where the module is needed.

    Whoever needs the modules joins the thread first. Two threads that enter a package with circular imports by different
    modules may each hold what the other one waits for, which Python ends with an error in one of them.
    """
    under_way = _under_way.get(modules)
    if under_way is not None and under_way.is_alive():
        return under_way

    def go() -> None:
        with contextlib.suppress(Exception), large_imports():
            for module in modules:
                importlib.import_module(module)

    thread = threading.Thread(target=go)  # no daemon: a process that ends would break the import in the middle
    thread.start()
    _under_way[modules] = thread
    return thread
