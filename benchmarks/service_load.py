"""The service under load beside a running search: 200 open live views and 50 requests a second, and what they cost the search."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
from rich.console import Console

from benchmarks.service_scale import served
from benchmarks.tables import Table, Target

VIEWS, REQUESTS_PER_SECOND, PAIRS = 200, 50, 3
WATCHED = "watched"
SEARCH = ("search", "--space", "mnist_asha", "--quiet", "--no-report")
ANSWER_SECONDS, MOST_SLOWER = 0.2, 0.10


def measure(console: Console) -> list[Table]:
    """Run the main job alone and under the service's load, in turn."""
    alone: list[float] = []
    loaded: list[float] = []
    waits: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "runs"
        _search(root, WATCHED)
        command = [sys.executable, "-m", "tune_mlp", "serve", "--root", str(root), "--port"]
        with served(command, "/api/health") as (url, _):
            for pair in range(PAIRS):
                alone.append(_search(root, f"alone-{pair}"))
                with _load(url) as seconds:
                    loaded.append(_search(root, f"loaded-{pair}"))
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
    ]
    table.targets += [
        Target("p99 below 200 ms", p99 < ANSWER_SECONDS),
        Target("the search is at most 10 % slower", slower <= MOST_SLOWER),
    ]
    table.notes.append(
        "The readers and the requests come from the same machine, and their own work is part of the load."
    )
    return [table]


def _search(root: Path, name: str) -> float:
    began = time.perf_counter()
    command = [sys.executable, "-m", "tune_mlp", *SEARCH, "--out", str(root), "--name", name]
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


@contextlib.contextmanager
def _load(url: str) -> Iterator[list[float]]:
    """Hold live views open and ask for tables until the end of the block; yields the seconds of each answer, which fills up."""
    seconds: list[float] = []
    over = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_readers(url, seconds, over)))
    thread.start()
    try:
        yield seconds
    finally:
        over.set()
        thread.join()


async def _readers(url: str, seconds: list[float], over: threading.Event) -> None:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client:
        views = [asyncio.create_task(_view(client)) for _ in range(VIEWS)]
        asked: set[asyncio.Task[None]] = set()
        places = ("", f"/{WATCHED}", f"/{WATCHED}/trials?limit=50&sort=lr", f"/{WATCHED}/epochs?limit=50")
        count = 0
        while not over.is_set():
            task = asyncio.create_task(_ask(client, f"/api/studies{places[count % len(places)]}", seconds))
            asked.add(task)
            task.add_done_callback(asked.discard)
            count += 1
            await asyncio.sleep(1 / REQUESTS_PER_SECOND)
        await asyncio.gather(*asked)
        for view in views:
            view.cancel()
        await asyncio.gather(*views, return_exceptions=True)


async def _view(client: httpx.AsyncClient) -> None:
    async with client.stream("GET", f"/api/studies/{WATCHED}/events", timeout=None) as answer:
        async for _ in answer.aiter_bytes():
            pass


async def _ask(client: httpx.AsyncClient, path: str, seconds: list[float]) -> None:
    began = time.perf_counter()
    (await client.get(path)).raise_for_status()
    seconds.append(time.perf_counter() - began)
