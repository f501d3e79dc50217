"""Population-based training: one of the worst trials takes over the weights of one of the best, and its settings with small changes.

The rules are those of Ray's PopulationBasedTraining, with two corrections: a trial takes over only one that is better and at least as
old, since Ray would send it back to an older state, and would never end if scores tied again and again. All chance comes from the
study's seed, and what was decided is rebuilt from the journal. The states that trials take over lie in the run's folder.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from ray.tune.experiment import Trial

from tune_mlp.results.journal import Decision, Drawn, Ended
from tune_mlp.runs.history import WORST, Came, History
from tune_mlp.seeds import derive
from tune_mlp.space.domains import Domain, Value, as_value
from tune_mlp.space.space import Params
from tune_mlp.study.mutable import mutable
from tune_mlp.study.study import BoundStudy
from tune_mlp.tuning.pausing import Action, PausingScheduler
from tune_mlp.tuning.trial_files import SOURCE

WAITING = (Trial.PENDING, Trial.PAUSED)


class Population(PausingScheduler):
    """Population-based training. Where more trials live than run at once, each is set aside at its comparisons, and the one that is
    least far is next."""

    def __init__(self, study: BoundStudy) -> None:
        assert study.scheduler.pbt
        super().__init__(study)
        self._seed = study.seed
        self._interval, self._quantile = study.scheduler.pbt.interval, study.scheduler.pbt.quantile
        self._resample = study.scheduler.pbt.resample
        self._domains: dict[str, Domain] = mutable(study.parsed)
        self._scores: dict[int, float] = {}
        """The score of each trial at its last comparison."""
        self._compared: dict[int, int] = {}
        """The epoch of each trial's last comparison; of one that took another over, that of the other's."""
        self._saved: set[int] = set()
        """The trials that were among the best at their last comparison: only their states are kept for others."""
        self._gone: set[int] = set()
        self._params: dict[int, Params] = {}
        """The parameters of trials of earlier drivers."""
        self._source: dict[int, tuple[int, int]] = {}
        """Whose state, after which epoch, each trial took over last."""
        self._to_load: set[int] = set()
        """The trials that took another over and haven't come with a result since."""
        self._changes: dict[int, int] = {}
        """How often each trial took another over."""
        self._left: set[tuple[int, int]] = set()
        """The states that lie in the run's folder for others to take over."""
        self.told: dict[tuple[int, int], int | None] = {}
        """The donor by trial and epoch, where decisions are derived again: earlier versions took one of the best by chance."""

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        number = trial.config["trial"]
        is_earlier = number in self._earlier
        self._gone.discard(number)  # it lost its worker and gets another
        super().on_trial_add(tune_controller, trial)
        if is_earlier:
            self._give(number, self._params[number])

    @property
    def has_room(self) -> bool:
        """True if another trial may be added: all are to come to their first comparison before one goes on from there."""
        to_begin = (trial for number, trial in self._ray_trials.items() if number not in self._compared)
        ahead = sum(trial.status == Trial.PAUSED for trial in to_begin)
        return bool(self._earlier) or self._begun() + ahead < self.slots

    def _rank(self, number: int, epoch: int, place: int) -> tuple[int, int]:
        return self._compared.get(number, 0), number

    def _decide(self, number: int, epoch: int, score: float) -> Action:
        self._has_loaded(number)
        if epoch - self._compared.get(number, 0) < self._interval:
            return "continue"
        others = (trial for other, trial in self._ray_trials.items() if other != number)
        some_wait = self.to_come > 0 or bool(self._earlier) or any(trial.status in WAITING for trial in others)
        return "pause" if self._compare(number, epoch, score) or some_wait else "continue"

    def _compare(self, number: int, epoch: int, score: float) -> bool:
        """Compare a trial with all others; return whether it takes another one over."""
        among_worst = self._enter(number, epoch, score)
        donor = self._donor(number, epoch) if number in among_worst else None
        cutoff = min((score for other, score in self._scores.items() if other not in among_worst), default=None)
        decision: Decision = "continue" if donor is None else "exploit"
        self._write(number, epoch, f"epoch {epoch}", score, cutoff, len(self._scores), decision, donor)
        if donor is not None:
            self._exploit(number, donor)
        self._release()
        return donor is not None

    def _enter(self, number: int, epoch: int, score: float) -> Collection[int]:
        """Take in a trial's score; return the worst trials."""
        self._scores[number], self._compared[number] = score, epoch
        self._left.add((number, epoch))
        worst, best = self._quantiles()
        (self._saved.add if number in best else self._saved.discard)(number)
        return worst

    def _quantiles(self) -> tuple[list[int], list[int]]:
        """Return the worst and the best of the trials that were compared and live."""
        live = (number for number in self._scores if number not in self._gone)
        ranked = sorted(live, key=lambda number: (self._scores[number], number))
        count = math.ceil(len(ranked) * self._quantile)
        if count > len(ranked) / 2:
            count = len(ranked) // 2
        return ranked[:count], ranked[len(ranked) - count :]

    def _donor(self, number: int, epoch: int) -> int | None:
        """Return the trial that another takes over, drawn from the study's seed; None where there is none, or its state isn't kept."""
        able = sorted(
            other
            for other in self._quantiles()[1]
            if self._scores[other] > self._scores[number] and self._compared[other] >= epoch
        )
        able = self._as_told(number, epoch, able)
        if not able:
            return None
        donor = able[derive(self._seed, "pbt", "donor", number, epoch) % len(able)]
        return donor if donor in self._saved else None

    def _as_told(self, number: int, epoch: int, able: list[int]) -> list[int]:
        """Return the donor that was drawn in the run that is derived again, if it is able; else all that are."""
        if (number, epoch) not in self.told:
            return able
        donor = self.told[number, epoch]
        if donor is None:  # one was drawn that had saved nothing, if there was such
            return [other for other in able if other not in self._saved] or able
        return [donor] if donor in able else able

    def _exploit(self, number: int, donor: int) -> None:
        """Give a trial the state of another, and its settings with changes."""
        self._source[number] = donor, self._compared[donor]
        self._compared[number] = self._compared[donor]
        self._to_load.add(number)
        self._changes[number] = self._changes.get(number, 0) + 1
        self._give(number, self.changed(number, self._changes[number], self._params_of(donor)))

    def changed(self, number: int, change: int, donors: Params) -> Params:
        """Return the donor's settings with the changes that a trial makes when it takes another over for the so manieth time."""
        params = dict(donors)
        for path, domain in self._domains.items():
            if path in params:
                u, v = (derive(self._seed, "pbt", number, change, path, i) / 2**63 for i in range(2))
                params[path] = domain.at(v) if u < self._resample else neighbour(domain, params[path], up=v < 0.5)
        return params

    def _params_of(self, number: int) -> Params:
        trial = self._ray_trials.get(number)
        params: Params = self._params[number] if trial is None else trial.config["params"]
        return params

    def _give(self, number: int, params: Params) -> None:
        """Give a trial its settings, and say whose state it is to go on from."""
        self._params[number] = params
        if trial := self._ray_trials.get(number):
            source = {SOURCE: list(self._source[number])} if number in self._source else {}
            trial.set_config({**trial.config, "params": params, **source})

    def _has_loaded(self, number: int) -> None:
        if number in self._to_load:
            self._to_load.discard(number)
            self._release()

    def _over(self, number: int) -> None:
        super()._over(number)
        self._gone.add(number)  # what it needed is released later, since it may only have lost its worker

    def _release(self) -> None:
        """Say which states nobody will take over any longer."""
        needed = {(number, self._compared[number]) for number in self._saved - self._gone}
        needed |= {self._source[number] for number in self._to_load - self._gone}
        self.released += sorted(self._left - needed)
        self._left &= needed

    def _take_over(self, history: History, undecided: Mapping[int, float]) -> None:
        last: dict[int, int] = {}
        for event in history.course:
            if isinstance(event, Drawn):
                self._params[event.trial] = {path: as_value(value) for path, value in event.params.items()}
            elif isinstance(event, Came):
                last[event.trial] = event.epoch
                self._has_loaded(event.trial)
            elif isinstance(event, Ended):
                self._over(event.trial)
            elif event.scheduler == self._name:
                score = -WORST if event.value is None else self._sign * event.value
                self._enter(event.trial, event.epoch, score)
                if event.donor is not None:
                    self._exploit(event.trial, event.donor)
        for number in history.open:
            if number in undecided and last[number] - self._compared.get(number, 0) >= self._interval:
                self._compare(number, last[number], self._sign * undecided[number])
        self._release()
        self.released.clear()  # an earlier driver removed them


def neighbour(domain: Domain, value: Value, up: bool) -> Value:
    """Return a value that is a little different: the next value of a countable domain, else one that is a fifth larger or
    smaller, within the domain's ends."""
    values = domain.values()
    if values is not None:
        index = values.index(value) + (1 if up else -1)
        return values[min(max(index, 0), len(values) - 1)]
    low, high = domain.extremes()
    assert isinstance(value, int | float)
    assert isinstance(low, int | float)
    assert isinstance(high, int | float)
    changed = min(max(value * (1.2 if up else 0.8), low), high)
    return round(changed) if isinstance(value, int) else changed
