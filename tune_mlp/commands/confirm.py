"""The word `confirm`: the best configurations are trained again from fresh seeds."""

from __future__ import annotations

import argparse

from tune_mlp.commands.arguments import AddWord, add_run, add_training, followed, show


def add_word(word: AddWord) -> None:
    """Add the word to the command line."""
    parser = word(
        "confirm",
        _confirm,
        "Train a run's best configurations again from fresh seeds: which is best, and which can't be told apart from it. What was "
        "trained is kept, so the same command goes on after an interruption.",
        "example:\n  tune-mlp confirm runs/mnist_asha-20260101-120000 --top 5 --seeds 5\n",
    )
    add_run(parser)
    parser.add_argument("--top", type=int, default=5, metavar="N", help="The number of configurations (default: 5).")
    parser.add_argument(
        "--front",
        action="store_true",
        help="Confirm the trials of the Pareto front, of a study with several goals, in place of the best ones; all of them.",
    )
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="The fresh seeds of each (default: 5).")
    add_training(parser)


def _confirm(args: argparse.Namespace) -> None:
    """Confirm the best configurations of a run."""
    where, request, display = followed(args, "of which no configuration can be trained again")
    from tune_mlp.followup.confirm import confirm  # late: ray, pandas

    show(args, confirm(where, args.top, args.seeds, request, display, front=args.front))
