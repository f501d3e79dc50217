"""Temporary changes to names inside Ray and to the environment, undone when they are no longer needed."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping
from typing import Any


@contextlib.contextmanager
def changed(owner: Any, **values: Any) -> Iterator[None]:
    """Replace names of a class or a module for a while. A name that another version of Ray lacks is left alone here;
    `versions.missing_names` finds it, and the start of a search names it."""
    before = {name: getattr(owner, name) for name in values if hasattr(owner, name)}
    for name in before:
        setattr(owner, name, values[name])
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(owner, name, value)


@contextlib.contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for a while; what the user has set stays."""
    added = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


@contextlib.contextmanager
def quiet_ray() -> Iterator[None]:
    """Silence the logs of Ray Tune and Optuna. The table and the exit status say what a user must know."""
    levels = {name: logging.getLogger(name).level for name in ("ray", "optuna")}
    logging.getLogger("ray").setLevel(logging.CRITICAL)  # the searcher sets Optuna's
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
