"""What a trial costs beside its training: studies of 2 and of 202 trials on 40 samples, each in a fresh process.

The first pays for Ray's own start and for both workers'; the difference is what 200 trials add. Run it with
`make bench-overhead`.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

REPEATS = 3
STUDY = """
data: {name: "overhead:tiny", validation: 0.5, test: 0}
space: {lr: {log: [1.0e-3, 1.0e-1]}, width: {choice: [4, 8]}, batch_size: 20}
epochs: 1
scheduler: %s
"""


def tiny() -> tuple[np.ndarray, np.ndarray]:
    """40 samples of two classes."""
    x = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    return x, (x[:, 0] > 0).astype(np.int64)


def seconds(trials: int, scheduler: str, folder: Path) -> float:
    """Return the wall time of one search."""
    study = folder / "tiny.yaml"
    study.write_text(STUDY % scheduler)
    start = time.perf_counter()
    command = [sys.executable, "-m", "tune_mlp.search", "--space", str(study), "--trials", str(trials), "--quiet"]
    subprocess.run(
        [*command, "--out", str(folder / "runs")], check=True, cwd=Path(__file__).parent, capture_output=True
    )
    return time.perf_counter() - start


def main() -> None:
    """Print the figures as JSON lines."""
    for scheduler in ("fifo", "asha"):
        added = []
        for _ in range(REPEATS):
            with tempfile.TemporaryDirectory() as folder:
                few, many = (seconds(trials, scheduler, Path(folder)) for trials in (2, 202))
            added.append((many - few) / 200 * 1000)
        figures = {"scheduler": scheduler, "ms_per_trial": [round(ms, 1) for ms in added]}
        print(json.dumps({**figures, "median": round(statistics.median(added), 1)}))


if __name__ == "__main__":
    main()
