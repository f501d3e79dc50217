"""Summaries of runs: what the list shows of a journal, kept small enough for a thousand of them."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tune_mlp.errors import RunFolderError
from tune_mlp.records import Mode
from tune_mlp.results.journal import Param
from tune_mlp.results.run_cache import JOURNAL
from tune_mlp.results.run_files import read_manifest, read_study
from tune_mlp.results.state import RunState
from tune_mlp.runs.lease import lease_file, read_holder
from tune_mlp.service.messages import BestTrial

NORMAL_95 = 1.959963984540054
"""The 97.5 % point of the normal distribution."""


@dataclass(frozen=True)
class FolderFacts:
    """What study.yaml and run.json say of a run: they change only where a run begins, goes on or ends."""

    space: str = ""
    description: str = ""
    trials: int | None = None
    state: str = ""
    """The manifest's state: running, finished, interrupted or failed."""
    error: str = ""
    dataset: str = ""
    validation_samples: int | None = None

    @classmethod
    def read(cls, folder: Path, whole: bool = True) -> FolderFacts:
        """Read what can be read; a file that is missing or damaged tells nothing. Unless `whole`, the manifest alone is read, since
        YAML takes ten times as long."""
        study = tolerant(read_study, folder / "study.yaml") if whole else {}
        manifest = tolerant(read_manifest, folder / "run.json")
        dataset = manifest.get("dataset", {})
        trials = study.get("trials")
        return cls(
            space=str(study.get("name", "") or manifest.get("study", "")),
            description=str(study.get("description", "") or ""),
            trials=trials if type(trials) is int else None,
            state=str(manifest.get("state", "")),
            error=str(manifest.get("error", "")),
            dataset=str(dataset.get("name", "")),
            validation_samples=_validation_samples(study.get("data"), dataset.get("samples")),
        )


@dataclass(frozen=True)
class RunSummary:
    """What a journal says, as of an offset."""

    offset: int = 0
    started: float | None = None
    """When its first line was written."""
    written: float | None = None
    """When its last line was written."""
    states: Mapping[str, int] = field(default_factory=dict)
    ended: int = 0
    running: int = 0
    epochs: int = 0
    metric: str = ""
    mode: Mode | None = None
    goals: tuple[str, ...] = ()
    """The goals, where the study has several."""
    best_trial: int | None = None
    best_value: float | None = None
    best_params: Mapping[str, Param] = field(default_factory=dict)
    trial_seconds: float = 0.0
    """The seconds of all trials that have ended, together."""
    dataset: str = ""
    stand_in_for: str = ""
    fault: str = ""
    """Why the journal can't be read, in one line."""

    @classmethod
    def of(cls, state: RunState, epochs: int, offset: int, started: float | None, written: float | None) -> RunSummary:
        """Return the summary of a state; the epochs of trials that have ended may have been left out of it."""
        first, best = state.started, state.best
        if first is None:
            return cls(offset=offset)
        ends = [trial.ended for trial in state.trials.values() if trial.ended is not None]
        value = None if best is None else _value(state, best, first.mode)
        return cls(
            offset=offset,
            started=started,
            written=written,
            states=dict(Counter(end.state.value for end in ends)),
            ended=len(ends),
            running=len(state.trials) - len(ends),
            epochs=epochs,
            metric=first.metric,
            mode=first.mode,
            goals=(first.metric, *first.further_goals) if first.further_goals else (),
            best_trial=best,
            best_value=value,
            best_params={} if best is None else dict(state.trials[best].drawn.params),
            trial_seconds=math.fsum(end.seconds for end in ends),
            dataset=first.dataset,
            stand_in_for=first.stand_in_for,
        )

    def to_json(self) -> str:
        """Write it for the ledger."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> RunSummary:
        """Read what `to_json` wrote."""
        found = json.loads(text)
        return cls(**{**found, "goals": tuple(found.get("goals", ()))})  # an older service wrote none

    def seconds_left(self, trials: int | None) -> float | None:
        """Estimate how long the search still takes: the trials to come take as long as those that ended, as many at once as now."""
        if trials is None or not self.ended or not self.running:
            return None
        each = self.trial_seconds / self.ended
        return each * max(0.0, trials - self.ended - self.running / 2) / self.running

    def best(self, samples: int | None) -> BestTrial | None:
        """Return the best trial, with the interval of an accuracy that was measured on so many samples."""
        if self.best_trial is None or self.best_value is None or not math.isfinite(self.best_value):
            return None
        low = high = None
        is_share = self.metric.endswith("_accuracy") and "balanced" not in self.metric
        if samples and is_share and 0 <= self.best_value <= 1:  # a journal from elsewhere may say anything
            low, high = wilson(self.best_value, samples)
        return BestTrial(trial=self.best_trial, value=self.best_value, low=low, high=high, params=self.best_params)


def facts_to_json(facts: FolderFacts) -> str:
    """Write a run's facts for the ledger."""
    return json.dumps(asdict(facts), ensure_ascii=False)


def facts_from_json(text: str) -> FolderFacts:
    """Read what `facts_to_json` wrote."""
    return FolderFacts(**json.loads(text))


def wilson(share: float, samples: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share. `insight.paired` has it for arrays, and takes scipy's import for it."""
    z2 = NORMAL_95**2
    centre = (share + z2 / (2 * samples)) / (1 + z2 / samples)
    half = math.sqrt(z2 * (share * (1 - share) / samples + z2 / (4 * samples**2))) / (1 + z2 / samples)
    return max(0.0, centre - half), min(1.0, centre + half)


def writer_lives(folder: Path) -> bool:
    """Say whether a process of this machine is writing the run's journal now, by its lease."""
    path = lease_file(folder / JOURNAL)
    if not path.exists():
        return False
    holder = read_holder(path)
    return holder is not None and holder.lives


def _value(state: RunState, trial: int, mode: Mode) -> float:
    """Return the metric of a trial's best epoch. The order that ranks trials has it, also where the epochs were left out."""
    value = state.best_value(trial)
    if value is not None:
        return value
    ranked = state.known_order(trial)[0]
    return -ranked if mode == "max" else ranked


def tolerant(read: Callable[[Path], dict[str, Any]], path: Path) -> dict[str, Any]:
    """Return what a file of a run says; nothing if it is missing or damaged."""
    try:
        return read(path)
    except RunFolderError:
        return {}


def _validation_samples(data: Any, samples: Any) -> int | None:
    """Return how many samples a trial's metric is measured on, all folds together."""
    if not isinstance(data, dict) or type(samples) is not int:
        return None
    how = data.get("validation", 0.2)
    if isinstance(how, dict):
        return samples - how["head"] if type(how.get("head")) is int else samples
    return round(samples * how) if isinstance(how, float) and 0 < how < 1 else None
