"""The word `explain`: pictures of a trained net from the inside."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tune_mlp.commands.arguments import AddWord, add_answer_format, add_data_source, add_run, refuse_table, show


def add_word(word: AddWord) -> None:
    """Add the word to the command line."""
    parser = word(
        "explain",
        _explain,
        "Draw a trained net from the inside: what it confuses, its worst mistakes, what its outputs look for, its weights and "
        "activations, a map of its samples; for tables the inputs that it needs, and its residuals.",
        "examples:\n  tune-mlp explain runs/mine\n  tune-mlp explain runs/mine --trial 7 --epochs\n",
    )
    add_run(parser)
    parser.add_argument(
        "--trial",
        type=int,
        metavar="N",
        help="The trial whose net is drawn (default: the winner). Any other than the winner is trained again.",
    )
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="The folder for the pictures and their page (default: RUN/explain)."
    )
    parser.add_argument(
        "--epochs", action="store_true", help="Draw the weights over the epochs, too; the net is trained again for it."
    )
    add_data_source(parser)
    add_answer_format(parser)


def _explain(args: argparse.Namespace) -> None:
    refuse_table(args.run, "which holds no net")
    from tune_mlp.charts.explained import explain  # late: torch, pandas, altair
    from tune_mlp.explain.data_source import DataSource
    from tune_mlp.results.results import Results

    source = DataSource(args.data_dir, tuple(args.dataset), say=lambda line: print(line, file=sys.stderr))
    show(args, explain(Results.load(args.run), args.trial, args.output, args.epochs, source))
