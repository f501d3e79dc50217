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

from tune_mlp.console.streams import OptionalStream, open_closed_streams
from tune_mlp.errors import ENDING, Interrupted, TuneMlpError, one_line

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


def make_console(optional: bool = False) -> Console:
    """Return a console on standard output. Where that is `optional`, a reader that goes away or a full disk is no error."""
    from rich.console import Console  # late: a mistake on the command line needn't wait for it

    stream: Any = OptionalStream(sys.stdout) if optional else None
    return Console(file=stream, width=None if sys.stdout.isatty() else PIPE_WIDTH)


def guarded(job: Callable[[], None]) -> int:
    """Run a command's job and turn whatever ends it into one line and an exit status."""
    open_closed_streams()
    before = {number: signal.getsignal(number) for number in ENDING if signal.getsignal(number) != signal.SIG_IGN}
    for number in before:  # one that is ignored, as `nohup` has it, stays so
        signal.signal(number, lambda number, frame: sys.exit(number))
    try:
        job()
        sys.stdout.flush()
    except TuneMlpError as error:
        return _said(one_line(error, 2000), error.status)
    except KeyboardInterrupt:
        return _said("interrupted", Interrupted("", signal.SIGINT).status)
    except SystemExit as end:  # our handler's, or Ray's, which it sets in its place
        if end.code in ENDING:
            return _said("interrupted", Interrupted("", ENDING[ENDING.index(end.code)]).status)
        return _said(f"ended by an imported module, with {end.code!r}", 1)
    except BrokenPipeError:  # the reader of our output has gone
        OptionalStream(sys.stdout).flush()  # nothing is left to flush at exit
        return 1
    except Exception as error:  # noqa: BLE001  # the last resort: a user gets a line, never a traceback
        return _said(f"unexpected {one_line(error)}; TUNE_MLP_DEBUG=1 shows where", 1, error)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
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
    with contextlib.suppress(OSError):  # nobody reads it
        print(f"tune-mlp: {line}", file=sys.stderr, flush=True)
    return status
