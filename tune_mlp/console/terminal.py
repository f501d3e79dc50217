"""The terminal's side of every command: its parser, its console, one line for each error, and the exit status."""

from __future__ import annotations

import argparse
import atexit
import contextlib
import errno
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any, NoReturn, cast

from tune_mlp.errors import Interrupted, TuneMlpError, one_line

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH = 160
"""The width of lines where there is no terminal to ask."""
NOTEBOOK_WIDTH = 110
"""The width of lines under a notebook's cell."""
OUTPUT_ERRORS = (errno.ENOSPC, errno.EIO, errno.EBADF)
"""The errors of a standard output that can't be written."""
DEBUG = "TUNE_MLP_DEBUG=1 shows where"


class OneLineParser(argparse.ArgumentParser):
    """Says in one line what is wrong. Argparse would print the whole usage first."""

    late: Callable[[OneLineParser], None] | None = None
    """Adds more options just before this parser parses, because the modules behind them take time to import."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        late, self.late = self.late, None
        if late:
            late(self)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {' '.join(message.split())} (see --help)\n")


class Screen(io.TextIOBase):
    """The standard output, for text that may be lost. When it can't be written, because its reader has gone, its disk is
    full or it is closed, all later text is dropped and the work goes on."""

    def __init__(self) -> None:
        self._lost = sys.stdout is None

    def write(self, text: str) -> int:
        self._try(lambda: sys.stdout.write(text))
        return len(text)

    def flush(self) -> None:
        self._try(lambda: sys.stdout.flush())

    def isatty(self) -> bool:
        return not self._lost and sys.stdout.isatty()

    def fileno(self) -> int:
        if self._lost:
            raise OSError("there is no standard output")
        return sys.stdout.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8" if self._lost else sys.stdout.encoding

    def _try(self, action: Callable[[], object]) -> None:
        if self._lost:
            return
        try:
            action()
        except (OSError, ValueError) as error:
            if isinstance(error, UnicodeError):  # rich answers it
                raise
            self._lost = True
            _drop_output()


def make_console() -> Console:
    """Make the console that all commands and `Study.run` print on. It never raises because of its output."""
    from rich.console import Console  # imported here, since a mistake on the command line needn't wait for it

    from tune_mlp.console.notebook import in_notebook

    screen = cast("IO[str]", Screen())
    if in_notebook():  # as text with colours: rich's own way makes a block of HTML of each line
        return Console(
            file=screen, width=NOTEBOOK_WIDTH, force_jupyter=False, force_terminal=True, color_system="standard"
        )
    return Console(file=screen) if screen.isatty() else Console(file=screen, width=PIPE_WIDTH)


def open_standard_streams() -> None:
    """Open the null device in place of each standard stream that is closed, as a daemon's are. Otherwise the next file or
    socket that is opened would take its number, and be written to by mistake."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


def _drop_output() -> None:
    """Send to the null device what the standard output still holds, or Python would complain of it at the end."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def guarded(job: Callable[[], None]) -> int:
    """Run a command's job; answer whatever ends it early in one line, and return the exit status."""
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))
    try:
        job()
        if sys.stdout:
            sys.stdout.flush()
    except TuneMlpError as error:
        return _said(one_line(error, 2000), error.status)
    except KeyboardInterrupt:
        return _said("interrupted", Interrupted("", signal.SIGINT).status)
    except SystemExit as end:
        if end.code == signal.SIGTERM:  # raised by our handler, or by Ray's, which it sets in place of ours
            return _said("interrupted", Interrupted("", signal.SIGTERM).status)
        return _said(f"unexpected exit with {end.code!r} by a module that was imported; {DEBUG}", 1, end)
    except BrokenPipeError:  # the reader of our output has gone
        _drop_output()
        return 1
    except OSError as error:
        if error.filename is None and error.errno in OUTPUT_ERRORS:
            _drop_output()
            return _said(f"the output can't be written: {error.strerror}", 1)
        return _said(f"unexpected {one_line(error)}; {DEBUG}", 1, error)
    except Exception as error:  # noqa: BLE001  # the last resort: a user gets a line, never a traceback
        return _said(f"unexpected {one_line(error)}; {DEBUG}", 1, error)
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


def leave(status: int) -> NoReturn:
    """End the process as `sys.exit` does, without taking the interpreter apart, which takes more than a second with PyTorch
    and Ray in it."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # closed, or its reader has gone
            if stream:
                stream.flush()
    os._exit(status)


def _said(line: str, status: int, error: BaseException | None = None) -> int:
    with contextlib.suppress(OSError, ValueError):  # the status says it, too
        if error and os.environ.get("TUNE_MLP_DEBUG"):
            traceback.print_exception(error)
        print(f"tune-mlp: {line}", file=sys.stderr)
    return status
