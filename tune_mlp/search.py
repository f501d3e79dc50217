"""The main job: `python -m tune_mlp.search --space mnist_asha`."""

from __future__ import annotations

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    # `python -m` puts the working directory first, where a stranger's `numba.py` would be taken for the package.
    sys.path.append(sys.path.pop(0))

import argparse
from collections.abc import Sequence
from pathlib import Path

from tune_mlp.console.study_options import add_study_options, named_study
from tune_mlp.console.terminal import OneLineParser, guarded, leave, make_console
from tune_mlp.imports import large_imports

EXAMPLE = """\
examples:
  python -m tune_mlp.search --space mnist_asha
  python -m tune_mlp.search --space digits_quick --set lr=0.01 --set optimizer=adam --trials 10
  python -m tune_mlp.search --space my_study.yaml --time-budget 10m --csv trials.csv

`tune-mlp spaces` lists the shipped spaces. Exit status: 0 at least one trial succeeded, 1 none did or a run-time
fault, 2 bad usage, space file or data, 130 or 143 interrupted.
"""


PROG = "python -m tune_mlp.search"


def make_parser() -> argparse.ArgumentParser:
    """The options of DESIGN's contract."""
    parser = OneLineParser(
        prog=PROG,
        description="Search a space of PyTorch MLPs on Ray Tune and leave a table of trials.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_study_options(parser)
    add = parser.add_argument
    add(
        "--out",
        default="runs",
        metavar="DIR|URI",
        help="Where runs are kept, s3://bucket/runs for one (default: runs/).",
    )
    add("--name", metavar="NAME", help="The run's folder in --out; left out, SPACE-YYYYmmdd-HHMMSS.")
    add("--csv", type=Path, metavar="FILE", help="Write the table of trials there, too.")
    add("--quiet", action="store_true", help="Print the best row only.")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    args = make_parser().parse_args(arguments)
    return guarded(lambda: _search(args, (*PROG.split(), *arguments)))


def _search(args: argparse.Namespace, command: tuple[str, ...]) -> None:
    study = named_study(args)
    # Late: these import ray and pandas, which a mistake above needn't wait for.
    with large_imports():
        from tune_mlp.console.live_view import make_display
        from tune_mlp.console.summary import best_line, show_summary
        from tune_mlp.tuning.run import Request, run_study

    console = make_console(optional=True)
    request = Request(args.out, args.name, args.address, args.data_dir, args.csv, command)
    results = run_study(study, request, make_display(console, args.quiet))
    if args.quiet:
        console.print(best_line(results), soft_wrap=True, highlight=False)
    else:
        show_summary(console, results, args.csv)


if __name__ == "__main__":
    leave(main())
