"""What the compiled engine's vector instructions gain over plain numba: `python -m benchmarks.ablation`.

Each variant trains in a process of its own, which compiles its own kernels: all vector instructions, and the kernels
without each kind of them. The variants take turns, and each figure is a minimum of the repetitions: a
ratio above 1 says that the vector instructions are faster. A variant takes half a minute to compile.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import itertools
import math
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks import machine
from benchmarks.cells import Cell, mlp, problem
from benchmarks.children import Child, Work
from benchmarks.tables import Table, figure, terminal

PLAIN = ("multiply", "prefetch")
"""The vector instructions that the kernels use; each can be left out."""
NETS = ((64,), (256,), (256, 256))
BATCHES = (1, 32)
SAMPLES = 12_000
REPEATS = 15


def epochs(plain: Sequence[str]) -> list[Work]:
    """Put plain numba in the place of these, and return an epoch of each net and batch size, in the order of `cells`."""
    compiled = "tune_mlp.engines.compiled"
    matmul, simd, jit = (importlib.import_module(f"{compiled}.{name}") for name in ("matmul", "simd", "jit"))
    if "multiply" in plain:  # before the kernels are imported, which take it by name
        matmul.multiply = matmul.multiply_by_rows  # type: ignore[attr-defined]  # mypy sees a module of any name
    if "prefetch" in plain:
        simd.prefetch = jit.inline(lambda array: None)  # type: ignore[attr-defined]  # likewise
    engine = importlib.import_module(f"{compiled}.engine").CompiledEngine()
    runs = [engine.start(cell.config, problem("mnist", SAMPLES), 0, seed=0) for cell in cells()]
    numbers = [itertools.count(1) for _ in runs]
    works: list[Work] = [
        lambda run=run, number=number: run.train_epoch(next(number))  # type: ignore[misc]
        for run, number in zip(runs, numbers, strict=True)
    ]
    for work in works:
        work()  # compiles
    return works


def cells() -> list[Cell]:
    """Return the nets of the ablation, each with both batch sizes."""
    return [Cell("mnist", mlp(widths, batch)) for widths in NETS for batch in BATCHES]


def measure(repeats: int, console: Console) -> Table:
    """Time every variant in turns."""
    variants: dict[str, Sequence[str]] = {"all vector": (), **{f"no vector {name}": (name,) for name in PLAIN}}
    variants["all plain"] = PLAIN
    least = {name: [math.inf] * len(cells()) for name in variants}
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        children = {}
        for name, left_out in variants.items():
            console.print(f"compiling: {name}", style="dim")
            cache = {"NUMBA_CACHE_DIR": str(home / name.replace(" ", "-"))}
            children[name] = stack.enter_context(Child(epochs, left_out, environment=cache, clock=time.process_time))
        for _ in range(repeats):
            for name, child in children.items():
                child.ask()
                least[name] = [min(pair) for pair in zip(least[name], child.seconds(), strict=True)]
    table = Table(
        "What vector instructions gain over plain numba",
        ["net", "batch", "all vector, us a step", *(f"{name} / vector" for name in variants if name != "all vector")],
        notes=[
            f"One process and one thread a variant, in turns; minima of the processor time of {repeats} epochs of {SAMPLES:,} pictures, plain SGD. "
            "Above 1 the vector instructions are the faster ones."
        ],
    )
    for place, cell in enumerate(cells()):
        seconds = {name: values[place] for name, values in least.items()}
        vector = seconds.pop("all vector")
        step = vector / math.ceil(SAMPLES / cell.config.batch_size) * 1e6
        table.rows.append(
            [
                cell.net,
                str(cell.config.batch_size),
                figure(step),
                *(f"{value / vector:.3f}" for value in seconds.values()),
            ]
        )
    return table


def main() -> None:
    """Measure and print, also as a section for RECORDS.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=REPEATS, metavar="N", help=f"Repetitions (default {REPEATS}).")
    args = parser.parse_args()
    console = terminal()
    console.print(f"{machine.busy():.1f} cores are busy with other work", highlight=False)
    table = measure(args.repeats, console)
    table.show(console)
    print(table.markdown(f"commit {machine.commit()}, `python -m benchmarks.ablation`"))


if __name__ == "__main__":
    main()
