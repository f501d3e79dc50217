"""What the journal costs: `python -m benchmarks.journal RUN` writes a finished run's events again and compares the time.

The events go through the journal's own writer, with every flush to disk, into a new file in the run's folder. The share is of
the wall time that the run's manifest gives.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tune_mlp.results.journal import Event
from tune_mlp.results.journal_reader import read
from tune_mlp.runs.journal_writer import Journal

REPEATS = 9


def seconds(events: Sequence[Event], folder: Path) -> float:
    """Write the events once, and return how long that took."""
    with tempfile.TemporaryDirectory(dir=folder) as place, Journal.create(Path(place) / "journal.jsonl") as journal:
        start = time.perf_counter()
        for event in events:
            journal.append(event)
        return time.perf_counter() - start


def main() -> None:
    """Print the figures as one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, metavar="RUN", help="The folder of a run that has ended.")
    run = parser.parse_args().run
    events = read(run / "journal.jsonl")
    wall = json.loads((run / "run.json").read_text(encoding="utf-8"))["seconds"]
    figures = [seconds(events, run) for _ in range(REPEATS)]
    print(
        json.dumps(
            {
                "events": len(events),
                "bytes": (run / "journal.jsonl").stat().st_size,
                "ms": [round(figure * 1000, 1) for figure in figures],
                "share_of_wall_time": round(statistics.median(figures) / wall, 5),
            }
        )
    )


if __name__ == "__main__":
    main()
