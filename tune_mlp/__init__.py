"""tune_mlp: from one YAML file to a defensible answer about a PyTorch MLP's hyperparameters."""

import importlib
from typing import TYPE_CHECKING, Any

from tune_mlp.version import __version__ as __version__

if TYPE_CHECKING:
    from tune_mlp.api import Results, Study

__all__ = ["Results", "Study"]


def __getattr__(name: str) -> Any:
    """Import the Python interface on first use: `--help` must not wait for pandas."""
    if name in __all__:
        return getattr(importlib.import_module("tune_mlp.api"), name)
    raise AttributeError(f"module 'tune_mlp' has no attribute {name!r}")
