"""Arguments that several words of `tune-mlp` share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tune_mlp.console.terminal import OneLineParser
from tune_mlp.errors import UsageError

if TYPE_CHECKING:  # pandas takes 0.4 s to import, and `--help` needs none of it
    from tune_mlp.console.board import Display
    from tune_mlp.results.answer import Answer
    from tune_mlp.results.results import Results
    from tune_mlp.results.storage import ObjectStore
    from tune_mlp.tuning.run import Request

TABLE_ENDINGS = (".csv", ".parquet", ".pq")
"""The endings of a TABLE's name; anything else is a RUN."""


class AddWord(Protocol):
    """Adds a word to the command line: its name, the function that does it, and one sentence for its help."""

    def __call__(
        self, name: str, job: Callable[[argparse.Namespace], None], text: str, example: str = ""
    ) -> OneLineParser: ...


def add_run(parser: OneLineParser) -> None:
    """Add the argument RUN."""
    parser.add_argument(
        "run", metavar="RUN", help="The run: its folder, its address on an object store, or its name in runs/."
    )


def add_run_or_table(parser: OneLineParser) -> None:
    """Add the argument RUN|TABLE, and the options that name what a table from elsewhere doesn't say."""
    parser.add_argument(
        "run",
        metavar="RUN|TABLE",
        help="The run: its folder, its address on an object store, or its name in runs/. Or a CSV or Parquet file of trials "
        "from anywhere.",
    )
    parser.add_argument("--metric", metavar="NAME", help="The metric to judge by (default: the study's).")
    parser.add_argument("--mode", choices=["min", "max"], help="Whether a small or a large value is good.")
    parser.add_argument(
        "--params", metavar="A,B,...", help="The parameters to judge (default: all; a table may have to be told)."
    )


def seed(text: str) -> int:
    """Read a seed, for argparse."""
    if not text.isdecimal() or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"must be a whole number from 0, got {text!r:.40}")
    return int(text)


def add_answer_format(parser: OneLineParser) -> None:
    """Add the option `--to` of a word that answers with a table."""
    parser.add_argument(
        "--to", choices=["text", "json", "csv", "markdown"], default="text", help="The answer's format (default: text)."
    )


def add_training(parser: OneLineParser) -> None:
    """Add the options of a word that trains a run's trials again, and answers."""
    add_address(parser)
    add_answer_format(parser)


def add_address(parser: OneLineParser) -> None:
    """Add the options of a word that trains: where Ray and the data are."""
    parser.add_argument(
        "--address",
        metavar="auto|ADDR",
        help="The address of a running Ray cluster; without it, Ray is started on this machine.",
    )
    add_data_source(parser)


def add_data_source(parser: OneLineParser) -> None:
    """Add the options of a word that reads a run's data: where they are, and which code may be called for them."""
    parser.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="The folder in which datasets are looked for first."
    )
    parser.add_argument(
        "--dataset",
        action="append",
        default=[],
        metavar="PACKAGE.MODULE:FUNCTION",
        help="The function that the run's data come from, if there is one. It is called only if you name it here.",
    )


def request_of(args: argparse.Namespace) -> Request:
    """Return what the options of a word that trains ask for."""
    from tune_mlp.tuning.run import Request

    return Request(address=args.address, data_dir=args.data_dir, command=args.command, functions=tuple(args.dataset))


def progress() -> Display:
    """Return a display on the standard error, since nothing but the answer may stand on the standard output."""
    from tune_mlp.console.live_view import make_display
    from tune_mlp.console.terminal import make_console

    return make_display(make_console(errors=True), quiet=False)


def followed(args: argparse.Namespace, because: str) -> tuple[Path | ObjectStore, Request, Display]:
    """Return where the run lies whose trials are to be trained again, what the options ask for, and a display. `because` says
    why a table can't be followed."""
    refuse_table(args.run, because)
    from tune_mlp.results.results import find_run

    return find_run(args.run), request_of(args), progress()


def results_of(args: argparse.Namespace) -> Results:
    """Return the results of RUN|TABLE, judged by the metric that the options name."""
    from tune_mlp.results.results import Results

    params = None if args.params is None else [name.strip() for name in args.params.split(",") if name.strip()]
    if args.run.lower().endswith(TABLE_ENDINGS):
        return Results.from_table(args.run, args.metric, args.mode, params)
    return Results.load(args.run).judged_by(args.metric, args.mode, params)


def refuse_table(run: str, because: str) -> None:
    """Refuse a table where a run is needed: `because` says what a table lacks."""
    if run.lower().endswith(TABLE_ENDINGS):
        raise UsageError(f"{run} is a table, {because}: name the run itself")


def show(args: argparse.Namespace, answer: Answer) -> None:
    """Print an answer in the format that was asked for."""
    from tune_mlp.console.answers import print_answer
    from tune_mlp.console.terminal import make_console

    print_answer(make_console(), answer, args.to)
