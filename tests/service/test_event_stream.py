"""The stream of events: each with its offset, a sign of life in between, and an end when the server or the reader ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from tune_mlp.service.event_stream import KEEP_ALIVE, RETRY, encoded, stream
from tune_mlp.service.stream import StreamEvent


class Source:
    """Events that a test hands out one by one, and that knows when its reader has gone."""

    def __init__(self) -> None:
        self.waiting: asyncio.Queue[Sequence[StreamEvent] | None] = asyncio.Queue()
        self.closed = False

    async def events(self) -> AsyncIterator[Sequence[StreamEvent]]:
        try:
            while (events := await self.waiting.get()) is not None:
                yield events
        finally:
            self.closed = True


def run(job: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(job(), 20))


def test_an_event_is_told_with_its_name_and_its_offset() -> None:
    assert encoded(StreamEvent("ended", '{"trial":3}', 512)) == b'id: 512\nevent: ended\ndata: {"trial":3}\n\n'


def test_events_come_in_order_and_the_stream_ends_with_them() -> None:
    async def job() -> None:
        source = Source()
        told = [StreamEvent("trial", "{}", 10), StreamEvent("epochs", "{}", 20), StreamEvent("gone", "{}", 30)]
        for events in (told[:2], told[2:], None):
            source.waiting.put_nowait(events)
        parts = [part async for part in stream(source.events(), asyncio.Event())]
        assert parts == [RETRY, encoded(told[0]) + encoded(told[1]), encoded(told[2])]
        assert source.closed

    run(job)


def test_a_quiet_stream_gives_signs_of_life() -> None:
    async def job() -> None:
        source = Source()
        parts = stream(source.events(), asyncio.Event(), pause=0.01)
        assert [await anext(parts) for _ in range(3)] == [RETRY, KEEP_ALIVE, KEEP_ALIVE]
        source.waiting.put_nowait([StreamEvent("trial", "{}", 10)])
        while (part := await anext(parts)) == KEEP_ALIVE:
            pass
        assert part.startswith(b"id: 10")
        await parts.aclose()
        assert source.closed

    run(job)


def test_a_stream_ends_where_its_reader_may_read_no_more() -> None:
    async def job() -> None:
        source, may = Source(), [True]
        parts = stream(source.events(), asyncio.Event(), lambda: may[0], pause=0.01)
        assert [await anext(parts) for _ in range(2)] == [RETRY, KEEP_ALIVE]
        may[0] = False
        source.waiting.put_nowait([StreamEvent("trial", "{}", 10)])
        assert [part async for part in parts] == []
        assert source.closed

    run(job)


def test_the_end_of_the_server_ends_the_stream() -> None:
    async def job() -> None:
        source, stopping = Source(), asyncio.Event()
        parts = stream(source.events(), stopping)
        assert await anext(parts) == RETRY
        asyncio.get_running_loop().call_later(0.01, stopping.set)
        assert [part async for part in parts] == []
        assert source.closed

    run(job)


def test_two_hundred_streams_need_no_thread() -> None:
    async def job() -> None:
        stopping = asyncio.Event()
        before = threading.active_count()

        async def read() -> int:
            return len([part async for part in stream(Source().events(), stopping)])

        readers = [asyncio.ensure_future(read()) for _ in range(200)]
        await asyncio.sleep(0.05)
        assert threading.active_count() == before
        stopping.set()
        assert await asyncio.gather(*readers) == [1] * 200

    run(job)
