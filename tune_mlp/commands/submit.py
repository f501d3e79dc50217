"""The word `submit`: a study is sent to a service, which runs it when its turn comes."""

from __future__ import annotations

import argparse
from pathlib import Path

from tune_mlp.commands.arguments import AddWord
from tune_mlp.commands.server_arguments import add_server, client_of
from tune_mlp.commands.watch import show_until_rest
from tune_mlp.console.terminal import OneLineParser

EXAMPLE = """\
examples:
  tune-mlp submit --space digits_quick --watch
  tune-mlp submit --space my_study.yaml --trials 100 --set lr=0.01 --name first --server http://lab.example:8642
"""


def add_word(word: AddWord) -> None:
    """Add the word to the command line."""
    parser = word("submit", _submit, "Submit a study to a service, and print its address.", EXAMPLE)
    parser.late = _add_options


def _add_options(parser: OneLineParser) -> None:
    from tune_mlp.console.study_options import add_study_options  # numpy and pydantic take 0.3 s to import

    add_study_options(parser, here=False)
    parser.add_argument(
        "--name", metavar="NAME", help="The study's name in the service (default: SPACE-YYYYmmdd-HHMMSS)."
    )
    parser.add_argument("--no-report", action="store_true", help="Write no report.html at the end.")
    parser.add_argument(
        "--key",
        metavar="KEY",
        help="The same key is the same study for ever, however often it is submitted (default: a new one each time).",
    )
    parser.add_argument(
        "--watch", action="store_true", help="Watch the study until it is at rest, as `tune-mlp watch` does."
    )
    add_server(parser)


def _submit(args: argparse.Namespace) -> None:
    """Submit the study that the command line names."""
    from tune_mlp.console.study_options import changes, named_study
    from tune_mlp.space.files import names_file

    named_study(args)  # a mistake is answered here, with the file's own name and line
    study = Path(args.space) if names_file(args.space) else args.space
    with client_of(args) as client:
        submitted = client.submit(study, changes(args), args.name, args.key)
        print(f"{client.url}/studies/{submitted.name}", flush=True)
        if args.watch:
            show_until_rest(client, submitted.name)
