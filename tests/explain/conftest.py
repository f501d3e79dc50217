"""Nets as small as those of these tests wait for threads more than they compute."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tune_mlp.training.threads import threads


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    with threads(1):
        yield
