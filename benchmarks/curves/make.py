"""Make a table of learning curves by a grid search of tune_mlp: `python -m benchmarks.curves.make digits`.

A net of a table is trained again, and compared with its rows, by `--replay NET`.
"""

from __future__ import annotations

import argparse
import itertools
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
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


def main(argv: Sequence[str] | None = None) -> int:
    """Make a table, or train one of its nets again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), help="Where the search writes its run (default: runs)."
    )
    parser.add_argument("--replay", type=int, metavar="NET", help="Train this net again, and compare it with its rows.")
    args = parser.parse_args(argv)
    run = args.runs / f"curves-{args.name}"
    if args.replay is None:
        # A run that was interrupted goes on.
        words = ["resume", str(run)] if run.exists() else ["search", "--space", str(HERE / f"{args.name}.yaml")]
        words += [] if run.exists() else ["--out", str(args.runs), "--name", run.name]
        subprocess.run([sys.executable, "-m", "tune_mlp", *words], check=True)
        CurveTable.of_run(Results.load(run)).write(HERE / f"{args.name}.parquet")
        return 0
    return _replay(CurveTable.read(HERE / f"{args.name}.parquet"), args.replay)


def _replay(table: CurveTable, net: int) -> int:
    """Train a net again, and say whether its curves are the table's."""
    from tune_mlp.tuning.preparation import prepare

    study = Study.load(HERE / f"{table.study.name}.yaml")
    prepared = prepare(study, None, Display())
    params = next(itertools.islice(study.draws(), net, None))
    threadpool_limits(1)
    engine = load_engine(prepared.engine, prepared.problem)
    metric, mode = prepared.study.ranking
    trainer = Trainer(
        TrainJob(
            to_config(params),
            prepared.problem,
            engine,
            seed=trial_seed(study.seed, net),
            metric=metric,
            mode=mode,
            epochs=study.epochs,
            seeds=study.seeds,
        )
    )
    records = []
    while not trainer.done:
        records += trainer.step(study.epochs, math.inf)
    again = curves_of(records, metric, study.seeds, study.epochs)
    difference = float(np.nanmax(np.abs(again - table.values[net])))
    print(f"net {net}: {params}")
    print(f"the largest difference in {metric}: {difference:g}")
    return 0 if np.array_equal(again, table.values[net], equal_nan=True) else 1


if __name__ == "__main__":
    sys.exit(main())
