"""The service under load beside a running search: 200 open live views and 50 requests a second, and what they cost the search."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import httpx
import numpy as np
from rich.console import Console

from benchmarks.service_scale import served
from benchmarks.tables import Table, Target

VIEWS, REQUESTS_PER_SECOND, PAIRS = 200, 50, 5
SEARCH = ("search", "--space", "mnist_asha", "--quiet", "--no-report")
ANSWER_SECONDS, MOST_SLOWER = 0.2, 0.10


def measure(console: Console) -> list[Table]:
    """Run the main job alone and under the service's load, in turn."""
    alone: list[float] = []
    loaded: list[float] = []
    waits: list[float] = []
    served_seconds = read_seconds = 0.0
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "runs"
        _search(root, "before")  # what is read for the first time is read here
        command = [sys.executable, "-m", "tune_mlp", "serve", "--root", str(root), "--port"]
        with served(command, "/api/health") as (url, process):
            for pair in range(PAIRS):
                alone.append(_search(root, f"alone-{pair}"))
                served_before, read_before = _processor_seconds(process), time.process_time()
                with _load(url, f"loaded-{pair}") as seconds:
                    loaded.append(_search(root, f"loaded-{pair}"))
                served_seconds += _processor_seconds(process) - served_before
                read_seconds += time.process_time() - read_before
                waits += seconds
                console.print(f"alone {alone[-1]:.1f} s, under load {loaded[-1]:.1f} s", style="dim", highlight=False)
    slower = float(np.median(loaded) / np.median(alone) - 1)
    p99 = float(np.quantile(waits, 0.99))
    table = Table(
        f"{VIEWS} open live views and {REQUESTS_PER_SECOND} requests a second, beside the main job",
        ["what", "found", "wanted"],
    )
    table.rows += [
        ["requests", f"{len(waits):,}", ""],
        ["an answer, median", f"{np.median(waits) * 1000:.0f} ms", ""],
        ["an answer, p99", f"{p99 * 1000:.0f} ms", f"{ANSWER_SECONDS * 1000:.0f} ms"],
        ["the main job alone", " ".join(f"{one:.1f}" for one in alone) + " s", ""],
        ["the main job under load", " ".join(f"{one:.1f}" for one in loaded) + " s", ""],
        ["slower", f"{slower:.1%}", f"{MOST_SLOWER:.0%}"],
        ["the service's processor time", f"{served_seconds / sum(loaded):.0%} of a core", ""],
        ["the readers' processor time", f"{read_seconds / sum(loaded):.0%} of a core", ""],
    ]
    table.targets += [
        Target("p99 below 200 ms", p99 < ANSWER_SECONDS),
        Target("the search is at most 10 % slower", slower <= MOST_SLOWER),
    ]
    table.notes.append(
        "The readers and the requests come from the same machine, and their own work is part of the load."
    )
    return [table]


def _processor_seconds(process: int) -> float:
    """Return the seconds that a process has computed so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _search(root: Path, name: str) -> float:
    began = time.perf_counter()
    command = [sys.executable, "-m", "tune_mlp", *SEARCH, "--out", str(root), "--name", name]
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


@contextlib.contextmanager
def _load(url: str, study: str) -> Iterator[list[float]]:
    """Hold live views of a study open and ask for its tables until the end of the block; yields the seconds of each answer, which
    fills up."""
    seconds: list[float] = []
    over = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        readers = pool.submit(lambda: asyncio.run(_readers(url, study, seconds, over)))
        try:
            yield seconds
        finally:
            over.set()
            readers.result()


async def _readers(url: str, study: str, seconds: list[float], over: threading.Event) -> None:
    """Read with plain sockets: an HTTP library would take as much time from the search as the service does."""
    host, port = httpx.URL(url).host, httpx.URL(url).port
    async with httpx.AsyncClient() as client:
        for place in (f"?search={study}&state=running", f"/{study}/trials"):
            while not over.is_set():
                answer = await client.get(f"{url}/api/studies{place}")
                if answer.is_success and answer.json()["total"]:
                    break
                await asyncio.sleep(0.2)
    views = [await _View.opened(host, port, study) for _ in range(VIEWS)]
    places = ("", f"/{study}", f"/{study}/trials?limit=50&sort=lr", f"/{study}/epochs?limit=50")
    free: list[_Asker] = []
    asked: set[asyncio.Task[None]] = set()
    count = 0
    while not over.is_set():
        asker = free.pop() if free and free[-1].young else await _Asker.opened(host, port)
        task = asyncio.create_task(asker.ask(f"/api/studies{places[count % len(places)]}", seconds, free))
        asked.add(task)
        task.add_done_callback(asked.discard)
        count += 1
        await asyncio.sleep(1 / REQUESTS_PER_SECOND)
    await asyncio.gather(*asked)
    for one in (*views, *free):
        one.close()


class _Asker:
    """A connection that asks for one answer after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._answered = time.monotonic()

    @classmethod
    async def opened(cls, host: str, port: int | None) -> Self:
        return cls(*await asyncio.open_connection(host, port))

    async def ask(self, path: str, seconds: list[float], free: list[_Asker]) -> None:
        """Ask, note the time that the whole answer took, and be free for the next."""
        began = time.perf_counter()
        self.send(path)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 200"):
            raise AssertionError(head[:100])
        await self._reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
        seconds.append(time.perf_counter() - began)
        self._answered = time.monotonic()
        free.append(self)

    @property
    def young(self) -> bool:
        """Whether the service surely holds the connection open still; it hangs up after five seconds without a request."""
        return time.monotonic() - self._answered < 3

    def send(self, path: str) -> None:
        """Send a request's head."""
        self._writer.write(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".encode())

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


class _View(_Asker):
    """A live view: a stream that is open, and is read as it comes."""

    _task: asyncio.Task[None]

    @classmethod
    async def opened(cls, host: str, port: int | None, study: str = "") -> Self:
        """Open the stream."""
        view = await super().opened(host, port)
        view.send(f"/api/studies/{study}/events")
        await view._reader.readuntil(b"retry: ")
        view._task = asyncio.create_task(view._read())
        return view

    async def _read(self) -> None:
        while await self._reader.read(1 << 16):
            pass

    def close(self) -> None:
        """Hang up."""
        self._task.cancel()
        super().close()
