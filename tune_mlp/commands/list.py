"""The word `list`: the studies of a service, where each stands, and its best value."""

from __future__ import annotations

import argparse

from tune_mlp.commands.arguments import AddWord, add_answer_format, show
from tune_mlp.commands.server_arguments import add_server, client_of

EXAMPLE = """\
examples:
  tune-mlp list --state running
  tune-mlp list --search mnist --to csv --server http://lab.example:8642
"""
SHOWN = 50
"""The number of rows that a person is shown."""


def add_word(word: AddWord) -> None:
    """Add the word to the command line."""
    parser = word(
        "list", _list, "List the studies of a service: where each stands, its best value, and whose it is.", EXAMPLE
    )
    parser.add_argument(
        "--state",
        metavar="STATE",
        help="Only studies in this state: queued, running, stopping, stopped, finished, interrupted or failed.",
    )
    parser.add_argument("--search", metavar="TEXT", help="Only studies whose name, space or dataset holds this text.")
    add_server(parser)
    add_answer_format(parser)


def _list(args: argparse.Namespace) -> None:
    """Print the list."""
    from tune_mlp.errors import UsageError, did_you_mean  # late: pandas, httpx
    from tune_mlp.service.messages import StudyState
    from tune_mlp.service.study_table import study_table

    states = [state.value for state in StudyState]
    if args.state is not None and args.state not in states:
        raise UsageError(f"--state: no study is ever {args.state!r:.40}{did_you_mean(args.state, states)}")
    with client_of(args) as client:
        answer = study_table(client, args.search, args.state)
    show(args, answer.top(SHOWN) if args.to == "text" else answer)
