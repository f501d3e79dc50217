"""The search: its options and its job, for `tune-mlp search` and for `python -m tune_mlp.search`."""

from __future__ import annotations

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    # `python -m` puts the working directory first, where a stranger's `numba.py` would be taken for the package.
    sys.path.append(sys.path.pop(0))

if __name__ == "__main__":
    from tune_mlp.early_interrupt import answer_interrupts

    answer_interrupts()  # the imports below take half a second

import argparse
from collections.abc import Sequence
from pathlib import Path

from tune_mlp.console.terminal import HelpFormatter, OneLineParser, guarded, leave, make_console
from tune_mlp.errors import Interrupted
from tune_mlp.imports import large_imports

EXAMPLE = """\
examples:
  {prog} --space mnist_asha
  {prog} --space digits_quick --set lr=0.01 --set optimizer=adam --trials 10
  {prog} --space my_study.yaml --time-budget 10m --csv trials.csv

`tune-mlp spaces` lists the shipped spaces. Exit status: 0 at least one trial succeeded, 1 no trial did or a fault while
the search ran, 2 bad usage, study file or data, 130 or 143 interrupted.
"""
DESCRIPTION = "Search a space of PyTorch MLPs on Ray Tune and leave a table of trials."
PROG = "python -m tune_mlp.search"


def add_search_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a search."""
    from tune_mlp.console.study_options import add_study_options  # numpy and pydantic take 0.3 s to import

    add_study_options(parser)
    add = parser.add_argument
    add(
        "--out",
        default="runs",
        metavar="DIR|URI",
        help="The folder in which each run gets a folder of its own, or an address such as s3://bucket/runs (default: runs/).",
    )
    add("--name", metavar="NAME", help="The name of the run's folder in --out (default: SPACE-YYYYmmdd-HHMMSS).")
    add("--csv", type=Path, metavar="FILE", help="Write the table of trials to this file, too.")
    add("--no-report", action="store_true", help="Write no report.html at the end.")
    add("--quiet", action="store_true", help="Print one line only: the best trial.")


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of `python -m tune_mlp.search`."""
    parser = OneLineParser(
        prog=PROG,
        description=DESCRIPTION,
        epilog=EXAMPLE.format(prog=PROG),
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    add_search_options(parser)
    return parser


def search(args: argparse.Namespace) -> None:
    """Run the study that the command line names, and print what was found."""
    from tune_mlp.console.study_options import named_study

    study = named_study(args)
    # Imported after that: these import ray and pandas, and a mistake in the study is answered sooner without them.
    with large_imports():
        from tune_mlp.console.live_view import make_display
        from tune_mlp.console.summary import best_line, show_best_so_far, show_summary
        from tune_mlp.report.after_search import ReportAtTheEnd
        from tune_mlp.tuning.run import Request, run_study

    console, report = make_console(), ReportAtTheEnd()
    display = make_display(console, args.quiet)
    request = Request(args.out, args.name, args.address, args.data_dir, args.csv, tuple(args.command), report=report)
    try:
        results = run_study(study, request, display)
    except Interrupted:
        show_best_so_far(console, display)
        raise
    if args.quiet:
        console.print(best_line(results), soft_wrap=True, highlight=False, markup=False)
    else:
        from tune_mlp.insight.closing_lines import closing_lines  # scipy takes 0.1 s to import

        show_summary(console, results, args.csv, closing_lines(report.results or results))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    args = make_parser().parse_args(arguments)
    args.command = (*PROG.split(), *arguments)
    return guarded(lambda: search(args))


if __name__ == "__main__":
    leave(main())
