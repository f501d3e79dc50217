"""Run all measurements with one command: `make bench`, or `make bench QUICK=1` for the short form.

The contenders of a table take turns in one process tree, one thread each, and ratios are of medians from the same run.
The full form writes RECORDS.md; `--only` runs some parts, and replaces no other part's section.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

import torch
from rich.console import Console
from threadpoolctl import threadpool_limits

from benchmarks import (
    cells,
    corrected_scores,
    importance,
    machine,
    memory,
    plateau,
    real_tables,
    search_methods,
    service_load,
    service_scale,
    studies,
    whole_epochs,
)
from benchmarks.tables import Table, terminal, write_records

REPEATS, QUICK_REPEATS = 7, 3
PLACES = {"tables": machine.ROOT / "docs" / "tables.md"}
"""The parts whose tables aren't kept in RECORDS.md."""
CALM = 0.2
"""The number of busy cores from which on a warning is printed."""


def parts(quick: bool, repeats: int, console: Console) -> dict[str, Callable[[], list[Table]]]:
    """Return what can be measured, by name, in the order in which it is measured."""
    found: dict[str, Callable[[], list[Table]]] = {
        "peers": lambda: cells.measure(machine.measure_limits(), repeats, quick, console),
        "epochs": lambda: [whole_epochs.one_and_many(repeats, quick)],
        "pair": lambda: [whole_epochs.two_at_once(repeats, quick)],
    }
    if quick:
        return found | {"stock": lambda: [studies.quick_stock()]}
    found["memory"] = lambda: [memory.one_more_worker(quick)]
    found["importance"] = lambda: importance.measure(console)
    found["tables"] = lambda: real_tables.measure(console)
    found["compare"] = lambda: [corrected_scores.measure()]
    found["search"] = lambda: search_methods.measure(console)
    found["plateau"] = lambda: [plateau.measure()]
    found["service"] = lambda: [*service_scale.measure(console), *service_load.measure(console)]
    found["race"] = lambda: studies.race(3, console)
    if studies.is_compiled():  # eager would take hours
        found["grid"] = lambda: [studies.digits_grid()]
        found["hundred"] = lambda: [studies.hundred_trials()]
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="Smaller and fewer repetitions: under 3 minutes.")
    parser.add_argument(
        "--only",
        metavar="PART,...",
        help="Some of: peers, epochs, pair, memory, importance, tables, compare, search, plateau, service, race, grid, hundred.",
    )
    parser.add_argument(
        "--repeats", type=int, metavar="N", help=f"Repetitions (default {REPEATS}, quick {QUICK_REPEATS})."
    )
    parser.add_argument(
        "--write", action=argparse.BooleanOptionalAction, help="Write RECORDS.md (the full form does by itself)."
    )
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    threadpool_limits(1)
    console = terminal()
    able = parts(args.quick, args.repeats or (QUICK_REPEATS if args.quick else REPEATS), console)
    wanted = args.only.split(",") if args.only else list(able)
    if unknown := set(wanted) - set(able):
        parser.error(f"no such part here: {', '.join(sorted(unknown))}; there are {', '.join(able)}")

    write = not args.quick if args.write is None else args.write
    if write and (changed := machine.changed_files()):
        parser.error(
            f"records are written from a clean commit, and {_some(changed)} changed; commit, or give --no-write"
        )

    said = " ".join(["python -m benchmarks.bench", *(["--quick"] if args.quick else [])])
    said += f" --only {args.only}" if args.only else ""
    commit = machine.commit()  # as of now: a benchmark may draw figures
    console.print(f"{machine.facts()}; commit {commit}\n", highlight=False)
    began = time.perf_counter()
    tables: list[Table] = []
    for name in wanted:
        busy = machine.busy()
        if busy > CALM:
            console.print(f"other processes keep {busy:.1f} cores busy: these timings prove little", style="red")
        for table in able[name]():
            if busy > CALM:
                table.notes.append(f"Before it, other processes kept {busy:.1f} of the cores busy.")
            table.show(console)
            tables.append(table)
            if write:
                # At once: what comes later may take long, or fail.
                write_records([table], f"commit {commit}, `{said}`", PLACES.get(name))
    if args.quick:
        console.print(
            "The short form's epochs are short, so what an epoch costs once weighs more: its verdicts are hints."
        )
    targets = [target for table in tables for target in table.targets]
    met = sum(target.met for target in targets)
    console.print(f"{met} of {len(targets)} targets met; {time.perf_counter() - began:.0f} s", highlight=False)


def _some(names: Sequence[str]) -> str:
    """Return the first few of some names."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


if __name__ == "__main__":
    main()
