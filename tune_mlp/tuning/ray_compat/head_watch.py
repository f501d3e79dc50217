"""The loss of Ray's head processes, the raylet and the GCS, is noticed within a second.

Ray itself ends the driver's process 14 seconds after the raylet is gone, and 60 seconds after the GCS, from C++, with nothing
written. A signal interrupts the main thread before that. Where the GCS is lost while Ray Tune asks it for something, the main
thread waits inside C++ and can't be interrupted: then the watching thread ends the process. Tried on Ray 2.60.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from tune_mlp.errors import RunError

HEAD = {"raylet": "its raylet", "gcs_server": "its control service (GCS)"}
LOOK_SECONDS = 0.5
STUCK_SECONDS = 5.0
"""After so long without an answer to the signals, the main thread is taken to wait inside C++."""


class RayLost(RunError):
    """Ray's own processes ended while a study ran."""


class _HeadEnded(BaseException):
    """Raised in the main thread. It isn't an `Exception`, so that Ray Tune's handlers, which would go on, don't catch it."""


def lost_head() -> str | None:
    """Return which of the head processes of this process's own Ray was lost; None if all are at work, or none is ours."""
    from ray._private import worker

    node: Any = getattr(worker, "_global_node", None)
    if node is None:
        return None
    for kind, process in node.dead_processes():
        if kind in HEAD:
            return f"{HEAD[kind]}, process {process.pid}, has ended"
    host, _, port = str(node.gcs_address).rpartition(":")
    try:  # a GCS that got SIGTERM closes its port, and may then wait for ever
        socket.create_connection((host.strip("[]"), int(port)), timeout=LOOK_SECONDS).close()
    except ConnectionRefusedError:
        return f"{HEAD['gcs_server']} at {node.gcs_address} no longer listens"
    except OSError:  # a machine that is out of ports or too busy to answer says nothing of the GCS
        pass
    return None


@contextlib.contextmanager
def watched_head(last_words: Callable[[RayLost], None]) -> Iterator[None]:
    """Raise `RayLost` if Ray's head ends meanwhile. Only the main thread can be interrupted; in another thread, Ray's own error
    comes later.

    If the main thread doesn't answer, the error goes to `last_words`, called in another thread, and the process ends with
    status 1. Ray would end it later, without a word.
    """
    over = threading.Event()
    main = threading.current_thread() is threading.main_thread()
    heard = 0.0  # when the main thread answered last

    def interrupt(number: int, frame: object) -> None:
        nonlocal heard
        heard = time.monotonic()
        if not over.is_set():
            raise _HeadEnded

    def watch() -> None:
        since = None
        while not over.wait(LOOK_SECONDS):
            if lost := lost_head():  # once more each time: an exception may have been swallowed
                since = since or time.monotonic()
                if time.monotonic() - max(since, heard) > STUCK_SECONDS:
                    _end_process(lost, last_words)
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
            raise _error(lost) from None
        raise
    finally:
        over.set()
        if main:
            watcher.join()
            signal.signal(signal.SIGUSR2, before)


def _error(lost: str) -> RayLost:
    return RayLost(f"Ray was lost: {lost}")


def _end_process(lost: str, last_words: Callable[[RayLost], None]) -> NoReturn:
    """End this process, and what is left of its Ray, from a thread beside the main one."""
    from ray._private import worker

    try:
        last_words(_error(lost))
        session = worker._global_node.get_session_dir_path()
        abandon()
        shutil.rmtree(session, ignore_errors=True)
    finally:
        os._exit(RayLost.status)


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
