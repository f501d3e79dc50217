"""What one more concurrent trial costs in memory: proportional set sizes of a whole search, at one and at two trials."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.studies import ROOT, SPACES
from benchmarks.tables import Table, at_most

PAUSE = 0.1
"""Seconds between two looks."""


@dataclass
class Peak:
    """The most that was seen, in MB."""

    all: float = 0.0
    worker: float = 0.0
    """The largest trial worker's share."""


def one_more_worker(quick: bool) -> Table:
    """A study at one trial at a time, then at two; the difference is what the second costs."""
    trials = "6" if quick else "25"
    peaks = {concurrent: _watch(concurrent, trials) for concurrent in (1, 2)}
    added = peaks[2].all - peaks[1].all
    return Table(
        "Memory of one more concurrent trial",
        ["trials at once", "all processes, MB", "largest trial worker, MB"],
        rows=[[str(concurrent), f"{peak.all:.0f}", f"{peak.worker:.0f}"] for concurrent, peak in peaks.items()],
        notes=[
            f"Peaks of proportional set sizes, looked at each {PAUSE} s, of `tune_mlp.search` on the origin study's space "
            f"({trials} trials, 1 epoch) and all processes that it started: pages that several share are divided."
        ],
        targets=[at_most(added, 400, "the second trial at once adds", " MB")],
    )


def _watch(concurrent: int, trials: str) -> Peak:
    peak = Peak()
    with tempfile.TemporaryDirectory() as folder:
        words = ["-m", "tune_mlp.search", "--quiet", "--out", folder, "--name", "bench", "--epochs", "1"]
        words += ["--space", str(SPACES / "origin_asha.yaml"), "--scheduler", "fifo", "--trials", trials]
        words += ["--concurrent", str(concurrent), "--set", "batch_size=32"]
        said = Path(folder) / "said"
        with said.open("w") as file:
            search = subprocess.Popen([sys.executable, *words], cwd=ROOT, stdout=file, stderr=file)
        while search.poll() is None:
            sizes = {pid: megabytes(pid) for pid in process_tree(search.pid)}
            workers = [size for pid, size in sizes.items() if is_worker(command_line(pid))]
            if len(workers) == concurrent:
                peak.all = max(peak.all, sum(sizes.values()))
                peak.worker = max(peak.worker, *workers)
            time.sleep(PAUSE)
        if search.returncode:
            raise RuntimeError(f"{' '.join(words)} ended with {search.returncode}:\n{said.read_text()[-2000:]}")
    return peak


def process_tree(root: int) -> Iterator[int]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            children.setdefault(_parent(int(entry)), []).append(int(entry))
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        yield pid
        waiting += children.get(pid, [])


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return 0  # it has ended


def megabytes(pid: int) -> float:
    """Its proportional set size."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1000 * 1.024 for line in lines if line.startswith("Pss:")), 0.0)


def is_worker(name: str) -> bool:
    """Ray names a process by the class of its actor, which Tune may have wrapped."""
    return name.startswith(("ray::TrialActor", "ray::_Inner"))


def command_line(pid: int) -> str:
    """Nothing of a process that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""
