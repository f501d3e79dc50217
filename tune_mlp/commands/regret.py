"""The word `regret`: what the scheduler's stops cost, and what other settings of it would have saved and lost."""

from __future__ import annotations

import argparse

from tune_mlp.commands.arguments import AddWord, add_run, add_training, followed, seed, show


def add_word(word: AddWord) -> None:
    """Add the word to the command line."""
    parser = word(
        "regret",
        _regret,
        "Train a random few of the stopped trials to the end: how likely did the scheduler stop the winner, and what did that cost? "
        "And what would other settings of the scheduler have saved and lost? What was trained is kept, so the same command goes on "
        "after an interruption.",
        "example:\n  tune-mlp regret runs/mnist_asha-20260101-120000 --share 0.2\n",
    )
    add_run(parser)
    parser.add_argument(
        "--share",
        type=float,
        default=0.05,
        metavar="S",
        help="The share of the stopped trials to train to the end, at least 8 of them (default: 0.05).",
    )
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="The seed that draws them (default: 0).")
    add_training(parser)


def _regret(args: argparse.Namespace) -> None:
    """Answer for the run that the command line names."""
    where, request, display = followed(args, "of which no trial can be trained to the end")
    from tune_mlp.followup.regret import train_and_regret  # late: ray, pandas

    show(args, train_and_regret(where, args.share, args.seed, request, display))
