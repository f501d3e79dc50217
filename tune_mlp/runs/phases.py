"""How long each phase of a run took, for the manifest: where the seconds go besides training."""

from __future__ import annotations

import time


class Phases:
    """A stopwatch with a name for each lap."""

    def __init__(self) -> None:
        self.began = time.time()
        """When the run began, by the wall clock."""
        self._start = self._since = time.perf_counter()
        self.seconds: dict[str, float] = {}

    @property
    def total(self) -> float:
        """So far, whatever becomes of the machine's clock."""
        return round(time.perf_counter() - self._start, 3)

    def over(self, name: str) -> None:
        """What went on since the last call was this."""
        now = time.perf_counter()
        self.seconds[name] = round(self.seconds.get(name, 0.0) + now - self._since, 3)
        self._since = now

    def over_once(self, name: str) -> None:
        """As `over`, the first time; nothing after that."""
        if name not in self.seconds:
            self.over(name)
