"""The parameters that population-based training may change while a net trains."""

from __future__ import annotations

from tune_mlp.space.domains import Domain
from tune_mlp.space.space import Space

MUTABLE = (
    "lr",
    "lr_decay",
    "batch_size",
    "weight_decay",
    "l1",
    "dropout",
    "rotation",
    "noise",
    "momentum",
    "dampening",
    "beta1",
    "beta2",
    "alpha",
    "eps",
)
"""The parameters that population-based training may change, since they can change while a net trains without changing its shape."""


def mutable(space: Space) -> dict[str, Domain]:
    """Return the domains that population-based training may draw from anew, by path."""
    return {path: node for path, node in space.walk() if path.split(".")[-1] in MUTABLE and isinstance(node, Domain)}
