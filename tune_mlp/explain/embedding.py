"""A map of what the second-last layer makes of the samples: near samples look alike to the net (t-SNE)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from tune_mlp.explain.layers import before_the_output
from tune_mlp.explain.trained_net import TrainedNet
from tune_mlp.seeds import derive

MOST = 1000
"""The largest number of samples on the map."""
ITERATIONS = 500
LEAST = 50
"""The least number of samples that make a map."""


class Embedding(NamedTuple):
    """A map of samples."""

    places: NDArray[np.int64]
    """The samples, by their places among those of the net."""
    points: NDArray[np.float64]
    """[samples, 2]"""
    neighbours: float
    """The share of samples whose nearest neighbour on the map is of the same class; NaN for regression."""


def embedding(net: TrainedNet, seed: int = 0, most: int = MOST) -> Embedding | None:
    """Map at most a thousand samples, which the seed picks; None if there are too few. The same seed gives the same map."""
    samples = net.samples
    count = min(most, len(samples.inputs))
    if count < LEAST:
        return None
    generator = np.random.default_rng(derive(seed, "t-SNE"))
    places = np.sort(generator.permutation(len(samples.inputs))[:count])
    units = np.concatenate([before_the_output(one, samples.inputs[places]) for one in net.nets], axis=1)
    points = tsne(units, seed)
    same = float("nan")
    if net.classes:
        from scipy.spatial import KDTree

        nearest = KDTree(points).query(points, k=2)[1][:, 1]
        same = float((samples.wanted[places][nearest] == samples.wanted[places]).mean())
    return Embedding(places, points, same)


def tsne(units: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Return places on a plane, [samples, 2], by t-SNE (van der Maaten and Hinton 2008) from the two main components."""
    from sklearn.manifold import TSNE  # takes a second to import

    perplexity = min(30.0, (len(units) - 1) / 3)
    model = TSNE(2, perplexity=perplexity, init="pca", random_state=derive(seed, "t-SNE") % 2**32, max_iter=ITERATIONS)
    with threadpool_limits(1):  # several threads would add in another order each time
        found: NDArray[np.float64] = model.fit_transform(units.astype(np.float32)).astype(np.float64)
    return found
