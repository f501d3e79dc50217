"""Whole studies by the command line: against the stock Ray Tune script, the digits grid, and 100 trials on MNIST."""

from __future__ import annotations

import itertools
import json
import math
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from benchmarks.cells import engines
from benchmarks.machine import median, timed
from benchmarks.tables import Table, Target, at_least, at_most
from tune_mlp.data.mnist import cache_folder
from tune_mlp.results.results import Results
from tune_mlp.space.space import to_config
from tune_mlp.study.study import Study

ROOT = Path(__file__).parents[1]
SPACES = Path("benchmarks") / "spaces"
STOCK = Path("benchmarks") / "peers" / "stock_ray_tune.py"
CORES = os.cpu_count() or 1


def command(*arguments: str) -> str:
    """Run a Python command from the checkout as a user would, and return what it printed; its threads are its own choice."""
    data = os.environ.get("TUNE_MLP_DATA") or str(cache_folder())
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "TUNE_MLP_DATA": data},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stdout[-500:]}{done.stderr[-2000:]}"
        )
    return done.stdout


@dataclass(frozen=True)
class Searched:
    """The outcome of one `python -m tune_mlp.search`, timed from the start of the process to its end."""

    wall: float
    trials: int
    failed: int
    epochs: int
    training: float
    """The seconds of training, summed over the trials."""
    evaluation: float
    """The seconds of evaluation, summed over the trials."""
    best: float
    """The winner's best validation accuracy."""
    engine: str
    phases: dict[str, float]
    """The seconds of each phase of the run, from its manifest."""

    @property
    def overhead(self) -> float:
        """The wall time, times the number of cores, divided by the seconds of training and evaluation."""
        return self.wall * CORES / (self.training + self.evaluation)


