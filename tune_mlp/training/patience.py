"""Patience: how long a trial may go on without its metric improving."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tune_mlp.records import Mode, better


@dataclass(frozen=True, slots=True)
class Patience:
    """`limit` epochs in a row without improvement are the last; None waits for ever."""

    limit: int | None
    mode: Mode
    best: float | None = None
    waited: int = 0

    def after(self, value: float) -> Patience:
        """The patience that is left after an epoch with this metric; only a strictly better one improves."""
        if better(value, self.best, self.mode):
            return replace(self, best=value, waited=0)
        return replace(self, waited=self.waited + 1)

    @property
    def improved(self) -> bool:
        """Is the latest epoch the best one?"""
        return self.best is not None and self.waited == 0

    @property
    def over(self) -> bool:
        return self.limit is not None and self.waited >= self.limit
