"""A search that is played over a table of learning curves: the study's own searcher and scheduler, on a made-up clock.

Training takes the seconds that it really took; what the searcher and the scheduler think is measured while they do, as
processor time, and charged.
"""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from benchmarks.curves.curve_table import CurveTable
from tune_mlp.records import TrialState
from tune_mlp.study.study import BoundStudy
from tune_mlp.tuning.pausing import PausingScheduler
from tune_mlp.tuning.ray_compat.patching import quiet_ray
from tune_mlp.tuning.schedulers import make_scheduler, milestones
from tune_mlp.tuning.searchers import NumberedSearcher
from tune_mlp.tuning.simulation import BEGIN_SECONDS, RESULT_SECONDS, SimulatedController, SimulatedTrial

T = TypeVar("T")


@dataclass
class Played:
    """What a search found, and when."""

    seconds: list[float] = field(default_factory=list)
    """The time of each improvement, on the made-up clock."""
    epochs: list[int] = field(default_factory=list)
    """The epochs that had been trained by then."""
    regrets: list[float] = field(default_factory=list)
    """How far the net that looked best by then is below the table's best: by the means over the seeds, which the search doesn't see."""
    thinking: float = 0.0
    """The seconds that the searcher and the scheduler thought."""
    draws: int = 0
    trained: int = 0
    """The epochs that were trained in all."""
    ended: float = 0.0
    """The time of the last result."""
    least: float = 0.0
    """The regret of a search that trains all nets of the table from the same seed."""

    def regret_at(self, seconds: float) -> float:
        """Return the regret at a time; before the first result it is infinite."""
        known = [regret for at, regret in zip(self.seconds, self.regrets, strict=True) if at <= seconds]
        return known[-1] if known else math.inf

    def regret_after(self, epochs: int) -> float:
        """Return the regret after so many trained epochs."""
        known = [regret for at, regret in zip(self.epochs, self.regrets, strict=True) if at <= epochs]
        return known[-1] if known else math.inf


class _Controller(SimulatedController):
    """A simulated controller that tells the searcher, as Ray does, of the trials that the scheduler stops while they wait."""

    def __init__(self, scheduler: TrialScheduler, searcher: NumberedSearcher) -> None:
        super().__init__(scheduler)
        self._searcher = searcher

    def stop_trial(self, trial: SimulatedTrial) -> None:
        super().stop_trial(trial)
        self._searcher.on_trial_complete(trial.trial_id)


