"""A digest of weights: two models have the same digest if and only if their weights are the same to the bit."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch


def weights_digest(*models: Mapping[str, torch.Tensor]) -> str:
    """Return the SHA-256 of state dicts, in hexadecimal.

    The hash is over the models in the order given, and in each over its tensors in the order of their names. A tensor
    contributes the line `NAME DTYPE SHAPE` (as in `0.weight <f4 64x784`, UTF-8, ended by a line feed) and then its
    numbers, row by row and in little-endian bytes. So it matters neither which engine trained a model, nor how its
    tensors lie in memory, nor whether they were read from `best/model.pt`.
    """
    digest = hashlib.sha256()
    for model in models:
        for name in sorted(model):
            numbers = model[name].detach().cpu().contiguous().numpy()
            numbers = numbers.astype(numbers.dtype.newbyteorder("<"), copy=False)
            shape = "x".join(map(str, numbers.shape))
            digest.update(f"{name} {numbers.dtype.str} {shape}\n".encode())
            digest.update(numbers.data.cast("B"))
    return digest.hexdigest()
