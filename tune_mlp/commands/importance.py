"""`tune-mlp importance RUN|TABLE`: which parameters matter."""

from __future__ import annotations

import argparse

from tune_mlp.commands.arguments import AddWord, add_answer_format, add_run_or_table, results_of, seed, show


def add_word(word: AddWord) -> None:
    """Add the word `importance`."""
    parser = word(
        "importance",
        _importance,
        "Say which parameters matter for the score: the share of its variance, what a good choice brings, and whether placebos, "
        "shuffled copies of the parameters, look the same.",
    )
    add_run_or_table(parser)
    parser.add_argument(
        "--seed", type=seed, default=0, metavar="N", help="The seed of the shuffles and resamples (default: 0)."
    )
    add_answer_format(parser)


def _importance(args: argparse.Namespace) -> None:
    from tune_mlp.insight.importance import importance  # pandas takes 0.4 s to import

    show(args, importance(results_of(args), args.seed))
