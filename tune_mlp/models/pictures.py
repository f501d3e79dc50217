"""The sizes of pictures, and the refusal of a config that needs pictures where a dataset has none; imports no PyTorch."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

from tune_mlp.config import Cnn, TrialConfig
from tune_mlp.errors import StudyError


class Size(NamedTuple):
    """The size of a picture."""

    height: int
    width: int
    channels: int


class Learnt(Protocol):
    """The part of a Dataset that is needed here; `data` stands beside this package, which can't import it."""

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def x(self) -> Any: ...


def size_of(shape: tuple[int, ...]) -> Size:
    """Check a `Dataset.shape`, which is (height, width) or (height, width, channels), and return its three sizes."""
    if len(shape) not in (2, 3) or min(shape) < 1:
        raise ValueError(f"a picture needs height, width and maybe channels, got shape {shape}")
    return Size(shape[0], shape[1], shape[2] if len(shape) == 3 else 1)


def pooled(size: Size, model: Cnn) -> Size:
    """Return the size of a picture after all convolutions and their pooling."""
    by = model.pool ** len(model.channels)
    if by > min(size.height, size.width):
        raise ValueError(
            f"{size.height}x{size.width} pictures are pooled away by pool={model.pool} after each of"
            f" {len(model.channels)} convolutions; take fewer channels or a smaller pool"
        )
    return Size(size.height // by, size.width // by, model.channels[-1])


def check_model(config: TrialConfig, dataset: Learnt) -> None:
    """Refuse a config that can't be trained on these data."""
    model, shape = config.model, dataset.shape
    for name, wanted in (("model", model.name == "cnn"), ("rotation", config.rotation > 0)):
        if not wanted:
            continue
        who = model.name if name == "model" else str(config.rotation)
        if not shape:
            raise StudyError(f"{who} needs pictures, and {dataset.name} has none", ("space", name))
        if len(shape) not in (2, 3) or math.prod(shape) != dataset.x.shape[1]:
            rule = "needs pictures of height, width and maybe channels"
            raise StudyError(
                f"{who} {rule}, and {dataset.name} has {dataset.x.shape[1]} inputs of shape {shape}", ("space", name)
            )
    if isinstance(model, Cnn):
        try:
            pooled(size_of(shape), model)
        except ValueError as error:
            raise StudyError(str(error), ("space", "model", "cnn")) from None
