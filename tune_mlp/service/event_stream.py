"""A study's events as a stream of server-sent events: what is new alone, with the journal's offset by which a reader goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from tune_mlp.service.stream import StreamEvent

KEEP_ALIVE_SECONDS = 5.0
"""A stream that says nothing for longer may be cut by a proxy; its reader's leaving isn't noticed, nor that its user was removed."""
RETRY = b"retry: 2000\n\n"
"""The pause after which a browser tries again, in milliseconds."""
KEEP_ALIVE = b": still here\n\n"


def encoded(event: StreamEvent) -> bytes:
    """Return one event as the stream has it. Its data are JSON in one line."""
    return f"id: {event.offset}\nevent: {event.name}\ndata: {event.data}\n\n".encode()


async def stream(
    events: AsyncIterator[Sequence[StreamEvent]],
    stopping: asyncio.Event,
    may_read: Callable[[], bool] = lambda: True,
    pause: float = KEEP_ALIVE_SECONDS,
) -> AsyncIterator[bytes]:
    """Yield the stream until the events end, or the server does, or the reader may read no more. No thread waits for it."""
    stop = asyncio.ensure_future(stopping.wait())
    coming: asyncio.Future[Sequence[StreamEvent]] | None = None
    try:
        yield RETRY
        while not stop.done():
            coming = coming or asyncio.ensure_future(anext(events))
            await asyncio.wait((coming, stop), timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            if not may_read():
                return
            if coming.done():
                try:
                    found = coming.result()
                except StopAsyncIteration:
                    return
                coming = None
                yield b"".join(map(encoded, found))
            elif not stop.done():
                yield KEEP_ALIVE
    finally:
        stop.cancel()
        if coming is not None:
            coming.cancel()
            await asyncio.wait((coming,))
        if hasattr(events, "aclose"):
            await events.aclose()
