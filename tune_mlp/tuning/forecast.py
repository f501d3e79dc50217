"""The forecast: from what draws cost to how long a study takes, by letting its own scheduler decide over made-up scores.

Draws that weren't measured are estimated from those that were. Within one study a sample's time follows the net's size
and the batch size about as a power of each, so a straight line is laid through their logarithms.
"""

from __future__ import annotations

import heapq
import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from tune_mlp.config import Cnn, TrialConfig
from tune_mlp.seeds import derive
from tune_mlp.tuning.schedulers import make_scheduler, milestones
from tune_mlp.tuning.study import Study
from tune_mlp.tuning.trainable import PATIENT_SECONDS

RESULT_SECONDS, BEGIN_SECONDS = 0.006, 0.006
"""What the driver, one for all slots, is busy with a result and with a new trial: benchmarks/RECORDS.md, "what a trial
costs beside its training"."""
STEP_AS_PRODUCTS = 50_000
"""A step costs, whatever its batch and net, about as much as so many multiply-adds: enough to sort draws by."""
SIMULATIONS, SIMULATING_SECONDS = 200, 2.0


@dataclass(frozen=True)
class Cost:
    """What one draw takes of a slot, in seconds."""

    epoch: float
    """Training and validation, of all its folds and seeds."""
    begin: float = 0.0
    """Making the nets."""
    best: float = 0.0
    """Writing the best weights, once a result."""
    state: float = 0.0
    """Writing what a trial goes on from, once a result that isn't the last."""
    ends_at_once: bool = False
    """Has it diverged while it was measured? Then it ends within its first epoch."""


@dataclass(frozen=True)
class Simulated:
    """One way that a study may go."""

    seconds: float
    """From the first trial's start to the last one's end."""
    epochs: tuple[int, ...]
    """Of each draw."""


def products(config: TrialConfig, features: int, outputs: int, shape: tuple[int, ...]) -> float:
    """Multiply-adds a sample, forward; of a CNN to within its borders."""
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
    """A sample's time in some unit, before anything is measured: good enough to choose by what is."""
    return 3 * products + STEP_AS_PRODUCTS / batch_size


def spread(rough: Sequence[float], count: int) -> list[int]:
    """At most `count` draws that stand for all: evenly from the cheapest to the most costly, both included."""
    if len(rough) <= count:
        return list(range(len(rough)))
    order = sorted(range(len(rough)), key=lambda i: (rough[i], i))
    places = np.linspace(0, len(rough) - 1, count).round().astype(int)
    return sorted({order[place] for place in places})


def filled_in(measured: Mapping[int, float], products: Sequence[float], batches: Sequence[int]) -> list[float]:
    """A figure for each draw: its own where it was measured, else by the power law, which is scaled so that it meets the
    sum of what was measured: the mean of logarithms is below the logarithm of the mean."""
    known = [i for i in measured if measured[i] > 0]
    if not known:
        return [0.0] * len(products)
    x = np.column_stack([np.ones(len(products)), np.log(np.maximum(products, 1)), np.log(batches)])
    line, *_ = np.linalg.lstsq(x[known], np.log([measured[i] for i in known]), rcond=None)
    law: NDArray[np.float64] = np.exp(x @ line)
    low, high = min(measured[i] for i in known), max(measured[i] for i in known)
    law = np.clip(law * (sum(measured[i] for i in known) / law[known].sum()), low / 4, high * 4)
    return [measured.get(i, float(law[i])) for i in range(len(products))]


class _Simulated:
    """A trial, as far as Ray's schedulers look at one."""

    is_saving = False

    def __init__(self, number: int) -> None:
        self.trial_id = str(number)
        self.config = {"trial": number}
        self.status: str = Trial.PENDING
        self.epoch = 0


class _Controller:
    """Ray's, as far as its schedulers ask it for anything."""

    def __init__(self, scheduler: TrialScheduler) -> None:
        self._scheduler = scheduler
        self.live: dict[str, _Simulated] = {}

    def get_trials(self) -> list[_Simulated]:
        return list(self.live.values())

    get_live_trials = get_trials

    def add(self, trial: _Simulated) -> None:
        self.live[trial.trial_id] = trial
        self._scheduler.on_trial_add(self, trial)

    def end(self, trial: _Simulated) -> None:
        trial.status = Trial.TERMINATED
        self.live.pop(trial.trial_id, None)

    def stop_trial(self, trial: _Simulated) -> None:
        """The scheduler ends one that it had set aside."""
        self.end(trial)
        self._scheduler.on_trial_remove(self, trial)


