"""Arguments of the words that talk to a service: where it is, and who asks."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from tune_mlp.console.terminal import OneLineParser
from tune_mlp.errors import UsageError
from tune_mlp.regular_files import read_regular

if TYPE_CHECKING:  # httpx takes 0.2 s to import, and `--help` needs none of it
    from tune_mlp.service.client import Client

SERVER = "TUNE_MLP_SERVER"
TOKEN = "TUNE_MLP_TOKEN"
MOST_TOKEN_BYTES = 4096


def add_server(parser: OneLineParser) -> None:
    """Add the options that name a service and say who asks."""
    parser.add_argument(
        "--server", metavar="URL", help=f"The service's address (default: ${SERVER}, else http://127.0.0.1:8642)."
    )
    add_token_file(parser)


def add_token_file(parser: OneLineParser) -> None:
    """Add the option that names the file with the token. No option takes the token itself, since `ps` would show it."""
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help=f"The file that holds your token (default: ${TOKEN}, if it is set).",
    )


def client_of(args: argparse.Namespace) -> Client:
    """Return a client of the service that the options name."""
    from tune_mlp.service.client import DEFAULT_URL, Client

    return Client(args.server or os.environ.get(SERVER) or DEFAULT_URL, _token(args.token_file))


def _token(file: Path | None) -> str | None:
    """Return the token in the file, or that of the environment; None where there is neither."""
    if file is None:
        return os.environ.get(TOKEN) or None
    try:
        return read_regular(file.expanduser(), MOST_TOKEN_BYTES).decode().strip()
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no such ~user
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"--token-file {file}: can't read it: {reason or error}") from None
    except UnicodeDecodeError:
        raise UsageError(f"--token-file {file}: this isn't a token") from None