def search(*arguments: str) -> Searched:
    """Run one, in a folder that is removed again."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["-m", "tune_mlp.search", "--quiet", "--out", folder, "--name", "bench", *arguments]
        wall = timed(lambda: command(*words))
        results = Results.load(Path(folder) / "bench")
    trials, epochs = results.trials, results.epochs
    training = math.fsum(trials["train_seconds"])
    return Searched(
        wall=wall,
        trials=len(trials),
        failed=int((trials["state"] == "failed").sum()),
        epochs=int(trials["epochs"].sum()),
        training=training,
        evaluation=math.fsum(epochs["seconds"]) - training,
        best=float(trials["best_val_accuracy"].max()),
        engine=str(trials["engine"].iloc[0]),
        phases=results.manifest["phases"],
    )


COLUMNS = ("study", "wall, s", "trials", "epochs", "trial-seconds", "best accuracy", "stock / this")


def race(repeats: int, console: Console) -> list[Table]:
    """Time the origin study's 25 draws from start to end: ours, then the stock script, then ours again."""
    study = Study.load(ROOT / SPACES / "origin_asha.yaml")
    draws = [to_config(params) for params in itertools.islice(study.draws(), study.number_of_trials)]
    fields = ("lr", "batch_size", "depth", "width", "loss")
    configs = [{name: getattr(config, name) for name in fields} for config in draws]
    space = str(SPACES / "origin_asha.yaml")
    console.print("the origin study, ours", style="dim")
    ours = [search("--space", space)]
    console.print("the origin study, the stock script: minutes", style="dim")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "configs.json"
        file.write_text(json.dumps(configs))
        output: list[str] = []
        wall = timed(lambda: output.append(command(str(STOCK), "--configs", str(file))))
    stock = json.loads(output[0].strip().splitlines()[-1])
    for _ in range(repeats - 1):
        console.print("the origin study, ours again", style="dim")
        ours.append(search("--space", space))
    middle = sorted(ours, key=lambda searched: searched.wall)[len(ours) // 2]
    walls = ", ".join(f"{searched.wall:.1f}" for searched in ours)
    ratio = wall / median([searched.wall for searched in ours])
    table = Table(
        "The origin study: 25 trials under ASHA",
        COLUMNS,
        rows=[
            _stock_row("stock Ray Tune script", wall, stock),
            [*_row(f"tune_mlp.search, {middle.engine}", middle), f"{ratio:.1f}"],
        ],
        notes=[
            "The same 25 configurations (draws of our study, seed 0), 48,000 and 12,000 of MNIST, one CPU a trial, both "
            "cores; from the start of the process to its end.",
            f"Ours is the median of {walls} s; the first before the stock script, which ran once, the others after it.",
        ],
        targets=[at_least(ratio, 15, "the origin study, the stock script's wall time over ours"), _all_well(middle)],
    )
    return [table, _where_time_goes(middle)]


PHASES = {
    "data": "reading and checking the data",
    "ray": "starting and ending Ray, with Ray Tune's import meanwhile",
    "kernels": "looking for compiled kernels",
    "folder": "the run's folder",
    "workers": "starting the first worker, with its imports",
    "test": "the winner's test",
    "tables": "writing the tables",
}
"""The phases beside the trials, and what each contains."""


def _where_time_goes(searched: Searched) -> Table:
    share = {"imports, and the process's start and end": searched.wall - math.fsum(searched.phases.values())}
    share |= {text: searched.phases[phase] for phase, text in PHASES.items()}
    share |= {"training": searched.training / CORES, "evaluation": searched.evaluation / CORES}
    idle = "the rest of the trials' phase: the controller, and cores without a trial at the end"
    share[idle] = searched.phases["trials"] - share["training"] - share["evaluation"]
    rows = [[what, f"{seconds:.2f}", f"{seconds / searched.wall:.0%}"] for what, seconds in share.items()]
    rows.append(["wall", f"{searched.wall:.2f}", "100%"])
    notes = [f"Training and evaluation are summed over the trials and divided by {CORES} cores."]
    return Table("Where our seconds go in the origin study", ["part", "s", "share"], rows, notes)


def _stock_row(name: str, wall: float, stock: dict[str, float]) -> list[str]:
    counts = [str(stock[key]) for key in ("trials", "epochs")]
    return [name, f"{wall:.1f}", *counts, f"{stock['trial_seconds']:.1f}", f"{stock['best_accuracy']:.4f}", "1"]


def _row(name: str, searched: Searched) -> list[str]:
    seconds = searched.training + searched.evaluation
    counts = [str(searched.trials), str(searched.epochs)]
    return [name, f"{searched.wall:.1f}", *counts, f"{seconds:.1f}", f"{searched.best:.4f}"]


def _all_well(searched: Searched) -> Target:
    return Target(f"{searched.failed} of {searched.trials} trials failed", searched.failed == 0)


def quick_stock() -> Table:
    """Check that the stock script still runs."""
    output: list[str] = []
    wall = timed(lambda: output.append(command(str(STOCK), "--quick")))
    stock = json.loads(output[0].strip().splitlines()[-1])
    notes = ["2 trials of at most 4 epochs on 2,000 pictures: it runs; nothing is compared."]
    return Table("The stock Ray Tune script, tiny", COLUMNS, [_stock_row("stock Ray Tune script", wall, stock)], notes)


def digits_grid() -> Table:
    """Time the digits grid, which has 384 nets."""
    searched = search("--space", str(SPACES / "digits_grid.yaml"))
    return Table(
        "The digits grid: 384 nets, 250 epochs each",
        COLUMNS[:-1],
        rows=[_row(f"tune_mlp.search, {searched.engine}", searched)],
        notes=[f"One run, from the start of the process to its end, {CORES} cores."],
        targets=[at_most(searched.wall, 120, "the digits grid", " s"), _all_well(searched)],
    )


def hundred_trials() -> Table:
    """Measure how much of a search of 100 trials is training."""
    searched = search("--space", "mnist_asha", "--trials", "100")
    return Table(
        "100 trials of mnist_asha",
        [*COLUMNS[:-1], "wall x cores / trial-seconds"],
        rows=[[*_row(f"tune_mlp.search, {searched.engine}", searched), f"{searched.overhead:.2f}"]],
        notes=["One run, from the start of the process to its end. Trial-seconds are training and evaluation."],
        targets=[at_most(searched.overhead, 1.25, "wall x cores over training and evaluation"), _all_well(searched)],
    )


def is_compiled() -> bool:
    """Tell if this version has the compiled engine, without which long studies take too long."""
    return "compiled" in engines()
