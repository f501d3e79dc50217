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
from typing import TYPE_CHECKING, Any, NoReturn

from tune_mlp.console.streams import OptionalStream, open_closed_streams
from tune_mlp.errors import ENDING, Interrupted, TuneMlpError, one_line

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH = 160
"""The width of lines where there is no terminal to ask."""
NOTEBOOK_WIDTH = 110
"""The width of lines under a notebook's cell."""
OUTPUT_ERRORS = (errno.ENOSPC, errno.EIO, errno.EBADF)
"""The errors of a standard output that can't be written."""
DEBUG = "TUNE_MLP_DEBUG=1 shows where"


class HelpFormatter(argparse.HelpFormatter):
    """Wraps a description at the terminal's width, and leaves examples, which have lines of their own, as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if "\n" in text else super()._fill_text(text, width, indent)


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


def make_console(errors: bool = False) -> Console:
    """Make the console that all commands and `Study.run` print on: on the standard output, or on that for `errors`. A reader
    that goes away, a full disk or a closed output is no error: later text is dropped, and the work goes on."""
    from rich.console import Console  # imported here, since a mistake on the command line needn't wait for it

    from tune_mlp.console.notebook import in_notebook

    output = sys.stderr if errors else sys.stdout
    if output is None:  # a daemon has closed it
        return Console(file=io.StringIO(), width=PIPE_WIDTH)
    stream: Any = OptionalStream(output)
    if in_notebook():  # as text with colours: rich's own way makes a block of HTML of each line
        return Console(
            file=stream, width=NOTEBOOK_WIDTH, force_jupyter=False, force_terminal=True, color_system="standard"
        )
    return Console(file=stream, width=None if output.isatty() else PIPE_WIDTH)


def guarded(job: Callable[[], None]) -> int:
    """Run a command's job, answer whatever ends it early in one line, and return the exit status."""
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
        return _said(f"ended by an imported module, with {end.code!r}; {DEBUG}", 1, end)
    except BrokenPipeError:  # the reader of our output has gone
        OptionalStream(sys.stdout).flush()  # nothing is left to flush at exit
        return 1
    except OSError as error:
        if error.filename is None and error.errno in OUTPUT_ERRORS:
            OptionalStream(sys.stdout).flush()  # nothing is left to flush at exit
            return _said(f"the output can't be written: {error.strerror}", 1)
        return _said(f"unexpected {one_line(error)}; {DEBUG}", 1, error)
    except Exception as error:  # noqa: BLE001  # the last resort: a user gets a line, never a traceback
        return _said(f"unexpected {one_line(error)}; {DEBUG}", 1, error)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
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
    if error and os.environ.get("TUNE_MLP_DEBUG"):
        traceback.print_exception(error)
    say_error(line)
    return status


def say_error(line: str) -> None:
    """Print the line that says why a command ends."""
    with contextlib.suppress(OSError):  # nobody reads it
        print(f"tune-mlp: {line}", file=sys.stderr, flush=True)
