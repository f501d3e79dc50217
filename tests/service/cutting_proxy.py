"""A proxy on loopback that cuts connections: after so many bytes of each answer, or before the first answers are passed on at all."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit


class CuttingProxy:
    """Passes on what comes, and cuts each connection after `after` bytes of answers, the next one after twice as many; the first
    `swallow` answers are lost whole."""

    def __init__(self, target: str, after: int, swallow: int) -> None:
        parts = urlsplit(target)
        assert parts.hostname
        assert parts.port
        self._target = (parts.hostname, parts.port)
        self._after, self._swallow = after, swallow
        self.cuts = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._over = threading.Event()
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def run(self) -> None:
        """Take connections until the end."""
        self._listening.settimeout(0.1)
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                near, _ = self._listening.accept()
                thread = threading.Thread(target=self._pass_on, args=(near,))
                thread.start()
                self._threads.append(thread)

    def _pass_on(self, near: socket.socket) -> None:
        with near, socket.create_connection(self._target) as far:
            near.settimeout(0.05)
            far.settimeout(0.05)
            left = self._after
            while not self._over.is_set():
                with contextlib.suppress(TimeoutError):
                    if not (asked := near.recv(65536)):
                        return
                    far.sendall(asked)
                with contextlib.suppress(TimeoutError):
                    answer = far.recv(left)
                    if answer and self._swallow:
                        self._swallow -= 1
                        self.cuts += 1
                        return
                    near.sendall(answer)
                    left -= len(answer)
                    if not answer:
                        return
                    if not left:
                        self.cuts += 1
                        self._after *= 2
                        return

    def end(self) -> None:
        """Take no more connections, and end those that are open."""
        self._over.set()

    def close(self) -> None:
        """Wait until all connections have ended."""
        for thread in self._threads:
            thread.join()
        self._listening.close()


@contextmanager
def cutting(target: str, after: int = 10**9, swallow: int = 0) -> Iterator[CuttingProxy]:
    """Run a proxy until the end of the block."""
    proxy = CuttingProxy(target, after, swallow)
    thread = threading.Thread(target=proxy.run)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.end()
        thread.join()
        proxy.close()
