"""The import of torchvision's datasets, which also works if torchvision was built for another PyTorch than the installed one."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

_LIBRARIES: list[Any] = []
"""The libraries that were defined here; their schemas exist as long as these objects."""


def mnist_module() -> Any:
    """Import `torchvision.datasets.mnist`, which takes seconds with torch and is rarely needed."""
    _define_missing_schemas()
    import torchvision.datasets.mnist as module

    return module


def _define_missing_schemas() -> None:
    """Declare two operators that torchvision's import needs.

    The import registers Python versions of them, and fails if torchvision's compiled library, which declares them, can't be
    loaded, as is usual with a PyTorch for CPUs alone. We never call them, so that a declaration is enough.
    """
    torch: Any = importlib.import_module("torch")
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None or _LIBRARIES:
        return
    for library in Path(spec.origin).parent.glob("_C*"):
        try:
            torch.ops.load_library(str(library))  # torchvision loads it again, which does no harm
        except OSError:
            continue
    library_of_ours = torch.library.Library("torchvision", "FRAGMENT")
    _LIBRARIES.append(library_of_ours)
    for operator in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, operator):
            library_of_ours.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
