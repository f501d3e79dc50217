"""An interruption in the first second of a command, while modules are still imported and its own handling of signals hasn't begun."""

from __future__ import annotations

import contextlib
import os
import signal
from types import FrameType


def answer_interrupts() -> None:
    """End the process in one line at Ctrl-C, until the command handles signals itself. A signal that is ignored, as `nohup` has it, stays
    so."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def _end(number: int, frame: FrameType | None) -> None:
    # No exception: an import could take it for a fault of its own, and would be left half-done.
    with contextlib.suppress(OSError):  # nobody reads it
        os.write(2, b"tune-mlp: interrupted\n")
    os._exit(128 + number)
