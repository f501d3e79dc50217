"""The word `audit`: derives every decision of a run's scheduler anew from the journal."""

from __future__ import annotations

import argparse

from tune_mlp.commands.arguments import AddWord, add_answer_format, add_run, refuse_table, show
from tune_mlp.errors import RunError


def add_word(word: AddWord) -> None:
    """Add the word `audit`."""
    parser = word(
        "audit",
        _audit,
        "Derive every decision of a run's scheduler anew from the journal, through the scheduler's own code, and whatever else "
        "the run claims. Exit status: 0 all of it follows, 1 something differs, 2 bad usage.",
    )
    add_run(parser)
    add_answer_format(parser)


def _audit(args: argparse.Namespace) -> None:
    refuse_table(args.run, "which holds no decisions")
    from tune_mlp.results.results import Results  # late: ray, pandas
    from tune_mlp.tuning.audit import audit

    answer = audit(Results.load(args.run))
    show(args, answer)
    if answer.facts["differ"]:
        raise RunError(f"{args.run}: {answer.sentence}")
