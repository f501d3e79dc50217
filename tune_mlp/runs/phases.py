"""The durations of a run's phases, for the manifest: they show where time goes besides training."""

from __future__ import annotations

import time


class Phases:
    """A stopwatch that gives each phase of a run a name."""

    def __init__(self) -> None:
        self.began = time.time()
        """When the run began, by the wall clock."""
        self._start = self._since = time.perf_counter()
        self.seconds: dict[str, float] = {}

    @property
    def total(self) -> float:
        """The seconds since the start, unaffected by changes of the machine's clock."""
        return round(time.perf_counter() - self._start, 3)

    def over(self, name: str) -> None:
        """End a phase: the time since the last call counts under this name."""
        now = time.perf_counter()
        self.seconds[name] = round(self.seconds.get(name, 0.0) + now - self._since, 3)
        self._since = now

    def over_once(self, name: str) -> None:
        """End a phase like `over` at the first call; later calls do nothing."""
        if name not in self.seconds:
            self.over(name)
