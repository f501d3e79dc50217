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
KEPT_SHARES = (0.5, 0.25, 0.1)
"""The shares of the trials that a plain cut keeps."""


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
    def trained_to_end(self) -> NDArray[np.int64]:
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


def _best_known(curves: RecordedCurves, epochs: NDArray[np.int64]) -> float:
    """Return the best recorded value of the trials that may be best, if each were trained so many epochs."""
    within = np.arange(curves.values.shape[1]) < epochs[:, None]
    return float(np.max(np.where(within & curves.able[:, None], np.nan_to_num(curves.values, nan=-np.inf), -np.inf)))


def settings_to_try(study: BoundStudy) -> list[Setting]:
    """Return the settings that are compared, the study's own first."""
    graces = sorted({1, *(math.ceil(share * study.epochs) for share in GRACE_SHARES)} - {study.epochs})
    found = [Setting(described(study.scheduler), study.scheduler), *_schedulers(graces)]
    found += [
        Setting(f"best {kept:.0%} go on after epoch {cut}", cut=cut, kept=kept)
        for cut in graces
        for kept in KEPT_SHARES
    ]
    return list({setting.name: setting for setting in found}.values())


def _schedulers(graces: list[int]) -> Iterator[Setting]:
    chosen: list[dict[str, Any]] = [{"fifo": {}}, {"hyperband": {}}]
    chosen += [{"asha": {"grace_period": grace, "reduction_factor": factor}} for grace in graces for factor in FACTORS]
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
        epochs = [int(way.sum()) for way in ways]
        seconds = [float(way @ run.curves.seconds) for way in ways]
        beyond = np.any([_beyond(run.curves, way) for way in ways], axis=0)
        rows.append(
            {
                "setting": setting.name,
                "epochs_saved_low": full_epochs - max(epochs),
                "epochs_saved_high": full_epochs - min(epochs),
                "seconds_saved_low": full_seconds - max(seconds),
                "seconds_saved_high": full_seconds - min(seconds),
                "lost_at_most": run.winner - min(_best_known(run.curves, way) for way in ways),
                "unknown": int(beyond.sum()),
            }
        )
    return pd.DataFrame(rows)


def same_as_recorded(run: Recorded, before: RecordedCurves) -> int:
    """Return how many trials the simulation of the run's own setting gives the epochs that they had in the run."""
    own = Setting("", run.study.scheduler)
    return int(np.count_nonzero(_epochs_under(run, own, _last(run.curves)) == before.recorded))


def _last(curves: RecordedCurves) -> Floats:
    """Return the last recorded value of each trial."""
    last = curves.values[np.arange(len(curves.trials)), np.maximum(curves.recorded, 1) - 1]
    known: Floats = np.nan_to_num(last, nan=-WORST)
    return known


def _beyond(curves: RecordedCurves, epochs: NDArray[np.int64]) -> NDArray[np.bool_]:
    """True of a trial that would be trained further than it was recorded."""
    return (epochs > curves.recorded) & ~curves.whole


def _ways(run: Recorded, setting: Setting) -> list[NDArray[np.int64]]:
    """Return the epochs that a setting would train each trial; once, or where values are unknown by each way to take them."""
    curves = run.curves
    way = _epochs_under(run, setting, np.full(len(curves.trials), run.winner + abs(run.winner) + 1))
    if not _beyond(curves, way).any():
        return [way]
    return [way, *(_epochs_under(run, setting, fill) for fill in (_last(curves), np.full(len(curves.trials), -WORST)))]


def _epochs_under(run: Recorded, setting: Setting, fill: Floats) -> NDArray[np.int64]:
    """Return the epochs that a setting would train each trial, if unknown values are those of `fill`."""
    curves, most = run.curves, run.study.epochs
    unknown = np.arange(most) >= curves.recorded[:, None]
    values = np.where(unknown, fill[:, None], np.nan_to_num(curves.values, nan=-WORST))
    ends = run.trained_to_end
    if setting.scheduler is None:
        kept = np.argsort(-values[:, setting.cut - 1], kind="stable")[: max(1, math.ceil(setting.kept * len(values)))]
        return np.where(np.isin(np.arange(len(values)), kept), ends, np.minimum(ends, setting.cut))
    study = run.study.model_copy(update={"scheduler": setting.scheduler})
    costs = [Cost(seconds, last_epoch=int(end)) for seconds, end in zip(curves.seconds, ends, strict=True)]
    way = simulate(study, costs, run.slots, lambda number, epoch: float(values[number, epoch - 1]))
    return np.array(way.epochs)
