"""The word `stop`: studies of a service save what they have and end; nothing of them is deleted."""

from __future__ import annotations

import argparse

from tune_mlp.commands.arguments import AddWord
from tune_mlp.commands.server_arguments import add_server, client_of
from tune_mlp.errors import RunError, TuneMlpError


def add_word(word: AddWord) -> None:
    """Add the word to the command line."""
    parser = word(
        "stop",
        _stop,
        "Ask studies of a service to save what they have and to end. Nothing is deleted, and each can be resumed.",
        "example:\n  tune-mlp stop first second --server http://lab.example:8642\n",
    )
    parser.add_argument("names", nargs="+", metavar="NAME", help="The study's name in the service.")
    add_server(parser)


def _stop(args: argparse.Namespace) -> None:
    """Stop each study; one that can't be stopped doesn't keep the others running."""
    failed: list[TuneMlpError] = []
    with client_of(args) as client:
        for name in args.names:
            try:
                print(f"{name}: {client.stop(name).state}", flush=True)
            except TuneMlpError as error:
                failed.append(error)
    if len(failed) == 1:
        raise failed[0]
    if failed:
        raise RunError(f"{len(failed)} of {len(args.names)} studies can't be stopped; the first: {failed[0]}")
