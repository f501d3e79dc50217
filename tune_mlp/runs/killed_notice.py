"""A notice for a driver that is killed: a small process outlives it, and prints the line that it can't print any more.

The kernel's memory killer ends a process without asking, and so does Ray's own C++ code where its raylet ends in order.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator

CODE = "import sys; sys.stdin.buffer.read() or print(sys.argv[1], file=sys.stderr, flush=True)"
"""Waits for the end of its input, which comes when the driver ends; a driver that ends in order writes something first."""


@contextlib.contextmanager
def notice_if_killed(line: str) -> Iterator[Callable[[], None]]:
    """Have the line printed to standard error if this process is killed within the context. What the context gives is a
    function that takes the notice back early."""
    try:
        notice = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", CODE, line],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the driver alone
        )
    except OSError:  # the machine is out of processes or memory; the search may still go on
        yield lambda: None
        return

    def take_back() -> None:
        if notice.poll() is None:
            notice.communicate(b".")

    try:
        yield take_back
    finally:
        take_back()
