"""torchvision's datasets, importable too where torchvision was built for another PyTorch than the one installed."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

_LIBRARIES: list[Any] = []
"""Schemas live as long as the library object that defined them."""


def mnist_module() -> Any:
    """`torchvision.datasets.mnist`. Imported here and not above: with torch it takes seconds."""
    _define_missing_schemas()
    import torchvision.datasets.mnist as module

    return module


def _define_missing_schemas() -> None:
    """torchvision's import registers Python versions of two operators, and fails when its compiled library, which
    declares them, can't be loaded: as the usual wheel's with a CPU-only PyTorch. We only read files, so declaring them
    is enough.
    """
    torch: Any = importlib.import_module("torch")
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None or _LIBRARIES:
        return
    for library in Path(spec.origin).parent.glob("_C*"):
        try:
            torch.ops.load_library(str(library))  # again by torchvision itself, which is harmless
        except OSError:
            continue
    library_of_ours = torch.library.Library("torchvision", "FRAGMENT")
    _LIBRARIES.append(library_of_ours)
    for operator in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, operator):
            library_of_ours.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
