"""The service at scale, beside optuna-dashboard on the same data: a study of 6,000 trials of 100 epochs, and a root of 1,000 studies."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from rich.console import Console

from benchmarks.tables import Table, Target
from tune_mlp.records import EpochRecord, TrialState
from tune_mlp.results.journal import Drawn, Ended, Event, Started, Trained, to_line

TRIALS, EPOCHS, STUDIES = 6000, 100, 1000
RUNGS = (1, 3, 9, 27, 81, EPOCHS)
"""The epochs after which a trial reports, as under ASHA; here every trial goes on to the end."""
PAINT_SECONDS, ANSWER_SECONDS, MOST_BYTES = 1.0, 0.2, 500e6
BIG, LIVE = "big", "live"
CHROMIUM = shutil.which("chromium")
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"


def measure(console: Console) -> list[Table]:
    """Measure both services, one after the other, on the same data."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "runs"
        console.print(f"writing {STUDIES:,} studies, one of {TRIALS:,} trials", style="dim")
        _write(root / BIG, TRIALS, EPOCHS, "finished")
        _write(root / "small", 25, 10, "finished")
        for number in range(STUDIES - 3):
            shutil.copytree(root / "small", root / f"study-{number:04}")
        database = Path(folder) / "optuna.db"
        began = time.perf_counter()
        export = ["export", str(root / BIG), "--to", "optuna", "--output", f"sqlite:///{database}"]
        subprocess.run([sys.executable, "-m", "tune_mlp", *export], check=True, capture_output=True)
        console.print(f"exported for optuna-dashboard in {time.perf_counter() - began:.0f} s", style="dim")
        return [_table(root, database, console)]


def _table(root: Path, database: Path, console: Console) -> Table:
    table = Table(
        f"A study of {TRIALS:,} trials x {EPOCHS} epochs in a root of {STUDIES:,} studies: tune-mlp serve and optuna-dashboard",
        ["what", "tune_mlp", "optuna-dashboard", "wanted"],
    )
    ours = [sys.executable, "-m", "tune_mlp", "serve", "--root", str(root), "--port"]
    theirs = [str(Path(sys.executable).with_name("optuna-dashboard")), f"sqlite:///{database}", "--port"]
    with served(ours, "/api/health") as (url, process):
        with httpx.Client(base_url=url, timeout=600) as client:
            first = _seconds(lambda: client.get("/api/studies", params={"limit": 50}).raise_for_status())
            listed = _many(lambda i: client.get("/api/studies", params={"limit": 50, "offset": 50 * (i % 20)}), 60)
            opened = _seconds(lambda: client.get(f"/api/studies/{BIG}/trials", params={"limit": 50}).raise_for_status())
            paged = _many(
                lambda i: client.get(
                    f"/api/studies/{BIG}/trials",
                    params={
                        "limit": 50,
                        "offset": 97 * i % TRIALS,
                        "sort": ("lr", "width", "val_accuracy", "trial")[i % 4],
                        "descending": i % 2 == 0,
                        "filter": ("", "lr<0.01", "width==32 and val_accuracy>0.8")[i % 3],
                    },
                ),
                120,
            )
        updates = _updates(url, root)
        paint_list, paint_study = _paint(f"{url}/"), _paint(f"{url}/studies/{BIG}")
        memory = _memory(process)
    with served(theirs, "/api/studies") as (url, process), httpx.Client(base_url=url, timeout=600) as client:
        number = client.get("/api/studies").json()["study_summaries"][0]["study_id"]
        their_list = _many(lambda _: client.get("/api/studies"), 20)
        their_study = _seconds(lambda: client.get(f"/api/studies/{number}").raise_for_status())
        their_bytes = len(client.get(f"/api/studies/{number}").content)
        their_again = _many(lambda _: client.get(f"/api/studies/{number}"), 3)
        their_paint, their_study_paint = _paint(f"{url}/dashboard/"), _paint(f"{url}/dashboard/studies/{number}")
        their_memory = _memory(process)

    def add(what: str, mine: float, other: str, wanted: float | None, unit: str = "s") -> None:
        shown = f"{mine / 1e6:.0f} MB" if unit == "B" else f"{mine:.3f} s"
        limit = "" if wanted is None else (f"{wanted / 1e6:.0f} MB" if unit == "B" else f"{wanted:g} s")
        table.rows.append([what, shown, other, limit])
        console.print(what, shown, other, limit, style="dim", highlight=False)
        if wanted is not None:
            table.targets.append(Target(f"{what}: at most {limit}", mine <= wanted))

    add("the list of studies, first time after the start", first, "", None)
    add("a page of the list of studies, p99", _p99(listed), f"{_p99(their_list):.3f} s (1 study)", ANSWER_SECONDS)
    add("the study's table, first time", opened, f"{their_study:.3f} s ({their_bytes / 1e6:.0f} MB, whole)", None)
    add(
        "a page of the table, sorted and filtered, p99",
        _p99(paged),
        f"{_p99(their_again):.3f} s (whole)",
        ANSWER_SECONDS,
    )
    add("an update, from the journal to a reader, p99", _p99(updates), "polls", ANSWER_SECONDS)
    add("first paint of the list in Chromium", paint_list, f"{their_paint:.3f} s", PAINT_SECONDS)
    add("first paint of the study in Chromium", paint_study, f"{their_study_paint:.3f} s", PAINT_SECONDS)
    add("the service's memory", memory, f"{their_memory / 1e6:.0f} MB", MOST_BYTES, "B")
    table.notes.append(
        f"optuna-dashboard reads the same {TRIALS:,} trials from SQLite, in a database of this one study; it sends a study's trials whole."
    )
    return table


