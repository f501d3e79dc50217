"""What one more concurrent trial costs in memory: proportional set sizes of a whole search, at one and at two trials."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.studies import ROOT, SPACES
from benchmarks.tables import Table, at_most
from tune_mlp.tuning.memory import family, proportional

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
            sizes = {pid: proportional(pid) / 1e6 for pid in family(search.pid)}
            workers = [size for pid, size in sizes.items() if is_worker(command_line(pid))]
            if len(workers) == concurrent:
                peak.all = max(peak.all, sum(sizes.values()))
                peak.worker = max(peak.worker, *workers)
            time.sleep(PAUSE)
        if search.returncode:
            raise RuntimeError(f"{' '.join(words)} ended with {search.returncode}:\n{said.read_text()[-2000:]}")
    return peak


def is_worker(name: str) -> bool:
    """Ray names a process by the class of its actor, which Tune may have wrapped."""
    return name.startswith(("ray::TrialActor", "ray::_Inner"))


def command_line(pid: int) -> str:
    """Nothing of a process that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""
