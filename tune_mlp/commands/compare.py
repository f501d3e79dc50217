"""The word `compare`: is trial A better than trial B, and which trials can't be told from the winner?"""

from __future__ import annotations

import argparse

from tune_mlp.commands.arguments import AddWord, add_answer_format, add_run, refuse_table, seed, show

EXAMPLE = """\
examples:
  tune-mlp compare runs/mnist_asha-20260101-120000
  tune-mlp compare runs/mnist_asha-20260101-120000 7 3
"""
SHOWN = 12
"""The number of rows that a person is shown."""


def add_word(word: AddWord) -> None:
    """Add the word to the command line."""
    parser = word(
        "compare",
        _compare,
        "Compare trials on the same validation samples: is one better than another? Without TRIAL: which trials can't be told from "
        "the winner, and what is its score worth once it is corrected for having been picked?",
        EXAMPLE,
    )
    add_run(parser)
    parser.add_argument("trials", type=int, nargs="*", metavar="TRIAL", help="The trials to compare with each other.")
    parser.add_argument(
        "--seed", type=seed, default=0, metavar="N", help="The seed of the correction's bootstraps (default: 0)."
    )
    add_answer_format(parser)


def _compare(args: argparse.Namespace) -> None:
    """Print the comparison."""
    from tune_mlp.insight.compare import compare  # late: pandas, scipy
    from tune_mlp.results.results import Results

    refuse_table(args.run, "which doesn't say which samples each trial got right")
    answer = compare(Results.load(args.run), args.trials, args.seed)
    show(args, answer.top(SHOWN) if args.to == "text" else answer)
