"""The word `replay`: trials are trained again, and compared epoch by epoch."""

from __future__ import annotations

import argparse

from tune_mlp.commands.arguments import AddWord, add_run, add_training, followed, seed, show
from tune_mlp.errors import RunError, UsageError


def add_word(word: AddWord) -> None:
    """Add the word to the command line."""
    parser = word(
        "replay",
        _replay,
        "Train trials of a run again from their recorded seeds, and compare metrics and weights epoch by epoch, to the bit. Exit "
        "status: 1 where they differ on a machine of the same kind with the same versions.",
        "examples:\n  tune-mlp replay runs/mine 7\n  tune-mlp replay runs/mine --random 5 --seed 1\n",
    )
    add_run(parser)
    parser.add_argument("trials", nargs="*", type=int, metavar="TRIAL", help="The numbers of the trials.")
    parser.add_argument("--random", type=int, metavar="N", help="Take so many random trials.")
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="The seed that picks them (default: 0).")
    add_training(parser)


def _replay(args: argparse.Namespace) -> None:
    """Train trials again and compare them."""
    where, request, display = followed(args, "of which no trial can be trained again")
    if bool(args.trials) == (args.random is not None):
        raise UsageError("replay: name trials, or give --random N")
    from tune_mlp.followup.replay import replay  # late: ray, pandas

    replayed = replay(where, args.trials, args.random, args.seed, request, display)
    show(args, replayed.answer)
    if replayed.failure:
        raise RunError(replayed.failure)
