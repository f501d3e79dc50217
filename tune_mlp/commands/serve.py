"""The word `serve`: one place where studies are submitted, watched, stopped, compared and used, in a browser and over HTTP."""

from __future__ import annotations

import argparse
import os
import threading
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

from tune_mlp.commands.arguments import AddWord
from tune_mlp.console.terminal import OneLineParser
from tune_mlp.errors import UsageError

if TYPE_CHECKING:
    from tune_mlp.service.access import Access
    from tune_mlp.service.launcher import Launcher

EXAMPLE = """\
examples:
  tune-mlp serve --open
  tune-mlp serve --root /shared/runs --data-dir /shared/data
  tune-mlp serve --add-user ada
  tune-mlp serve --host 0.0.0.0 --token-file token --allow-host tune.example.org --behind-https
"""
PORT = 8642
PACKAGES = ("fastapi", "httpx", "jinja2", "starlette", "uvicorn")
"""The packages of the extra that the service needs."""
TOKEN = "token"
USERS = "users"
DRIVERS = "drivers"
JOBS = "jobs"
OWN = ".service"
"""The service's own folder in the root."""


def add_word(word: AddWord) -> None:
    """Add the word to the command line."""
    parser = word(
        "serve",
        _serve,
        "Run the service over a folder of runs: a page and an HTTP API to submit, watch, stop, compare and use studies. Studies go on when "
        "the service ends, and are found again when it starts.",
        EXAMPLE,
    )
    _add_options(parser)


def _add_options(parser: OneLineParser) -> None:
    add = parser.add_argument
    add("--root", type=Path, default=Path("runs"), metavar="DIR", help="The folder of the runs (default: runs/).")
    add(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="The address to listen on (default: 127.0.0.1, which this machine alone can reach). Any other needs a token.",
    )
    add("--port", type=_port, default=PORT, metavar="N", help=f"The port to listen on (default: {PORT}; 0 is any).")
    add(
        "--address",
        metavar="auto|ADDR|URL",
        help="The address of a running Ray cluster on whose nodes the trials run. The URL of its dashboard, such as http://head:8265, runs "
        "whole studies there, as jobs of Ray; its token is taken from where Ray looks for it. Without the option, all runs here.",
    )
    add(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="The folder of datasets; studies may name no file outside it (default: none may name a file).",
    )
    add("--studies", type=_count, metavar="N", help="How many studies run at once (default: 2).")
    add(
        "--keep-days",
        type=_days,
        metavar="N",
        help="How many days a deleted study can be restored before it is removed for good, and old logs with it (default: 30; 0 is for ever).",
    )
    add(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="The file of the admin's token, which is made if it isn't there (default for hosts other than 127.0.0.1: "
        f"{OWN}/{TOKEN} in the root).",
    )
    add(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="A further name by which browsers reach the service. Give the option again for more.",
    )
    add(
        "--behind-https",
        action="store_true",
        help="Browsers reach the service through a proxy that speaks TLS: they are to send the cookie of a sign-in over https alone. What a "
        "request says of itself isn't believed here, since anybody can write it.",
    )
    add("--open", action="store_true", help="Open the page in a browser.")
    add("--add-user", metavar="NAME", help="Add a user, print their token, which is shown this once, and end.")
    add("--admin", action="store_true", help="Let the added user change everybody's studies.")
    add("--remove-user", metavar="NAME", help="Remove a user, and end.")


def _serve(args: argparse.Namespace) -> None:
    _check(args)
    users = args.root / OWN / USERS
    if args.add_user is not None or args.remove_user is not None:
        _change_users(args, users)
        return
    try:
        from tune_mlp.service.app import make_app
        from tune_mlp.service.web_server import WebServer, listen, url_of
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] not in PACKAGES:
            raise
        raise UsageError(f"tune-mlp serve needs the package {error.name}: pip install 'tune-mlp[service]'") from None
    from tune_mlp.imports import spare_from_collection
    from tune_mlp.service.app_options import AppOptions
    from tune_mlp.service.options import ServiceOptions
    from tune_mlp.service.studies import StudyService

    access = _access(args, users)
    asked = {"concurrent_studies": args.studies, "keep_days": args.keep_days}
    settings = {name: value for name, value in asked.items() if value is not None}
    launcher, address = _launcher(args)
    options = ServiceOptions(data_dir=args.data_dir, address=address, **settings)
    web = AppOptions(host=args.host, allowed_hosts=tuple(args.allow_host), behind_https=args.behind_https)
    with (
        listen(args.host, args.port) as listening,
        StudyService(args.root, launcher, options) as service,
    ):
        url = url_of(listening, web)
        spare_from_collection()

        def ready() -> None:
            print(f"serving {args.root} at {url}", flush=True)
            if args.open:
                # In a thread of its own, since some browsers are waited for until they end, and the page is to be served meanwhile.
                threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()

        WebServer(make_app(service, access, web), listening, ready).serve_until_stopped()


def _check(args: argparse.Namespace) -> None:
    """Refuse a root that can't hold runs, and a data folder that isn't there."""
    try:
        (args.root / OWN).mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--root {args.root}: can't be written: {error.strerror or error}") from None
    if not os.access(args.root, os.W_OK) or not os.access(args.root / OWN, os.W_OK):
        raise UsageError(f"--root {args.root}: can't be written")
    if args.data_dir is not None and not args.data_dir.is_dir():
        raise UsageError(f"--data-dir {args.data_dir}: there is no such folder")
    if args.admin and args.add_user is None:
        raise UsageError("--admin: goes with --add-user alone")


def _launcher(args: argparse.Namespace) -> tuple[Launcher, str | None]:
    """Return what runs the studies, and the address that it tells them."""
    if args.address is not None and args.address.startswith(("http://", "https://")):
        from tune_mlp.service.cluster_launcher import ClusterLauncher, ray_token

        ray_token()  # refuses a file of a token that can't be read
        return ClusterLauncher(args.address, args.root.absolute() / OWN / JOBS), "auto"
    from tune_mlp.service.local_launcher import LocalLauncher

    return LocalLauncher(args.root / OWN / DRIVERS), args.address


def _access(args: argparse.Namespace, users: Path) -> Access:
    from tune_mlp.service.guards.host_guard import is_loopback
    from tune_mlp.service.watched_access import WatchedAccess

    token_file = args.token_file
    if token_file is None and not is_loopback(args.host):
        token_file = args.root / OWN / TOKEN
    access = WatchedAccess(token_file, users)
    if token_file is not None:
        print(f"the admin's token is in {token_file}", flush=True)
    return access


def _change_users(args: argparse.Namespace, users: Path) -> None:
    from tune_mlp.service.access import add_user, remove_user

    if args.remove_user is not None:
        remove_user(users, args.remove_user)
        print(f"removed {args.remove_user}; a running service forgets the token within a second")
    if args.add_user is not None:
        print(add_user(users, args.add_user, args.admin))


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 2**16):
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to 65535, got {text!r:.40}")
    return int(text)


def _days(text: str) -> float:
    if not (text.isascii() and text.isdigit() and int(text) <= 100_000):
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to 100000, got {text!r:.40}")
    return int(text)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 1000):
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to 1000, got {text!r:.40}")
    return int(text)
