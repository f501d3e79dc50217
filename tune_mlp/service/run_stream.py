"""One reader's stream of a study: what was missed comes from the journal's file, and what happens now as it happens."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Protocol

from tune_mlp.errors import TuneMlpError
from tune_mlp.regular_files import open_regular
from tune_mlp.results.journal import Event, from_line
from tune_mlp.results.journal_reader import MOST_BYTES
from tune_mlp.service.faults import Refused
from tune_mlp.service.stream import Batch, Stream, StreamEvent, Waiter, to_json

BEHIND = 1 << 18
"""The bytes that a reader who is behind gets at once."""
SUMMARY_SECONDS = 1.0
"""A stream has a summary at most so often."""


class StreamSource(Protocol):
    """The followed run that a stream tells of."""

    name: str
    path: Path
    """The journal."""
    offset: int
    gone: bool
    stream: Stream

    def summary_json(self) -> str:
        """Return the study's summary as JSON."""

    def batch(self, events: Sequence[Event], start: int, end: int) -> Batch:
        """Return the journal's events between two offsets as the stream tells them."""


async def events_of(source: StreamSource, offset: int | None) -> AsyncIterator[Sequence[StreamEvent]]:
    """Yield the events of a source after an offset, or from now on, and wait for more until the study is gone. What has come together
    is yielded together, since 200 readers cost a step of the event loop each for what they are given.

    A summary comes behind the events that it counts, so whoever reads that a study is at rest has read all of it.
    """
    waiter = Waiter(asyncio.get_running_loop(), asyncio.Event())
    source.stream.join(waiter)
    try:
        at = source.offset if offset is None else await asyncio.to_thread(_checked, source, offset)
        said, last = "", -SUMMARY_SECONDS
        while not source.gone:
            waiter.woken.clear()
            due = waiter.loop.time() - last >= SUMMARY_SECONDS
            summary = source.summary_json() if due else said
            found: list[StreamEvent] = []
            while at < source.offset:  # at least as far as the summary goes, which is told behind it
                batch = source.stream.after(at)
                if batch is None:
                    if found:
                        yield found
                    batch, found = await asyncio.to_thread(_from_file, source, at), []
                found += batch.events
                at = batch.end
            if summary != said:
                said, last = summary, waiter.loop.time()
                found.append(StreamEvent("summary", summary, at))
            if found:
                yield found
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if due else SUMMARY_SECONDS):
                    await waiter.woken.wait()
        yield [StreamEvent("gone", to_json({"name": source.name}), at)]
    finally:
        source.stream.leave(waiter)


def _checked(source: StreamSource, offset: int) -> int:
    """Return an offset at which a line begins; refuse any other. One beyond the end is of a journal that was replaced."""
    if offset <= 0 or offset > source.offset:
        return 0
    try:
        with open_regular(source.path, MOST_BYTES) as file:
            file.seek(offset - 1)
            if file.read(1) == b"\n":
                return offset
    except OSError:
        return 0
    raise Refused(f"offset: no line of the journal begins at {offset}; leave it out to begin anew")


def _from_file(source: StreamSource, start: int) -> Batch:
    """Read events of the journal again, for a reader who is behind."""
    end = source.offset
    try:
        with open_regular(source.path, MOST_BYTES) as file:
            file.seek(start)
            content = file.read(min(BEHIND, end - start))
            while b"\n" not in content and len(content) < end - start and (more := file.read(BEHIND)):
                content += more
        whole = content[: content.rfind(b"\n") + 1]
        events = [from_line(line).event for line in whole.split(b"\n")[:-1]]
    except (OSError, ValueError, TuneMlpError):
        return Batch(start, end, ())  # the file has just been replaced: the summary says what is wrong
    return source.batch(events, start, start + len(whole)) if whole else Batch(start, end, ())
