"""The plateau: a search begins no more trials once as many again would bring less than what the user calls small.

The upper end of the gain's interval decides. A rule that is asked again and again is wrong more often than once, so it is asked only
when the trials have become half as many again, and the interval is so wide that all its answers together hold what is claimed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict

import numpy as np

from tune_mlp.console.board import Display
from tune_mlp.console.formatting import estimate_said
from tune_mlp.results.journal import Drawn, Estimated, Event, Resumed
from tune_mlp.results.more_search import more_trials
from tune_mlp.results.state import RunState
from tune_mlp.runs.journal_writer import Journal
from tune_mlp.study.study import BoundStudy
from tune_mlp.tuning.differences import Difference
from tune_mlp.tuning.pausing import PausingScheduler

FIRST, GROWTH = 20, 1.5
"""The number of trials at which more search is estimated for the first time, and the factor to the next time."""
CERTAINTY = 0.97
"""The share of gains that an interval holds. One in a hundred and a half is above it, at each of about ten estimates; that the
answers of a search agree, and that most gains are small, keeps all of them together below five in a hundred."""
SHARES = ("accuracy", "f1", "auc", "r2")
"""The ends of the names of metrics that are shares, of which a hundredth is a point."""


class PlateauWatch:
    """Says before each draw whether the draws have ended. It estimates when that is due, and writes each estimate to the journal."""

    def __init__(
        self, study: BoundStudy, journal: Journal, scheduler: object, display: Display, on_end: Callable[[], None]
    ) -> None:
        self._study, self._journal, self._display = study, journal, display
        self._pausing = scheduler if isinstance(scheduler, PausingScheduler) else None
        self._on_end = on_end

    def __call__(self) -> bool:
        state = self._journal.state
        if state.plateau is None and (estimated := estimate(self._study, state)):
            self._journal.append(estimated)
            if estimated.ends:
                self._end(estimated, len(state.trials))
        return state.plateau is not None

    def _end(self, estimated: Estimated, drawn: int) -> None:
        if self._pausing:
            self._pausing.to_come = 0
        self._display.board.trials = drawn
        never = self._study.number_of_trials - drawn
        rest = f"; {never:,} of {self._study.number_of_trials:,} trials aren't begun" if never else ""
        self._display.say(f"{estimate_said(asdict(estimated), self._study.metric)}{rest}", "yellow")
        self._on_end()


def estimate(study: BoundStudy, state: RunState) -> Estimated | None:
    """Estimate what more search would bring, if that is due; None where it isn't, or can't be said.

    Trials that are under way are left out, and so are the first ones, whose settings were given. Draws of a search that learns get
    better: it is judged by the later half of its draws alone, of which it could make twice as many.
    """
    plateau, learns = study.until.plateau, study.search.learns
    last = state.estimates[-1].trials if state.estimates else 0
    due = max(FIRST * (2 if learns else 1), math.ceil(GROWTH * last))
    if plateau is None or len(state.trials) < due:
        return None
    at_rest = _scores_at_rest(state)
    named = len(study.first_draws())
    drawn = np.array([score for number, score in at_rest if number >= named])
    if len(drawn) < due:
        return None
    scores = np.array([score for _, score in at_rest])
    best, before = float(scores.max()), float(scores[: len(scores) // 2].max())
    sample, times = (drawn[len(drawn) // 2 :], 2.0) if learns else (drawn, 1.0)
    more = more_trials(sample, CERTAINTY, best, times)
    if more is None or not math.isfinite(before):
        return None
    unit = 1.0 if study.metric.endswith(SHARES) else abs(best)
    small, latest = plateau.small / 100 * unit, best - before
    ends = max(more.high, latest) < small
    return Estimated(len(drawn), more.gain, more.low, more.high, latest, small, ends)


def _scores_at_rest(state: RunState) -> Sequence[tuple[int, float]]:
    """Return the numbers and scores of the trials that have ended or are paused, in the order of their draws; higher is better, and
    a trial that can't be best has minus infinity."""
    decisions = {one.trial: one.decision for one in state.decisions}
    at_rest = [n for n, trial in sorted(state.trials.items()) if trial.ended or decisions.get(n) == "pause"]
    return [(number, -state.known_order(number)[0]) for number in at_rest]


def wrong_estimates(study: BoundStudy, events: Sequence[Event]) -> Iterator[Difference]:
    """Yield the estimates that don't follow from the trials before them, and the draws after one that had ended the draws."""
    state = RunState()
    changes = [place for place, event in enumerate(events) if isinstance(event, Resumed) and event.draws_on]
    for place, event in enumerate(events):
        if isinstance(event, Drawn) and event.trial not in state.trials and state.plateau:
            yield Difference(event.trial, None, "it was drawn", "an estimate had ended the draws")
        # What is called small may have been changed since, with what ends the draws.
        if isinstance(event, Estimated) and study.until.plateau and place > max(changes, default=0):
            yield from _wrong(event, estimate(study, state), max(state.trials, default=0))
        state.apply(event)


def _wrong(written: Estimated, derived: Estimated | None, trial: int) -> Iterator[Difference]:
    if derived is None:
        yield Difference(trial, None, f"an estimate after {written.trials} trials", "none was due")
        return
    for name in ("trials", "gain", "low", "high", "latest", "small", "ends"):
        here, there = getattr(written, name), getattr(derived, name)
        if not math.isclose(here, there, rel_tol=1e-6, abs_tol=1e-12):  # NumPy's versions differ in the last digits
            yield Difference(trial, None, f"{name} {here:.6g} of an estimate", f"{name} {there:.6g}")
            return
