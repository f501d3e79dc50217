"""Denormal numbers, those below 1e-38, are taken as zero: a processor needs a hundred times as long for them.

Optimisers make them: a unit that has died gets no gradient any more, and its running means shrink until they are that small.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import torch

for kind in (np.float32, np.float64):
    np.finfo(kind)  # NumPy before 2.4 warns where it first looks at a kind while denormals are zero


@contextlib.contextmanager
def denormals_as_zero() -> Iterator[None]:
    """Take denormal numbers as zero in this thread, within the context or the decorated function, if the processor can."""
    already = float(np.float32(1e-40) * np.float32(1)) == 0.0  # torch can set it, and doesn't tell
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(already)
