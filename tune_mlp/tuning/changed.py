"""Names of Ray's that do as we need for a while, where Ray offers no setting for it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def changed(owner: Any, **values: Any) -> Iterator[None]:
    """A class's or a module's names. One that isn't there, in another version of Ray, stays away, and Ray does as it will."""
    before = {name: getattr(owner, name) for name in values if hasattr(owner, name)}
    for name in before:
        setattr(owner, name, values[name])
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(owner, name, value)
