"""Make a table of learning curves by a grid search of tune_mlp: `python -m benchmarks.curves.make digits`.

The seconds of an epoch are measured anew by `--time`, one net at a time, on a machine that does nothing else. A net of a table is
trained again, and compared with its rows, by `--replay NET`.
"""

from __future__ import annotations

import argparse
import itertools
import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from threadpoolctl import threadpool_limits

from benchmarks.curves.curve_table import CurveTable, curves_of
from tune_mlp.console.board import Display
from tune_mlp.engines.choose import load_engine
from tune_mlp.results.results import Results
from tune_mlp.seeds import trial_seed
from tune_mlp.space.space import to_config
from tune_mlp.study.study import Study
from tune_mlp.training.job import TrainJob
from tune_mlp.training.trainer import Trainer

HERE = Path(__file__).parent
NAMES = tuple(sorted(path.stem for path in HERE.glob("*.yaml")))
TIMED_EPOCHS = 3


def main(argv: Sequence[str] | None = None) -> int:
    """Make a table, or train one of its nets again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), help="Where the search writes its run (default: runs)."
    )
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--time", action="store_true", help="Measure the seconds of the table's nets, one at a time.")
    other.add_argument("--replay", type=int, metavar="NET", help="Train this net again, and compare it with its rows.")
    args = parser.parse_args(argv)
    run, path = args.runs / f"curves-{args.name}", HERE / f"{args.name}.parquet"
    if args.time:
        table = CurveTable.read(path)
        replace(table, seconds=_seconds(table)).write(path)
    elif args.replay is not None:
        return _replay(CurveTable.read(path), args.replay)
    else:
        # A run that was interrupted goes on.
        words = ["resume", str(run)] if run.exists() else ["search", "--space", str(HERE / f"{args.name}.yaml")]
        words += [] if run.exists() else ["--out", str(args.runs), "--name", run.name]
        subprocess.run([sys.executable, "-m", "tune_mlp", *words], check=True)
        CurveTable.of_run(Results.load(run)).write(path)
    return 0


class _Nets:
    """Trainers of the nets of a table."""

    def __init__(self, table: CurveTable) -> None:
        from tune_mlp.tuning.preparation import prepare

        self.study = Study.load(HERE / f"{table.study.name}.yaml")
        self._prepared = prepare(self.study, None, Display())
        self.draws = list(itertools.islice(self.study.draws(), len(table.values)))
        threadpool_limits(1)
        self._engine = load_engine(self._prepared.engine, self._prepared.problem)
        self.metric, self._mode = self._prepared.study.ranking

    def trainer(self, net: int, seeds: int) -> Trainer:
        job = TrainJob(
            to_config(self.draws[net]),
            self._prepared.problem,
            self._engine,
            seed=trial_seed(self.study.seed, net),
            metric=self.metric,
            mode=self._mode,
            epochs=self.study.epochs,
            seeds=seeds,
        )
        return Trainer(job)


def _seconds(table: CurveTable) -> NDArray[np.float32]:
    """Return the seconds that an epoch of each net takes with one seed: the shortest of a few, which nothing disturbed."""
    nets, found = _Nets(table), []
    for net in track(range(len(table.values)), description=f"timing the nets of {table.study.name}"):
        trainer = nets.trainer(net, seeds=1)
        epochs: dict[int, float] = {}
        while not trainer.done and len(epochs) < TIMED_EPOCHS:
            for record in trainer.step(len(epochs) + 1):  # one for each fold
                epochs[record.epoch] = epochs.get(record.epoch, 0.0) + record.seconds
        found.append(min(epochs.values()))
    return np.array(found, np.float32)


def _replay(table: CurveTable, net: int) -> int:
    """Train a net again, and say whether its curves are the table's."""
    nets = _Nets(table)
    trainer, records = nets.trainer(net, nets.study.seeds), []
    while not trainer.done:
        records += trainer.step(nets.study.epochs, math.inf)
    again = curves_of(records, nets.metric, nets.study.seeds, nets.study.epochs)
    difference = float(np.nanmax(np.abs(again - table.values[net])))
    print(f"net {net}: {nets.draws[net]}")
    print(f"the largest difference in {nets.metric}: {difference:g}")
    return 0 if np.array_equal(again, table.values[net], equal_nan=True) else 1


if __name__ == "__main__":
    sys.exit(main())
