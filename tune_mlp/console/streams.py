"""Standard streams that a search can do without: one that is closed, full, or whose reader has gone, ends nothing."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TextIO


def open_closed_streams() -> None:
    """Open the null device in the place of standard input, output and error where they are closed.

    Otherwise the next file that is opened, say the journal, gets the number of a standard stream, and what another library
    prints goes into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
            os.set_inheritable(number, True)
    for name, number in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w", encoding="utf-8", errors="replace", closefd=False))  # noqa: SIM115


class OptionalStream:
    """A text stream that goes silent for good when it can no longer be written."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._silent = False
        self.encoding = stream.encoding

    def write(self, text: str) -> int:
        if not self._silent:
            try:
                self._stream.write(text)
            except OSError:
                self._go_silent()
        return len(text)

    def flush(self) -> None:
        if not self._silent:
            try:
                self._stream.flush()
            except OSError:
                self._go_silent()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def _go_silent(self) -> None:
        """Write what the stream still holds to the null device, since Python flushes it once more at exit."""
        self._silent = True
        with contextlib.suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)
            self._stream.flush()
