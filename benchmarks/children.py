"""Child processes that time some work of their own whenever they are asked, one after the other or at once."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any

import torch
from threadpoolctl import threadpool_limits

PATIENCE = 900
"""Seconds after which a child that hasn't answered is given up."""

Work = Callable[[], object]


class Child:
    """A process of one thread that prepares its work once, and then does and times it each time it is asked."""

    def __init__(
        self,
        prepare: Callable[..., list[Work]],
        *arguments: Any,
        environment: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`prepare(*arguments)` runs in the child and returns the pieces of work, each of which the clock times."""
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, clock, prepare, arguments), daemon=True)
        self._environment = dict(environment or {})

    def __enter__(self) -> Child:
        before = dict(os.environ)
        os.environ.update(self._environment)  # the child takes over what is there when it starts
        try:
            self._process.start()
        finally:
            os.environ.clear()
            os.environ.update(before)
        self.seconds()  # the child is ready
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.send(False)
        self._process.join()

    def ask(self) -> None:
        """Let the child do its work; `seconds` waits until it has."""
        self._connection.send(True)

    def seconds(self) -> list[float]:
        """Return how long each piece of the child's work took."""
        if not self._connection.poll(PATIENCE):
            raise TimeoutError(f"a child process hasn't answered for {PATIENCE} s")
        seconds: list[float] = self._connection.recv()
        return seconds


def _serve(
    connection: Connection,
    clock: Callable[[], float],
    prepare: Callable[..., list[Work]],
    arguments: tuple[Any, ...],
) -> None:
    torch.set_num_threads(1)
    threadpool_limits(1)
    works = prepare(*arguments)
    connection.send([])
    while connection.recv():
        seconds = []
        for work in works:
            start = clock()
            work()
            seconds.append(clock() - start)
        connection.send(seconds)
