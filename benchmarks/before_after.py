"""Two checkouts of this project, timed in turn on one machine: `python -m benchmarks.before_after OTHER_CHECKOUT`.

Each checkout runs in its own virtual environment (`make setup`). The ratio of a row is this checkout's median over the
other's: below 1 this one is faster.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

ALLOWED = 1.03
"""A row above this is reported as worse."""
EPOCHS = 4
READ = """
import json, sys
from tune_mlp import Results
results = Results.load(sys.argv[1])
epochs, trials = results.epochs, results.trials
print(json.dumps({
    "epoch": float(epochs["seconds"].min()),
    "training": float(epochs["seconds"].sum()),
}))
"""


@dataclass(frozen=True)
class Workload:
    """A search whose time, or a part of it, is compared."""

    name: str
    words: tuple[str, ...]
    figure: Callable[[float, dict[str, float]], float]
    """Computes the figure from the wall time and from what the run's tables say."""


def _whole(wall: float, tables: dict[str, float]) -> float:
    return wall


def _overhead(wall: float, tables: dict[str, float]) -> float:
    """Wall time on two cores over the seconds of training and evaluation."""
    return wall * 2 / tables["training"]


def _fastest_epoch(wall: float, tables: dict[str, float]) -> float:
    return tables["epoch"]


def _net(batch: int, depth: int, width: int) -> tuple[str, ...]:
    pins = {"batch_size": batch, "depth": depth, "width": width, "lr": 0.01, "loss": "cross_entropy"}
    sets = [word for name, value in pins.items() for word in ("--set", f"{name}={value}")]
    return ("--space", "benchmarks/spaces/origin_asha.yaml", *sets, "--trials", "1", "--epochs", str(EPOCHS))


WORKLOADS = (
    Workload("the origin search, seconds", ("--space", "benchmarks/spaces/origin_asha.yaml"), _whole),
    Workload("100 trials, wall x cores / trial-seconds", ("--space", "mnist_asha", "--trials", "100"), _overhead),
    *(
        Workload(
            f"an epoch of 784-{'-'.join([str(width)] * depth)}-10 at batch {batch}, seconds", words, _fastest_epoch
        )
        for batch in (1, 32)
        for depth, width in ((1, 64), (1, 256), (2, 256))
        for words in (_net(batch, depth, width),)
    ),
)


def measure(checkout: Path, workload: Workload) -> float:
    """Run the workload once in a checkout."""
    python = checkout.absolute() / ".venv" / "bin" / "python"
    with tempfile.TemporaryDirectory() as folder:
        words = [*workload.words, "--quiet", "--engine", "compiled", "--out", folder, "--name", "timed"]
        began = time.perf_counter()
        subprocess.run([python, "-m", "tune_mlp.search", *words], cwd=checkout, check=True, capture_output=True)
        wall = time.perf_counter() - began
        run = Path(folder) / "timed"
        read = subprocess.run([python, "-c", READ, run], cwd=checkout, check=True, capture_output=True, text=True)
    tables: dict[str, float] = json.loads(read.stdout)
    return workload.figure(wall, tables)


def main() -> None:
    """Measure, print, and say what became worse."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="The checkout to compare with, set up with `make setup`.")
    parser.add_argument("--repeats", type=int, default=3, metavar="N")
    parser.add_argument("--only", default="", metavar="TEXT", help="The workloads whose names contain this text.")
    args = parser.parse_args()
    table = Table("workload", "other", "this", "ratio", "")
    for workload in WORKLOADS:
        if args.only not in workload.name:
            continue
        found: dict[Path, list[float]] = {args.other: [], Path(): []}
        for turn in range(args.repeats):
            order = list(found) if turn % 2 == 0 else list(reversed(found))
            for checkout in order:
                found[checkout].append(measure(checkout, workload))
        before, after = (median(values) for values in found.values())
        ratio = after / before
        verdict = "worse" if ratio > ALLOWED else "ok"
        figures = [" ".join(f"{value:.3g}" for value in sorted(values)) for values in found.values()]
        table.add_row(workload.name, *figures, f"{ratio:.3f}", verdict)
        print(f"{workload.name}: {figures[0]} -> {figures[1]}, ratio {ratio:.3f}, {verdict}", flush=True)
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
