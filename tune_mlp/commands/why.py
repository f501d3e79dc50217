"""The word `why`: each decision of the scheduler on a trial, and how the trial ended."""

from __future__ import annotations

import argparse

from tune_mlp.commands.arguments import AddWord, add_answer_format, add_run, refuse_table, show


def add_word(word: AddWord) -> None:
    """Add the word `why`."""
    parser = word(
        "why",
        _why,
        "Say why a trial was stopped, finished, diverged or failed: each decision of the scheduler, with the cutoff and the "
        "trials that were ahead.",
    )
    add_run(parser)
    parser.add_argument("trial", type=int, metavar="TRIAL", help="The trial's number.")
    add_answer_format(parser)


def _why(args: argparse.Namespace) -> None:
    refuse_table(args.run, "which holds no decisions")
    from tune_mlp.insight.why import why  # late: pandas
    from tune_mlp.results.results import read_events

    show(args, why(read_events(args.run), args.trial))