class _Player:
    """One search under way."""

    def __init__(self, study: BoundStudy, table: CurveTable, workers: int) -> None:
        self._study, self._table, self._workers = study, table, workers
        self._scheduler = make_scheduler(study, study.number_of_trials, workers)
        pausing = self._scheduler if isinstance(self._scheduler, PausingScheduler) else None
        self._searcher = NumberedSearcher(study, pausing=pausing)
        self._controller = _Controller(self._scheduler, self._searcher)
        self._ends = milestones(study)
        self._values = table.values[:, study.seed % table.values.shape[1]]
        metric, mode = study.ranking
        self._metric, self._sign = metric, 1 if mode == "max" else -1
        self._running: list[tuple[float, int, SimulatedTrial, int]] = []
        self._net: dict[str, int] = {}
        self._best: dict[str, float] = {}
        self._incumbent = -math.inf
        self._driver = 0.0
        self.played = Played(least=table.regret_of_all(study.seed))

    def play(self, seconds: float) -> Played:
        """Search until the clock says that the time is over, or all trials have ended."""
        while True:
            self._fill()
            if not self._running:
                return self.played
            came, _, trial, until = heapq.heappop(self._running)
            if came > seconds:
                return self.played
            self._driver = max(self._driver, came) + RESULT_SECONDS
            self._take(trial, until)
            self.played.ended = self._driver

    def _think(self, work: Callable[[], T]) -> T:
        began = time.process_time()
        try:
            return work()
        finally:
            took = time.process_time() - began
            self.played.thinking += took
            self._driver += took

    def _fill(self) -> None:
        """Give each idle worker a trial."""
        while len(self._running) < self._workers:
            waiting = sum(trial.status == Trial.PENDING for trial in self._controller.get_trials())
            if not waiting:
                self._draw()
            trial = self._think(lambda: self._scheduler.choose_trial_to_run(self._controller))
            if trial is None:
                return
            if not trial.epoch:
                self._driver += BEGIN_SECONDS
            trial.status = Trial.RUNNING
            self._go_on(trial)

    def _draw(self) -> None:
        """Draw a trial, if there is one to come and the searcher has room for it."""
        name = str(self.played.draws)
        config: Any = self._think(lambda: self._searcher.suggest(name))
        if config is None or config == Searcher.FINISHED:
            return
        self._net[name] = self._table.number(config["params"])
        trial = SimulatedTrial(self.played.draws)
        self.played.draws += 1
        self._think(lambda: self._controller.add(trial))

    def _go_on(self, trial: SimulatedTrial) -> None:
        until = self._ends.after(trial.epoch)
        took = (until - trial.epoch) * float(self._table.seconds[self._net[trial.trial_id]])
        heapq.heappush(self._running, (self._driver + took, int(trial.trial_id), trial, until))

    def _take(self, trial: SimulatedTrial, until: int) -> None:
        """Take a trial's result, and let the scheduler decide."""
        net, begin = self._net[trial.trial_id], trial.epoch
        curve = [(epoch, float(self._values[net, epoch - 1])) for epoch in range(begin + 1, until + 1)]
        diverged = next((epoch for epoch, value in curve if not math.isfinite(value)), None)
        trial.epoch = diverged or until
        self.played.trained += trial.epoch - begin
        curve = [(epoch, value) for epoch, value in curve if math.isfinite(value)]
        for epoch, value in curve:
            self._note(net, epoch, value)
        known = self._best.get(trial.trial_id, -math.inf)
        best = max([known, *(self._sign * value for _, value in curve)])
        self._best[trial.trial_id] = best
        over = diverged is not None or trial.epoch >= self._study.epochs
        state = TrialState.DIVERGED if diverged else TrialState.FINISHED if over else TrialState.STOPPED
        score = float(self._values[net, trial.epoch - 1]) if diverged is None else -math.inf
        result = {
            "epoch": trial.epoch,
            self._metric: score,
            "curve": curve,
            "state": state.value,
            "best": self._sign * best if math.isfinite(best) else None,
        }
        if over:
            self._think(lambda: self._scheduler.on_trial_complete(self._controller, trial, result))
            self._end(trial, result)
            return
        decision = self._think(lambda: self._scheduler.on_trial_result(self._controller, trial, result))
        if decision == TrialScheduler.STOP:
            self._end(trial, result)
            return
        self._think(lambda: self._searcher.on_trial_result(trial.trial_id, result))
        if decision == TrialScheduler.PAUSE and trial.status == Trial.RUNNING:
            trial.status = Trial.PAUSED
        elif trial.status == Trial.RUNNING:
            self._go_on(trial)

    def _end(self, trial: SimulatedTrial, result: dict[str, Any]) -> None:
        self._controller.end(trial)
        self._think(lambda: self._searcher.on_trial_complete(trial.trial_id, result))

    def _note(self, net: int, epoch: int, value: float) -> None:
        if self._sign * value <= self._incumbent:
            return
        self._incumbent = self._sign * value
        self.played.seconds.append(self._driver)
        self.played.epochs.append(self.played.trained)
        self.played.regrets.append(self._table.best - float(self._table.means[net, epoch - 1]))


@quiet_ray()
def play(study: BoundStudy, table: CurveTable, workers: int, seconds: float = math.inf) -> Played:
    """Play a study over a table. Its seed says which of the table's seeds each net is trained from."""
    return _Player(study, table, workers).play(seconds)
