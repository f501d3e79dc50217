"""tune_mlp: from one YAML file to a defensible answer about a PyTorch MLP's hyperparameters."""

import importlib
from typing import TYPE_CHECKING, Any

from tune_mlp.version import __version__ as __version__

if TYPE_CHECKING:
    from tune_mlp.api import Study
    from tune_mlp.results.results import Results
    from tune_mlp.service.client import Client

__all__ = ["Client", "Results", "Study"]

_MODULES = {"Client": "tune_mlp.service.client", "Results": "tune_mlp.results.results", "Study": "tune_mlp.api"}


def __getattr__(name: str) -> Any:
    """Import a public name on first use: `--help` must not wait for pandas."""
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'tune_mlp' has no attribute {name!r}")
