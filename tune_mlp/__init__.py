"""tune_mlp: from one YAML file to a defensible answer about a PyTorch MLP's hyperparameters."""

from typing import TYPE_CHECKING, Any

from tune_mlp.version import __version__ as __version__

if TYPE_CHECKING:
    from tune_mlp.notebook import Study
    from tune_mlp.results.results import Results

__all__ = ["Results", "Study"]


def __getattr__(name: str) -> Any:
    """Import on first use: `--help` must not wait for pandas."""
    if name == "Study":
        from tune_mlp.notebook import Study

        return Study
    if name == "Results":
        from tune_mlp.results.results import Results

        return Results
    raise AttributeError(f"module 'tune_mlp' has no attribute {name!r}")
