"""The answers that the service keeps: parts of tables as they were sent, while the table is the same, for others who ask for the same."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # pandas takes 0.4 s to import
    import pandas as pd

KEPT = 64
"""The number of answers that are kept."""
MOST_BYTES = 64_000
"""A longer answer isn't kept, so that all of them take few megabytes."""


class KeptAnswers:
    """The answers that were asked for last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[weakref.ref[pd.DataFrame], bytes]] = OrderedDict()

    def of(self, table: pd.DataFrame, asked: Hashable, write: Callable[[], bytes]) -> bytes:
        """Return the answer to what was asked of a table, as it was written before where the table is still the same object."""
        with self._lock:
            known = self._kept.get(asked)
            if known is not None and known[0]() is table:
                self._kept.move_to_end(asked)
                return known[1]
        answer = write()
        if len(answer) <= MOST_BYTES:
            with self._lock:
                self._kept[asked] = weakref.ref(table), answer
                self._kept.move_to_end(asked)
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
        return answer