def simulate(study: Study, costs: Sequence[Cost], slots: int, score: Callable[[int, int], float]) -> Simulated:
    """Let a bound study's scheduler decide, on the clock of these costs; draws start in order, as slots become free.
    Population-based training ends nothing early, and what it changes on the way isn't foreseen."""
    scheduler = FIFOScheduler() if study.scheduler.pbt else make_scheduler(study, len(costs))
    metric, mode = study.ranking
    sign = 1 if mode == "max" else -1
    ends = milestones(study)
    controller = _Controller(scheduler)
    ahead = slots if study.scheduler.pauses else 1
    """So many wait: Ray draws on while trials are set aside."""
    running: list[tuple[float, int, _Simulated, int]] = []
    epochs, drawn, driver, last = [0] * len(costs), 0, 0.0, 0.0

    def go_on(trial: _Simulated, now: float) -> None:
        number = int(trial.trial_id)
        cost = costs[number]
        patient = math.ceil(PATIENT_SECONDS / cost.epoch) if cost.epoch > 0 else study.epochs
        until = min(next(end for end in ends if end > trial.epoch), trial.epoch + max(1, patient))
        if cost.ends_at_once:
            until = 1
        state = cost.state if until < study.epochs else 0.0
        took = (until - trial.epoch) * cost.epoch + cost.best + state + (0.0 if trial.epoch else cost.begin)
        heapq.heappush(running, (now + took, number, trial, until))

    while True:
        while len(running) < slots:
            waiting = sum(trial.status == Trial.PENDING for trial in controller.get_trials())
            while drawn < len(costs) and waiting < ahead:
                controller.add(_Simulated(drawn))
                drawn, waiting = drawn + 1, waiting + 1
            trial = scheduler.choose_trial_to_run(controller)
            if trial is None:
                break
            if not trial.epoch:
                driver = max(driver, last) + BEGIN_SECONDS
            trial.status = Trial.RUNNING
            go_on(trial, max(driver, last))
        if not running:
            return Simulated(last, tuple(epochs))
        came, number, trial, trial.epoch = heapq.heappop(running)
        driver = last = max(came, driver) + RESULT_SECONDS
        epochs[number] = trial.epoch
        result = {"epoch": trial.epoch, metric: sign * score(number, trial.epoch)}
        if trial.epoch >= study.epochs or costs[number].ends_at_once:
            scheduler.on_trial_complete(controller, trial, result)
            controller.end(trial)
            continue
        decision = scheduler.on_trial_result(controller, trial, result)
        if decision == TrialScheduler.STOP:
            controller.end(trial)
        elif decision == TrialScheduler.PAUSE and trial.status == Trial.RUNNING:
            trial.status = Trial.PAUSED
        elif trial.status == Trial.RUNNING:
            go_on(trial, last)


def simulations(
    study: Study, costs: Sequence[Cost], slots: int, seen: Mapping[int, float], seconds: float = SIMULATING_SECONDS
) -> list[Simulated]:
    """Several ways that a study may go. A draw's scores are by half chance, and by half what the calibration saw of it:
    it trained each for a moment, and what learns nothing there will hardly win. Without a scheduler one way says all."""
    random = np.random.default_rng(derive(study.seed, "plan"))
    if study.scheduler.fifo or study.scheduler.pbt:
        return [simulate(study, costs, slots, lambda number, epoch: 0.0)]
    places = _normal_places(seen, len(costs), 1 if study.ranking[1] == "max" else -1)
    found: list[Simulated] = []
    end = time.monotonic() + seconds
    while len(found) < SIMULATIONS and (len(found) < 3 or time.monotonic() < end):
        quality = places + random.normal(size=len(costs)) * np.where(places == 0, math.sqrt(2), 1)
        found.append(simulate(study, costs, slots, _rising(quality)))
    return found


def _rising(quality: NDArray[Any]) -> Callable[[int, int], float]:
    """Scores that become better by the epoch, as real ones do: median stopping compares a best with running means."""
    return lambda number, epoch: float(quality[number]) - 1.0 / epoch


def _normal_places(seen: Mapping[int, float], count: int, sign: int) -> NDArray[np.float64]:
    """Ranks as normal deviates; 0 where nothing was seen."""
    from scipy.stats import norm, rankdata  # 0.3 s to import

    places = np.zeros(count)
    if len(seen) > 1:
        numbers = list(seen)
        ranks = rankdata([sign * seen[number] for number in numbers])
        places[numbers] = norm.ppf((ranks - 0.5) / len(ranks))
    return places


def may_set_aside(study: Study, slots: int) -> int:
    """How many trials may be alive at once, and lie on disk with their states."""
    return study.number_of_trials if study.scheduler.pauses else slots
