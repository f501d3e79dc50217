"""Patience: the number of epochs that a trial may go on without a better metric."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tune_mlp.records import Mode, better


@dataclass(frozen=True, slots=True)
class Patience:
    """After `limit` epochs in a row without a better metric the trial ends; None lets it go on.

    A lower validation loss at an equal metric makes an epoch the best one, and yet is no improvement here.
    """

    limit: int | None
    mode: Mode
    best: float | None = None
    waited: int = 0

    def after(self, value: float) -> Patience:
        """Return the patience that is left after an epoch with this metric; only a strictly better one improves."""
        if better(value, self.best, self.mode):
            return replace(self, best=value, waited=0)
        return replace(self, waited=self.waited + 1)

    @property
    def over(self) -> bool:
        """True if no patience is left."""
        return self.limit is not None and self.waited >= self.limit
