"""Watching a study of a service: its events feed the display of a search, which shows what it shows on the machine of the study."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from tune_mlp.console.board import Board, Display
from tune_mlp.records import Mode
from tune_mlp.service.client import AT_REST, Client
from tune_mlp.service.faults import UnknownStudy
from tune_mlp.service.messages import StudySummary
from tune_mlp.service.study_events import EpochsTrained, StudyGone, TrialDecided, TrialDrawn, TrialEnded
from tune_mlp.study.study import Study

TrialEvent = TrialDrawn | EpochsTrained | TrialDecided | TrialEnded


@dataclass
class WatchedBoard(Board):
    """The board of a study that runs elsewhere: the service estimates what is left, since the past comes all at once."""

    left: float | None = None

    def seconds_left(self) -> float | None:
        """Return what the service said last."""
        return self.left


class Watch:
    """Tells a display what the events of a study say. An event that comes twice, as after a lost connection, counts once."""

    def __init__(self, client: Client, name: str, display: Display) -> None:
        self._client, self._name, self._display = client, name, display
        self._board: WatchedBoard | None = None
        self._early: list[TrialEvent] = []
        """The events that came before a summary that names the study's metric."""
        self._said = ""
        self._epochs: dict[int, int] = {}
        """The last epoch of each trial."""
        self._ended: set[int] = set()

    def until_rest(self) -> StudySummary:
        """Show the study until it is at rest, and return where it stands then."""
        try:
            for event in self._client.follow(self._name):
                if isinstance(event, StudyGone):
                    raise UnknownStudy(
                        f"{self._name} was deleted while it was watched; it can be restored from the trash"
                    )
                if isinstance(event, StudySummary):
                    self._stands(event)
                elif self._board is None:
                    self._early.append(event)
                else:
                    self._show(self._board, event)
        finally:
            if self._board is not None:
                self._display.finish()
        return self._client.get(self._name)

    def _stands(self, summary: StudySummary) -> None:
        """Note where the study stands: its place in the queue before it begins, and what is left while it runs."""
        if self._board is None and summary.mode is not None:
            self._board = _board(summary, summary.mode, self._client.study(self._name))
            self._display.begin(self._board)
            for event in self._early:
                self._show(self._board, event)
        if self._board is not None:
            self._board.left = summary.seconds_left
            self._board.trials = summary.trials or self._board.trials
            return
        said = f"{summary.name} is {summary.state}"
        said += f", at place {summary.position}" if summary.position is not None else ""
        said += f": {summary.detail}" if summary.detail else ""
        if said != self._said and summary.state not in AT_REST:
            self._display.say(said, "dim")
        self._said = said

    def _show(self, board: Board, event: TrialEvent) -> None:
        """Show an event of a trial that hasn't ended."""
        if event.trial in self._ended:
            return
        if isinstance(event, TrialDrawn):
            self._display.trial_started(event.trial, event.params)
        elif isinstance(event, EpochsTrained):
            last = event.epochs[-1]
            new = max(0, last.epoch - self._epochs.get(event.trial, 0))
            self._epochs[event.trial] = last.epoch
            value = last.metrics.get(board.metric)
            self._display.trial_trained(event.trial, last.epoch, new, math.nan if value is None else value, event.best)
        elif isinstance(event, TrialEnded):
            self._ended.add(event.trial)
            self._display.trial_ended(event.trial, event.state, event.error)


def _board(summary: StudySummary, mode: Mode, study: Study) -> WatchedBoard:
    """Return the board of a study that has begun."""
    running = 0.0 if summary.started is None else max(0.0, (summary.ended or time.time()) - summary.started)
    return WatchedBoard(
        title=f"{summary.name}: {summary.space} on {summary.dataset}; {study.search.name} search, {study.scheduler.name}",
        metric=summary.metric,
        mode=mode,
        trials=summary.trials or study.number_of_trials,
        epochs=study.epochs,
        started=time.monotonic() - running,
        left=summary.seconds_left,
    )
