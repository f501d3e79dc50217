"""The history of each trial of a run, in the form that other tools keep: curves by epoch, times, and facts by name."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tune_mlp.records import EpochRecord, Mode, TrialState
from tune_mlp.results.journal import Drawn, Ended, Line, Param, Trained
from tune_mlp.results.journal_reader import read_lines
from tune_mlp.results.results import Results
from tune_mlp.results.state import RunState
from tune_mlp.version import __version__

Facts = dict[str, str | int | float]


class TrialHistory(NamedTuple):
    """What a run knows of one trial."""

    number: int
    state: TrialState | None
    """How the trial ended; None while it is open."""
    params: dict[str, Param]
    """The parameters; under population-based training those that the trial had last."""
    curve: dict[int, Mapping[str, float]]
    """The metrics of each epoch, as their means over seeds and folds."""
    times: dict[int, float]
    """When each epoch ended, in seconds since 1970."""
    began: float
    ended: float | None
    best_epoch: int | None
    score: float | None
    """The run's metric in the best epoch; None where no epoch has a finite one."""
    tested: Mapping[str, float]
    """What was measured on the test part; empty for most trials."""
    facts: Facts


class RunHistory(NamedTuple):
    """What a run knows of all its trials."""

    name: str
    metric: str
    mode: Mode
    best: int | None
    """The winner's number."""
    facts: Facts
    trials: list[TrialHistory]


def run_history(results: Results) -> RunHistory:
    """Return the history of a run, from its journal."""
    journal = results.path / "journal.jsonl"
    lines = read_lines(journal)
    state = RunState.of(line.event for line in lines)
    clock = _Clock(lines, unknown=journal.stat().st_mtime)
    changes: dict[int, list[dict[str, Param]]] = {}
    columns = ("epoch", "donor", "parameter", "before", "after")
    for row in results.changes.astype(object).where(results.changes.notna(), None).to_dict("records"):
        changes.setdefault(row["trial"], []).append({name: row[name] for name in columns})
    trials = [_trial(state, clock, number, changes.get(number, [])) for number in sorted(state.trials)]
    best = None if results.best is None else int(results.best["trial"])
    name = str(results.manifest.get("name") or str(results.where).rstrip("/").rpartition("/")[2])
    return RunHistory(name, results.metric, results.mode, best, _run_facts(results, state, trials, best), trials)


def plain(value: Param) -> str | int | float | bool | None:
    """Return a parameter's value as a single one: a list as its JSON."""
    return value if value is None or isinstance(value, str | int | float) else json.dumps(value, ensure_ascii=False)


def _trial(state: RunState, clock: _Clock, number: int, changes: list[dict[str, Param]]) -> TrialHistory:
    trial, started = state.trials[number], state.started
    assert started is not None
    ended, best = trial.ended, state.best_epoch(number)
    facts: Facts = {
        "trial": number,
        "state": ended.state.value if ended else "open",
        "engine": started.engine,
        "seed": trial.drawn.seed,
        "node": trial.trained.node if trial.trained else "",
        "weights": trial.trained.weights if trial.trained else "",
        "best_epoch": best or "",
        "reason": ended.reason if ended else "",
        "error": ended.error if ended else "",
        "changes": json.dumps(changes, ensure_ascii=False) if changes else "",
    }
    curve = state.whole_epochs(number)
    return TrialHistory(
        number=number,
        state=ended.state if ended else None,
        params=dict(trial.drawn.params),
        curve=curve,
        times={epoch: clock.epochs[number, epoch] for epoch in curve},
        began=clock.began[number],
        ended=clock.ended.get(number),
        best_epoch=best,
        score=state.best_value(number),
        tested=trial.tested.metrics if trial.tested else {},
        facts={name: fact for name, fact in facts.items() if fact != ""},
    )


def _run_facts(results: Results, state: RunState, trials: list[TrialHistory], best: int | None) -> Facts:
    started = state.started
    assert started is not None
    score = next((trial.score for trial in trials if trial.number == best), None)
    facts: Facts = {
        "study": started.study_name,
        "task": started.task,
        "metric": started.metric,
        "mode": started.mode,
        "dataset": started.dataset,
        "stand_in_for": started.stand_in_for,
        "fingerprint": results.manifest.get("dataset", {}).get("fingerprint", ""),
        "seed": started.seed,
        "best_trial": "" if best is None else best,
        "best_value": "" if score is None else score,
        "written_by": f"tune_mlp {__version__}",
    }
    return {name: fact for name, fact in facts.items() if fact != ""}


class _Clock:
    """Tells when each trial began and ended, and when each of its epochs ended.

    A journal of format 1 has no times. Its trials begin at the time `unknown`, and go on by the seconds that they trained.
    """

    def __init__(self, lines: Iterable[Line], unknown: float) -> None:
        self.began: dict[int, float] = {}
        self.ended: dict[int, float] = {}
        self.epochs: dict[tuple[int, int], float] = {}
        """The time by trial and epoch."""
        trained: dict[int, float] = {}
        for line in lines:
            event = line.event
            if isinstance(event, Drawn):
                self.began.setdefault(event.trial, unknown if line.at is None else line.at)
            elif isinstance(event, Trained):
                seconds = _seconds(event.epochs)
                trained[event.trial] = trained.get(event.trial, 0.0) + math.fsum(seconds.values())
                at = self.began[event.trial] + trained[event.trial] if line.at is None else line.at
                for epoch in sorted(
                    seconds, reverse=True
                ):  # a line may tell of several epochs, and its time is that of the last
                    self.epochs[event.trial, epoch] = at
                    at -= seconds[epoch]
            elif isinstance(event, Ended):
                at = self.began[event.trial] + event.seconds if line.at is None else line.at
                self.ended[event.trial] = at


def _seconds(records: Iterable[EpochRecord]) -> dict[int, float]:
    """Return the seconds of each epoch, over all its seeds and folds."""
    seconds: dict[int, float] = {}
    for record in records:
        seconds[record.epoch] = seconds.get(record.epoch, 0.0) + record.seconds
    return seconds
