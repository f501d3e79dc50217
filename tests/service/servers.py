"""A real server on loopback for tests, in a thread of its own, and clients that talk to it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from fastapi import FastAPI

from tune_mlp.service.app_options import AppOptions, Rate
from tune_mlp.service.web_server import WebServer, listen

UNLIMITED = Rate(10**9, 10**9)
FREELY = AppOptions(reads=UNLIMITED, changes=UNLIMITED, failures=UNLIMITED)
"""Options of a service that any number of requests may ask, for tests of something else."""


@contextmanager
def serving(app: FastAPI, port: int = 0) -> Iterator[str]:
    """Serve an application until the end of the block; yields its address, without a slash at the end. Port 0 is any."""
    ready = threading.Event()
    with listen("127.0.0.1", port) as listening:
        server = WebServer(app, listening, ready.set)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread = threading.Thread(target=server.serve_until_stopped)
        thread.start()
        try:
            assert ready.wait(20)
            yield url
        finally:
            server.should_exit = True
            thread.join(20)
    assert not thread.is_alive()


@contextmanager
def asking(app: FastAPI, token: str | None = None) -> Iterator[httpx.Client]:
    """Serve an application, and yield a client that talks to it, with a user's token where one is given."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    with serving(app) as url, httpx.Client(base_url=url, headers=headers, timeout=60) as client:
        yield client
