"""Stopping a whole study early: by the clock, or by a signal."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from ray.tune import Stopper

from tune_mlp.errors import ENDING
from tune_mlp.results.journal import Reason

STOPPING = "stopping after the epochs under way; once more ends at once, and loses no more than these"


class Deadline(Stopper):  # type: ignore[misc]  # ray ships no types
    """Tells Ray, between any two results, whether the whole study is to stop."""

    def __init__(self, seconds: float | None) -> None:
        self.signal_number: int | None = None
        """The signal that came, if one did."""
        self.time_is_up = False
        """Whether the time budget has ended the search."""
        self._seconds = seconds
        self._end = math.inf

    def start(self) -> None:
        """Start the clock when the first trial begins, not while workers still start."""
        if self._seconds is not None and self._end == math.inf:
            self._end = time.monotonic() + self._seconds

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        self.time_is_up = self.time_is_up or time.monotonic() >= self._end
        return self.signal_number is not None or self.time_is_up

    def reason(self) -> Reason:
        """Return why a trial is stopped now."""
        if self.signal_number is not None:
            return "interruption"
        return "time budget" if self.time_is_up else "scheduler"

    @contextlib.contextmanager
    def on_signals(self, say: Callable[[str], None]) -> Iterator[None]:
        """Let the first signal stop Ray in order; a second one doesn't wait for the epochs under way."""
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread may handle signals
            return
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, *ENDING)}
        # One that is ignored, as `nohup` has it, stays so; a shell's `&` ignores Ctrl-C, but not a person who sends it.
        before = {n: handler for n, handler in handlers.items() if n == signal.SIGINT or handler != signal.SIG_IGN}

        def stop(number: int, frame: FrameType | None) -> None:
            if self.signal_number is not None:
                raise KeyboardInterrupt
            self.signal_number = number
            # In a thread, since it may be a print that the signal interrupts.
            threading.Thread(target=say, args=(STOPPING,), daemon=True).start()

        for number in before:
            signal.signal(number, stop)
        try:
            yield
        except KeyboardInterrupt:
            if self.signal_number is None:  # not of ours
                raise
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
