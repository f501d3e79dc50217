"""The loss of Ray's head processes, the raylet and the GCS, is noticed within a second.

Ray itself ends the driver's process 14 seconds after the raylet is gone, and 60 seconds after the GCS, from C++, with nothing
written. Where the GCS is lost while Ray Tune asks it for something, the main thread is inside C++ and can't be interrupted:
then Ray's 60 seconds pass. Tried on Ray 2.60.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

from tune_mlp.errors import RunError

HEAD = {"raylet": "its raylet", "gcs_server": "its control service (GCS)"}
LOOK_SECONDS = 0.5


class RayLost(RunError):
    """Ray's own processes ended while a study ran."""


class _HeadEnded(BaseException):
    """Raised in the main thread. It isn't an `Exception`, so that Ray Tune's handlers, which would go on, don't catch it."""


def lost_head() -> str | None:
    """Return which of this process's own Ray's head processes has ended; None where all live, or none is ours."""
    from ray._private import worker

    node: Any = getattr(worker, "_global_node", None)
    if node is None:
        return None
    for kind, process in node.dead_processes():
        if kind in HEAD:
            return f"{HEAD[kind]}, process {process.pid}, has ended"
    return None


@contextlib.contextmanager
def watched_head() -> Iterator[None]:
    """Raise `RayLost` if Ray's head ends meanwhile. Only the main thread can be interrupted; in another thread, Ray's own error
    comes later."""
    over = threading.Event()
    main = threading.current_thread() is threading.main_thread()

    def interrupt(number: int, frame: object) -> None:
        if not over.is_set():
            raise _HeadEnded

    def watch() -> None:
        while not over.wait(LOOK_SECONDS):
            if lost_head():  # once more each time: an exception may have been swallowed
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR2)

    before = signal.signal(signal.SIGUSR2, interrupt) if main else None
    watcher = threading.Thread(target=watch, name="head-watch", daemon=True)
    if main:
        watcher.start()
    try:
        yield
    except (_HeadEnded, Exception):
        over.set()
        if lost := lost_head():
            raise RayLost(f"Ray was lost: {lost}") from None
        raise
    finally:
        over.set()
        if main:
            watcher.join()
            signal.signal(signal.SIGUSR2, before)


def print_nothing(*_: Any, **__: Any) -> None:
    """Replace Ray's printing of its processes' last messages, which are pages of log; the run itself says what happened."""


def abandon() -> None:
    """End what is left of a Ray whose head was lost: its own shutdown, and what Ray Tune does at exit, would wait for processes
    that no longer answer."""
    import atexit

    import ray
    from ray._private import worker
    from ray.tune import registry

    worker.print_to_stdstream = print_nothing
    atexit.unregister(ray.shutdown)
    atexit.unregister(registry._unregister_all)
    with contextlib.suppress(Exception):
        worker._global_node.kill_all_processes(check_alive=False, allow_graceful=False)
