"""Heavy work, such as drawing a chart: done by a few threads, once for all who ask for the same, and remembered."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from tune_mlp.service.faults import TooMany

T = TypeVar("T")


class HeavyWork:
    """Does work in a few threads. Its methods are called from one event loop."""

    def __init__(
        self, threads: int = 2, most_waiting: int = 64, most_kept: int = 256, most_bytes: int = 64_000_000
    ) -> None:
        """At most `most_kept` results are remembered, and as many bytes in those that are bytes, such as a chart's JSON."""
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="heavy")
        self._most_waiting, self._most_kept, self._most_bytes = most_waiting, most_kept, most_bytes
        self._bytes = 0
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._under_way: dict[Hashable, asyncio.Future[Any]] = {}

    async def once(self, key: Hashable, work: Callable[[], T]) -> T:
        """Return what the work returned for this key, or do it now. A key names all that the result depends on."""
        if key in self._kept:
            self._kept.move_to_end(key)
            kept: T = self._kept[key]
            return kept
        future: asyncio.Future[T] | None = self._under_way.get(key)
        if future is None:
            future = self._begun(key, work)
            future.add_done_callback(partial(self._keep, key))
        return await asyncio.shield(future)  # others may wait for the same when one of them goes away

    async def each_time(self, work: Callable[[], T]) -> T:
        """Do the work, and remember nothing of it."""
        key = object()
        future = self._begun(key, work)
        future.add_done_callback(lambda _: self._under_way.pop(key))
        return await asyncio.shield(future)

    def close(self) -> None:
        """Drop what hasn't begun, and let the threads end."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _begun(self, key: Hashable, work: Callable[[], T]) -> asyncio.Future[T]:
        if len(self._under_way) >= self._most_waiting:
            raise TooMany("too many charts and answers are being worked out; try again in a moment")
        future = asyncio.wrap_future(self._pool.submit(work))
        self._under_way[key] = future
        return future

    def _keep(self, key: Hashable, future: asyncio.Future[Any]) -> None:
        del self._under_way[key]
        if future.cancelled() or future.exception() is not None:
            return
        self._kept[key] = future.result()
        self._bytes += _size(future.result())
        while len(self._kept) > self._most_kept or self._bytes > self._most_bytes:
            self._bytes -= _size(self._kept.popitem(last=False)[1])


def _size(result: object) -> int:
    return len(result) if isinstance(result, bytes) else 0
