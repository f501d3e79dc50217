"""Lists of the places at which an array isn't zero, so that kernels visit these alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from tune_mlp.engines.compiled.jit import inline

Array = Any  # as numba sees np.ndarray; a kernel's types are numba's to infer

WORD = 8
"""Pixels that are looked at together: most of a picture's are zero, and zeros stand side by side."""


@inline
def list_pixels(picture: Array, listed: Array) -> Any:
    """List the places of a uint8 array's numbers that aren't zero; return how many are listed."""
    words = picture[: picture.shape[0] // WORD * WORD].view(np.uint64)
    count = 0
    for word in range(words.shape[0]):
        if words[word] != 0:
            for i in range(WORD * word, WORD * word + WORD):
                listed[count] = i
                count += picture[i] != 0
    for i in range(WORD * words.shape[0], picture.shape[0]):
        listed[count] = i
        count += picture[i] != 0
    return count


@inline
def list_nonzero(values: Array, listed: Array, zeros: bool) -> Any:
    """List the places of numbers that aren't zero, a NaN among them, and of all others too if `zeros`.

    Return how many are listed.
    """
    count = 0
    for i in range(values.shape[0]):
        listed[count] = i
        count += zeros or values[i] != 0
    return count


@inline
def list_zero_in(values: Array, places: Array, listed: Array) -> Any:
    """List those of some places at which `values` are zero; return how many are listed."""
    count = 0
    for index in range(places.shape[0]):
        listed[count] = places[index]
        count += values[places[index]] == 0
    return count
