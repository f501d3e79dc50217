"""What both commands share: bad usage, and whatever else ends them, is answered in one line and an exit status."""

from __future__ import annotations

import argparse
import atexit
import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from tune_mlp.errors import Interrupted, TuneMlpError, one_line

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH = 160
"""Where there is no terminal to ask, lines are not broken at 80."""


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one line, where argparse prints the whole usage first."""

    late: Callable[[OneLineParser], None] | None = None
    """Adds more options once this parser has something to parse: what they are made of takes time to import."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        late, self.late = self.late, None
        if late:
            late(self)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {' '.join(message.split())} (see --help)\n")


def make_console() -> Console:
    """To say things on."""
    from rich.console import Console  # late: a mistake on the command line needn't wait for it

    return Console() if sys.stdout.isatty() else Console(width=PIPE_WIDTH)


def guarded(job: Callable[[], None]) -> int:
    """Run a command's job and turn whatever ends it into one line and an exit status."""
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))
    try:
        job()
        if sys.stdout:
            sys.stdout.flush()
    except TuneMlpError as error:
        return _said(one_line(error, 2000), error.status)
    except KeyboardInterrupt:
        return _said("interrupted", Interrupted("", signal.SIGINT).status)
    except SystemExit as end:  # our handler's, or Ray's, which it sets in its place
        return _said("interrupted", Interrupted("", signal.SIGTERM).status) if end.code == signal.SIGTERM else 1
    except BrokenPipeError:  # the reader of our output has gone
        sys.stdout = None  # nothing is left to flush at exit
        return 1
    except Exception as error:  # noqa: BLE001  # the last resort: a user gets a line, never a traceback
        return _said(f"unexpected {one_line(error)}; TUNE_MLP_DEBUG=1 shows where", 1, error)
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


def leave(status: int) -> NoReturn:
    """End the process as `sys.exit` does, but for the taking apart of the interpreter: with PyTorch and Ray in it that
    takes more than a second."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # closed, or its reader has gone
            if stream:
                stream.flush()
    os._exit(status)


def _said(line: str, status: int, error: Exception | None = None) -> int:
    if error and os.environ.get("TUNE_MLP_DEBUG"):
        traceback.print_exception(error)
    print(f"tune-mlp: {line}", file=sys.stderr)
    return status