def _updates(url: str, root: Path, count: int = 100) -> list[float]:
    """Return the seconds from the writing of each line of a running study's journal until a reader of its events has it."""
    folder = root / LIVE
    lines = _write(folder, 1, 1, "running")
    came: dict[int, float] = {}
    ready = threading.Event()

    def read() -> None:
        with httpx.Client(timeout=60) as client, client.stream("GET", f"{url}/api/studies/{LIVE}/events") as answer:
            for line in answer.iter_lines():
                if line.startswith("data:") and '"epochs"' in line:
                    for epoch in json.loads(line[5:]).get("epochs", ()):
                        came[epoch["epoch"]] = time.perf_counter()
                ready.set()
                if len(came) > count:
                    return

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    ready.wait(30)
    sent = {}
    with (folder / "journal.jsonl").open("ab") as journal:
        for epoch in range(2, count + 2):
            lines += 1
            journal.write(to_line(_trained(0, [epoch], 0.5), lines, time.time()))
            journal.flush()
            sent[epoch] = time.perf_counter()
            time.sleep(0.05)
    reader.join(30)
    return [came[epoch] - at for epoch, at in sent.items() if epoch in came] or [float("inf")]


def _write(folder: Path, trials: int, epochs: int, state: str) -> int:
    """Write a run without any training; return how many lines its journal has."""
    random = np.random.default_rng(0)
    folder.mkdir(parents=True)
    events: list[Event] = [
        Started("made", "classification", "val_accuracy", "max", max(epochs, 1000), "compiled", 10, 7, "digits", "")
    ]
    for number in range(trials):
        lr = float(10 ** random.uniform(-3, -1))
        events.append(
            Drawn(number, {"lr": lr, "width": int(random.choice([16, 32, 64])), "activation": "relu"}, number)
        )
        best = 0.7 + 0.1 * (np.log10(lr) + 3) / 2 + 0.02 * float(random.normal())
        begun = 0
        for rung in (rung for rung in RUNGS if begun < epochs):
            ends = range(begun + 1, min(rung, epochs) + 1)
            events.append(_trained(number, list(ends), best))
            begun = min(rung, epochs)
        if state == "finished":
            events.append(Ended(number, TrialState.FINISHED, float(epochs), ""))
    text = b"".join(to_line(event, number + 1, time.time()) for number, event in enumerate(events))
    (folder / "journal.jsonl").write_bytes(text)
    (folder / "run.json").write_text(json.dumps({"state": state, "dataset": {"name": "digits"}}), encoding="utf-8")
    (folder / "study.yaml").write_text(
        f"name: made\ndata: {{name: digits}}\nspace: {{lr: {{log: [1.0e-3, 0.1]}}}}\ntrials: {trials}\nepochs: {max(epochs, 1000)}\n",
        encoding="utf-8",
    )
    return len(events)


def _trained(number: int, epochs: list[int], best: float) -> Trained:
    records = tuple(
        EpochRecord(
            epoch,
            0,
            {
                "train_loss": 1 / epoch,
                "train_accuracy": round(best, 4),
                "val_loss": 1.1 / epoch,
                "val_accuracy": round(min(1.0, max(0.0, best - 0.1 / epoch)), 4),
            },
            10,
            0.5,
            0.5,
        )
        for epoch in epochs
    )
    return Trained(number, records, "here", 650)


@contextlib.contextmanager
def served(command: list[str], path: str) -> Iterator[tuple[str, int]]:
    """Run a server until the end of the block; yields its address and its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [*command, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    url = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 120
        while time.monotonic() < until:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(url + path, timeout=60).status_code < 500:
                    break
            time.sleep(0.1)
        yield url, process.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def _paint(url: str) -> float:
    """Return the seconds to the first paint of a page in Chromium, the median of three visits with an empty cache."""
    from playwright.sync_api import sync_playwright

    found = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for _ in range(3):
            context = browser.new_context(bypass_csp=True)  # Playwright waits by eval
            page = context.new_page()
            page.goto(url, wait_until="commit", timeout=120_000)
            page.wait_for_function(f"{PAINTED} !== null", timeout=120_000)
            found.append(float(page.evaluate(PAINTED)) / 1000)
            context.close()
        browser.close()
    return float(np.median(found))


def _memory(process: int) -> float:
    """Return the memory of a process and its children."""
    total, waiting = 0, [process]
    while waiting:
        folder = Path("/proc") / str(waiting.pop())
        with contextlib.suppress(OSError):
            total += int((folder / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            for task in folder.glob("task/*/children"):
                waiting += map(int, task.read_text().split())
    return float(total)


def _seconds(ask: Callable[[], Any]) -> float:
    began = time.perf_counter()
    ask()
    return time.perf_counter() - began


def _many(ask: Callable[[int], httpx.Response], count: int) -> list[float]:
    return [_seconds(lambda i=i: ask(i).raise_for_status()) for i in range(count)]  # type: ignore[misc]


def _p99(seconds: list[float]) -> float:
    return float(np.quantile(seconds, 0.99))
