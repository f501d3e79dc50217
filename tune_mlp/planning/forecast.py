"""The forecast: how long a study takes, computed from the costs of its draws and a simulation of its scheduler.

Draws that weren't measured are estimated from those that were. Within one study a sample's time follows the net's size
and the batch size about as a power of each, so a straight line is laid through their logarithms.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune_mlp.config import Cnn, TrialConfig
from tune_mlp.seeds import derive
from tune_mlp.study.study import BoundStudy
from tune_mlp.tuning.simulation import Cost, Simulation, simulate

STEP_AS_PRODUCTS = 50_000
"""The fixed cost of a training step, in multiply-adds; it is only used to sort draws before they are measured."""
SIMULATIONS, SIMULATING_SECONDS = 200, 2.0


def products(config: TrialConfig, features: int, outputs: int, shape: tuple[int, ...]) -> float:
    """Return the multiply-adds of one forward pass of a sample; for a CNN, borders are ignored."""
    total = 0.0
    if isinstance(config.model, Cnn):
        height, width, channels = (*shape, 1)[:3]
        for made in config.model.channels:
            total += height * width * config.model.kernel**2 * channels * made
            height, width, channels = height // config.model.pool, width // config.model.pool, made
        features = height * width * channels
    dims = (features, *config.hidden, outputs)
    return total + sum(a * b for a, b in itertools.pairwise(dims))


def roughly(products: float, batch_size: int) -> float:
    """Estimate the relative time of one sample before anything is measured, to choose which draws are measured."""
    return 3 * products + STEP_AS_PRODUCTS / batch_size


def evenly_spaced(rough: Sequence[float], count: int) -> list[int]:
    """Choose at most `count` draws, evenly spaced from the cheapest to the most expensive, both included."""
    if len(rough) <= count:
        return list(range(len(rough)))
    order = sorted(range(len(rough)), key=lambda i: (rough[i], i))
    places = np.linspace(0, len(rough) - 1, count).round().astype(int)
    return sorted({order[place] for place in places})


def filled_in(measured: Mapping[int, float], products: Sequence[float], batches: Sequence[int]) -> list[float]:
    """Return a figure for each draw: the measured one, or else an estimate by a power law. The law is scaled so that it gives
    the sum of the measured figures, because a mean of logarithms is below the logarithm of the mean."""
    known = [i for i in measured if measured[i] > 0]
    if not known:
        return [0.0] * len(products)
    x = np.column_stack([np.ones(len(products)), np.log(np.maximum(products, 1)), np.log(batches)])
    line, *_ = np.linalg.lstsq(x[known], np.log([measured[i] for i in known]), rcond=None)
    law: NDArray[np.float64] = np.exp(x @ line)
    low, high = min(measured[i] for i in known), max(measured[i] for i in known)
    law = np.clip(law * (sum(measured[i] for i in known) / law[known].sum()), low / 4, high * 4)
    return [measured.get(i, float(law[i])) for i in range(len(products))]


def simulations(
    study: BoundStudy, costs: Sequence[Cost], slots: int, seen: Mapping[int, float], seconds: float = SIMULATING_SECONDS
) -> list[Simulation]:
    """Simulate the study several times. A draw's scores depend half on chance and half on its metric in the calibration: a
    draw that learns nothing there will hardly win. Without a scheduler, one simulation is enough."""
    random = np.random.default_rng(derive(study.seed, "plan"))
    if study.scheduler.fifo or study.scheduler.pbt:
        return [simulate(study, costs, slots, lambda number, epoch: 0.0)]
    places = _normal_places(seen, len(costs), 1 if study.ranking[1] == "max" else -1)
    found: list[Simulation] = []
    end = time.monotonic() + seconds
    while len(found) < SIMULATIONS and (len(found) < 3 or time.monotonic() < end):
        quality = places + random.normal(size=len(costs)) * np.where(places == 0, math.sqrt(2), 1)
        found.append(simulate(study, costs, slots, _rising(quality)))
    return found


def _rising(quality: NDArray[Any]) -> Callable[[int, int], float]:
    """Return scores that improve with each epoch, as real ones do: median stopping compares a best with running means."""
    return lambda number, epoch: float(quality[number]) - 1.0 / epoch


def _normal_places(seen: Mapping[int, float], count: int, sign: int) -> NDArray[np.float64]:
    """Return the ranks of the draws as normal deviates; 0 for draws that were not measured."""
    from scipy.stats import norm, rankdata  # 0.3 s to import

    places = np.zeros(count)
    if len(seen) > 1:
        numbers = list(seen)
        ranks = rankdata([sign * seen[number] for number in numbers])
        places[numbers] = norm.ppf((ranks - 0.5) / len(ranks))
    return places


def may_set_aside(study: BoundStudy, slots: int) -> int:
    """Return how many trials may be unfinished at once, each with a state on disk."""
    return study.number_of_trials if study.scheduler.pauses else slots
