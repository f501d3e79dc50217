"""Quasi-random draws: the points of a scrambled Sobol sequence as quantiles of a space's parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np

from tune_mlp.space.choosers import Quantile
from tune_mlp.space.domains import Domain
from tune_mlp.space.space import Branch, Items, Node, Sized, Space


def sobol_points(space: Space, seed: int) -> Iterator[Quantile]:
    """Yield the points in order. Each parameter that may be drawn has a dimension of its own, also if it exists with an option only.

    The points are scrambled by Owen's method, so that each is uniformly distributed; in 2^k of them, each dimension has exactly
    one in each of 2^k equal intervals.
    """
    from scipy.stats import qmc  # 0.5 s, and only this search needs it

    places = {path: i for i, path in enumerate(name for path, node in space.walk() for name in _drawn(path, node))}
    engine = qmc.Sobol(max(1, len(places)), scramble=True, seed=np.random.default_rng(seed))
    while True:
        point = engine.random(1)[0]
        yield lambda path, point=point: float(point[places[path]])  # type: ignore[misc]


def _drawn(path: str, node: Node) -> Iterator[str]:
    """Yield the paths that a chooser may be asked for."""
    if isinstance(node, Branch | Domain):
        yield path
    elif isinstance(node, Items):
        yield from (f"{path}.{i}" for i, item in enumerate(node.items) if isinstance(item, Domain))
    elif isinstance(node, Sized):
        lengths = node.length.extremes() if isinstance(node.length, Domain) else (node.length.value,)
        if isinstance(node.length, Domain):
            yield f"{path}.length"
        if isinstance(node.item, Domain):
            yield from (f"{path}.{i}" for i in range(max(cast("tuple[int, ...]", lengths))))
