"""Altair draws many charts at once in half the time: what it copies again and again without a need is shared meanwhile."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from functools import cache
from typing import Any

import altair as alt
from altair.utils import schemapi

# Tried with altair 6.3.0. Altair copies a chart's layers whole whenever it is combined, changed or written, down to each axis, and
# looks through all classes of its schema for each channel. Nothing changes an axis or a channel in place, so they can be shared.
INNER = ("_deep_copy", "_FromDict")
ALTAIR = threading.RLock()
"""One thread at a time changes how Altair works, which it does for the whole process."""


@contextlib.contextmanager
def fast_altair() -> Iterator[None]:
    """Draw charts that nobody changes afterwards, such as a report's. Without Altair's inner parts it is as slow as ever."""
    if not all(hasattr(schemapi, name) for name in INNER):
        yield
        return
    with ALTAIR:
        yield from _shared()


def _shared() -> Iterator[None]:
    inner: Any = schemapi
    usual = {name: getattr(inner, name) for name in INNER}

    def copy_charts_alone(obj: Any, by_ref: set[str]) -> Any:
        if isinstance(obj, alt.TopLevelMixin):
            return usual["_deep_copy"](obj, by_ref)
        return [copy_charts_alone(one, by_ref) for one in obj] if isinstance(obj, list) else obj

    @cache
    def converter(classes: tuple[Any, ...]) -> Any:
        return usual["_FromDict"](classes)

    inner._deep_copy, inner._FromDict = copy_charts_alone, lambda classes: converter(tuple(classes))
    try:
        yield
    finally:
        for name, one in usual.items():
            setattr(inner, name, one)
