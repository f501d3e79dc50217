"""What other settings of the scheduler would have saved and lost on the curves that a run has recorded. Nothing is trained.

Each setting's scheduler decides by its own code, over the recorded values, on a simulated clock on which an epoch takes the seconds
that it took in the run. A setting may train a trial further than it was recorded. Its values beyond the record are taken in three
ways: as the worst possible, as the last recorded one, and as better than all.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tune_mlp.insight.recorded_curves import Floats, RecordedCurves
from tune_mlp.runs.history import WORST
from tune_mlp.study.settings import Scheduler
from tune_mlp.study.study import BoundStudy
from tune_mlp.tuning.simulation import Cost, simulate

FACTORS = (2, 3, 4)
"""ASHA's reduction factors that are tried."""
GRACE_SHARES = (0.1, 0.2, 0.35)
"""The grace periods that are tried, as shares of all epochs; one epoch is tried, too."""
MOST_FOR_MEDIAN = 500_000
"""The median rule looks at all trials after each epoch of each one. It is tried up to so many looks."""
KEPT_SHARES = (0.5, 0.25, 0.1)
"""The shares of the trials that a plain cut keeps."""
Epochs = NDArray[np.int64]


@dataclass(frozen=True)
class Recorded:
    """A run as the simulations need it."""

    study: BoundStudy
    curves: RecordedCurves
    winner: float
    """The value of the run's winner, signed as the curves are."""
    slots: int
    """How many trials run at once."""

    @property
    def unchanged(self) -> Floats:
        """The values of all trials, where each stays as it was last recorded."""
        last = self.curves.values[np.arange(len(self.curves.trials)), np.maximum(self.curves.recorded, 1) - 1]
        return self._filled(last)

    @property
    def extremes(self) -> list[Floats]:
        """The values of all trials, where each is better than all before it once its record has ended, and where each is worse."""
        known = self.curves.values[np.isfinite(self.curves.values)]
        steps = (np.ptp(known) + 1) * np.arange(1, len(self.curves.trials) + 1)
        return [self._filled(known.max() + steps), self._filled(known.min() - steps)]

    def _filled(self, fill: Floats) -> Floats:
        beyond = np.arange(self.study.epochs) >= self.curves.recorded[:, None]
        return np.where(beyond & ~self.curves.whole[:, None], fill[:, None], self.curves.values)

    @property
    def trained_to_end(self) -> Epochs:
        """The epochs of each trial if no scheduler stops any."""
        return np.where(self.curves.whole, np.maximum(self.curves.recorded, 1), self.study.epochs)


class Setting(NamedTuple):
    """A scheduler with its settings, or a plain cut."""

    name: str
    scheduler: Scheduler | None = None
    cut: int = 0
    """The epoch of a plain cut."""
    kept: float = 1.0
    """The share of the trials that goes on after it."""


def _best_known(curves: RecordedCurves, epochs: Epochs) -> float:
    """Return the best recorded value of the trials that may be best, if each were trained so many epochs."""
    within = np.arange(curves.values.shape[1]) < epochs[:, None]
    return float(np.max(np.where(within & curves.able[:, None], np.nan_to_num(curves.values, nan=-np.inf), -np.inf)))


def settings_to_try(study: BoundStudy) -> list[Setting]:
    """Return the settings that are compared, the study's own first. The median rule isn't tried where it takes too long."""
    graces = sorted({1, *(math.ceil(share * study.epochs) for share in GRACE_SHARES)} - {study.epochs})
    found = [Setting(described(study.scheduler), study.scheduler), *_schedulers(study, graces)]
    found += [
        Setting(f"best {kept:.0%} go on after epoch {cut}", cut=cut, kept=kept)
        for cut in graces
        for kept in KEPT_SHARES
    ]
    return list({setting.name: setting for setting in found}.values())


def _schedulers(study: BoundStudy, graces: list[int]) -> Iterator[Setting]:
    chosen: list[dict[str, Any]] = [{"fifo": {}}, {"hyperband": {}}]
    chosen += [{"asha": {"grace_period": grace, "reduction_factor": factor}} for grace in graces for factor in FACTORS]
    if study.number_of_trials**2 * study.epochs <= MOST_FOR_MEDIAN:
        chosen += [{"median": {"grace_period": grace}} for grace in graces]
    for settings in chosen:
        scheduler = Scheduler.model_validate(settings)
        yield Setting(described(scheduler), scheduler)


def described(scheduler: Scheduler) -> str:
    """Return a scheduler and its settings in words: `asha, grace_period 3, reduction_factor 2`."""
    settings = getattr(scheduler, scheduler.name).model_dump()
    return ", ".join([scheduler.name, *(f"{name} {value:g}" for name, value in settings.items())])


def compare_settings(run: Recorded) -> pd.DataFrame:
    """Return a row for each setting: the epochs and seconds of training that it would have saved, and what it would have lost."""
    to_end = run.trained_to_end
    full_epochs, full_seconds = int(to_end.sum()), float(to_end @ run.curves.seconds)
    rows = []
    for setting in settings_to_try(run.study):
        ways = _ways(run, setting)
        # By trial, since one way may stop some of them and another way the others.
        least, most = np.min(ways, axis=0), np.max(ways, axis=0)
        rows.append(
            {
                "setting": setting.name,
                "epochs_saved_low": full_epochs - int(most.sum()),
                "epochs_saved_high": full_epochs - int(least.sum()),
                "seconds_saved_low": full_seconds - float(most @ run.curves.seconds),
                "seconds_saved_high": full_seconds - float(least @ run.curves.seconds),
                "lost_at_most": run.winner - _best_known(run.curves, least),
                "unknown": int(np.count_nonzero(_beyond(run.curves, most))),
            }
        )
    return pd.DataFrame(rows)


def same_as_recorded(run: Recorded, before: RecordedCurves) -> int:
    """Return how many trials the simulation of the run's own setting gives the epochs that they had in the run."""
    way = _epochs_under(run, Setting("", run.study.scheduler), run.unchanged)
    return int(np.count_nonzero(way == before.recorded))


def _beyond(curves: RecordedCurves, epochs: Epochs) -> NDArray[np.bool_]:
    """True of a trial that would be trained further than it was recorded."""
    return (epochs > curves.recorded) & ~curves.whole


def _ways(run: Recorded, setting: Setting) -> list[Epochs]:
    """Return the epochs that a setting would train each trial: once, or in three ways if it asks for unknown values."""
    way = _epochs_under(run, setting, run.unchanged)
    if not _beyond(run.curves, way).any():
        return [way]
    return [way, *(_epochs_under(run, setting, values) for values in run.extremes)]


def _epochs_under(run: Recorded, setting: Setting, values: Floats) -> Epochs:
    """Return the epochs that a setting would train each trial, if these are all values."""
    ends = run.trained_to_end
    if setting.scheduler is None:
        best = np.fmax.accumulate(values, axis=1)[:, setting.cut - 1]
        going_on = np.argsort(-np.where(run.curves.able, best, -np.inf), kind="stable")
        cut = going_on[max(1, math.ceil(setting.kept * len(values))) :]
        return np.where(np.isin(np.arange(len(values)), cut), np.minimum(ends, setting.cut), ends)
    study = run.study.model_copy(update={"scheduler": setting.scheduler})
    costs = [Cost(seconds, last_epoch=int(end)) for seconds, end in zip(run.curves.seconds, ends, strict=True)]
    scores = np.nan_to_num(values, nan=-WORST)
    return np.array(simulate(study, costs, run.slots, lambda number, epoch: float(scores[number, epoch - 1])).epochs)
