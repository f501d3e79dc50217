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
from tune_mlp.planning.memory import family, proportional

PAUSE = 0.1
"""The seconds between two measurements."""
IDLE = "ray::IDLE"
"""Ray's name for a worker that waits."""


@dataclass
class Peak:
    """The largest amounts of memory that were seen, in MB."""

    all: float = 0.0
    worker: float = 0.0
    """The largest trial worker's share."""


def one_more_worker(quick: bool) -> Table:
    """Measure a study with one trial at a time and with two; the difference is the cost of a second worker."""
    trials = "6" if quick else "25"
    peaks = {concurrent: _watch(concurrent, trials) for concurrent in (1, 2)}
    added = peaks[2].all - peaks[1].all
    return Table(
        "Memory of one more concurrent trial",
        ["trials at once", "Ray and its trials, MB", "largest trial worker, MB"],
        rows=[[str(concurrent), f"{peak.all:.0f}", f"{peak.worker:.0f}"] for concurrent, peak in peaks.items()],
        notes=[
            f"Peaks of proportional set sizes, looked at each {PAUSE} s, of all processes that `tune_mlp.search` starts on the "
            f"origin study's space ({trials} trials, 1 epoch): pages that several share are divided. Without the driver, which "
            "imports PyTorch for the winner's test towards the end, and without workers that Ray has started and has no trial for."
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
            names = {pid: command_line(pid) for pid in family(search.pid) if pid != search.pid}
            sizes = {pid: proportional(pid) / 1e6 for pid, name in names.items() if not name.startswith(IDLE)}
            workers = [size for pid, size in sizes.items() if is_worker(names[pid])]
            if len(workers) == concurrent:
                peak.all = max(peak.all, sum(sizes.values()))
                peak.worker = max(peak.worker, *workers)
            time.sleep(PAUSE)
        if search.returncode:
            raise RuntimeError(f"{' '.join(words)} ended with {search.returncode}:\n{said.read_text()[-2000:]}")
    return peak


def is_worker(name: str) -> bool:
    """Tell if a process is a trial worker: Ray names it by the class of its actor, which Tune may have wrapped."""
    return name.startswith(("ray::TrialActor", "ray::_Inner"))


def command_line(pid: int) -> str:
    """Return the command line of a process, or an empty text if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""
