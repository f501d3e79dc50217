"""A simulation of a search: the study's own scheduler decides over made-up scores, on a made-up clock."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from tune_mlp.study.study import BoundStudy
from tune_mlp.tuning.ray_compat.patching import quiet_ray
from tune_mlp.tuning.schedulers import has_room, make_scheduler, milestones
from tune_mlp.tuning.trainable import PATIENT_SECONDS

RESULT_SECONDS, BEGIN_SECONDS = 0.006, 0.006
"""The seconds that the driver spends on a result and on a new trial; see benchmarks/RECORDS.md, "what a trial costs beside
its training"."""


@dataclass(frozen=True)
class Cost:
    """The seconds that one draw occupies a slot."""

    epoch: float
    """Training and validating all folds and seeds for an epoch."""
    begin: float = 0.0
    """Building the nets."""
    best: float = 0.0
    """Writing the best weights, once for each result."""
    state: float = 0.0
    """Writing the state that a trial resumes from, once for each result but the last."""
    last_epoch: int | None = None
    """The epoch in which the trial ends by itself, because it diverges or its patience runs out; None if it trains all epochs."""


@dataclass(frozen=True)
class Simulation:
    """One simulation of a study."""

    seconds: float
    """Seconds from the start of the first trial to the end of the last."""
    epochs: tuple[int, ...]
    """The epochs that each draw was trained."""


class SimulatedTrial:
    """A simulated trial, with the attributes that Ray's schedulers use."""

    is_saving = False

    def __init__(self, number: int) -> None:
        self.trial_id = str(number)
        self.config: dict[str, Any] = {"trial": number}
        self.status: str = Trial.PENDING
        self.epoch = 0

    def set_status(self, status: str) -> None:
        self.status = status


class SimulatedController:
    """A simulated controller, with the methods that Ray's schedulers call."""

    def __init__(self, scheduler: TrialScheduler) -> None:
        self._scheduler = scheduler
        self.live: dict[str, SimulatedTrial] = {}

    def get_trials(self) -> list[SimulatedTrial]:
        return list(self.live.values())

    get_live_trials = get_trials

    def add(self, trial: SimulatedTrial) -> None:
        self.live[trial.trial_id] = trial
        self._scheduler.on_trial_add(self, trial)

    def end(self, trial: SimulatedTrial) -> None:
        trial.status = Trial.TERMINATED
        self.live.pop(trial.trial_id, None)

    def pause_trial(self, trial: SimulatedTrial, should_checkpoint: bool) -> None:
        trial.status = Trial.PAUSED

    def stop_trial(self, trial: SimulatedTrial) -> None:
        """End a trial that the scheduler had paused."""
        self.end(trial)
        self._scheduler.on_trial_remove(self, trial)


@quiet_ray()
def simulate(study: BoundStudy, costs: Sequence[Cost], slots: int, score: Callable[[int, int], float]) -> Simulation:
    """Simulate a study with these costs; draws start in order, as slots become free. Population-based training ends no trial
    early, and the changes that it makes are not simulated. Of several goals only the metric is, whose scores these are."""
    study = study.model_copy(update={"metrics": ()})
    scheduler = FIFOScheduler() if study.scheduler.pbt else make_scheduler(study, len(costs), slots)
    metric, mode = study.ranking
    sign = 1 if mode == "max" else -1
    ends = milestones(study)
    controller = SimulatedController(scheduler)
    running: list[tuple[float, int, SimulatedTrial, int]] = []
    epochs, drawn, driver, last = [0] * len(costs), 0, 0.0, 0.0

    def go_on(trial: SimulatedTrial, now: float) -> None:
        number = int(trial.trial_id)
        cost = costs[number]
        patient = math.ceil(PATIENT_SECONDS / cost.epoch) if cost.epoch > 0 else study.epochs
        until = min(ends.after(trial.epoch), trial.epoch + max(1, patient), cost.last_epoch or study.epochs)
        state = cost.state if until < study.epochs else 0.0
        took = (until - trial.epoch) * cost.epoch + cost.best + state + (0.0 if trial.epoch else cost.begin)
        heapq.heappush(running, (now + took, number, trial, until))

    while True:
        while len(running) < slots:
            waits = any(trial.status == Trial.PENDING for trial in controller.get_trials())
            if drawn < len(costs) and not waits and has_room(scheduler):
                controller.add(SimulatedTrial(drawn))
                drawn += 1
            trial = scheduler.choose_trial_to_run(controller)
            if trial is None:
                break
            if not trial.epoch:
                driver = max(driver, last) + BEGIN_SECONDS
            trial.status = Trial.RUNNING
            go_on(trial, max(driver, last))
        if not running:
            return Simulation(last, tuple(epochs))
        came, number, trial, trial.epoch = heapq.heappop(running)
        driver = last = max(came, driver) + RESULT_SECONDS
        curve = [(epoch, sign * score(number, epoch)) for epoch in range(epochs[number] + 1, trial.epoch + 1)]
        epochs[number] = trial.epoch
        result = {"epoch": trial.epoch, metric: curve[-1][1], "curve": curve}
        if trial.epoch >= (costs[number].last_epoch or study.epochs):
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
