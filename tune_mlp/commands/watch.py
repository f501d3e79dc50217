"""The word `watch`: a study of a service is shown as a search on this machine is, until it is at rest."""

from __future__ import annotations

import argparse
import signal
from typing import TYPE_CHECKING

from tune_mlp.command_line import command_line
from tune_mlp.commands.arguments import AddWord
from tune_mlp.commands.server_arguments import add_server, client_of
from tune_mlp.errors import Interrupted, NoTrialSucceeded, RunError

if TYPE_CHECKING:  # httpx and pandas take half a second to import
    from tune_mlp.service.client import Client
    from tune_mlp.service.messages import StudySummary


def add_word(word: AddWord) -> None:
    """Add the word to the command line."""
    parser = word(
        "watch",
        _watch,
        "Watch a study of a service until it is at rest: the live view and the summary of a search, and its exit status. Ctrl-C ends "
        "the watching, and not the study.",
        "example:\n  tune-mlp watch first --server http://lab.example:8642\n",
    )
    parser.add_argument("name", metavar="NAME", help="The study's name in the service.")
    add_server(parser)


def _watch(args: argparse.Namespace) -> None:
    """Watch the study."""
    with client_of(args) as client:
        show_until_rest(client, args.name)


def show_until_rest(client: Client, name: str) -> None:
    """Show a study until it is at rest, then its summary; raise what its search would have ended with."""
    from tune_mlp.console.live_view import make_display
    from tune_mlp.console.terminal import make_console
    from tune_mlp.service.watching import Watch

    console = make_console()
    try:
        summary = Watch(client, name, make_display(console, quiet=False)).until_rest()
    except KeyboardInterrupt:
        words = command_line("watch", name, "--server", client.url)
        raise Interrupted(f"not watching any more; the study goes on: {words}", signal.SIGINT) from None
    if summary.best is not None:
        from tune_mlp.service.study_closing import show_closing

        show_closing(console, client, summary)
    _end_as(summary, f"{client.url}/studies/{name}")


def _end_as(summary: StudySummary, page: str) -> None:
    """Raise what a search ends with that came to this: nothing where it finished."""
    from tune_mlp.service.messages import StudyState

    said = f": {summary.detail}" if summary.detail else ""
    if summary.state is StudyState.STOPPED:
        raise Interrupted(
            f"{summary.name} was stopped; what was learnt is saved, and {page} can resume it", signal.SIGTERM
        )
    if summary.state is StudyState.INTERRUPTED:
        raise RunError(f"{summary.name} lost its process{said}; what was learnt is saved, and {page} can resume it")
    if summary.state is StudyState.FAILED:
        kind = RunError if summary.best is not None or not summary.ended_trials else NoTrialSucceeded
        raise kind(f"{summary.name} failed{said}")
