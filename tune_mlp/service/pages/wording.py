"""Words and numbers of the pages: times, scores and states as a person reads them."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from tune_mlp.console.formatting import clock, score
from tune_mlp.report.markup import prose as report_prose
from tune_mlp.service.messages import BestTrial, StudyState, StudySummary
from tune_mlp.service.result_messages import ComparedStudy

STATE_WORDS = {
    StudyState.QUEUED: "Queued",
    StudyState.RUNNING: "Running",
    StudyState.STOPPING: "Stopping",
    StudyState.STOPPED: "Stopped",
    StudyState.FINISHED: "Finished",
    StudyState.INTERRUPTED: "Interrupted",
    StudyState.FAILED: "Failed",
}
UNDER_WAY = (StudyState.QUEUED, StudyState.RUNNING, StudyState.STOPPING)
"""The states of a study that may still change by itself."""
_UNITS = ((86400 * 365, "year"), (86400 * 30, "month"), (86400, "day"), (3600, "hour"), (60, "minute"))


def ago(seconds: float | None, now: float | None = None) -> str:
    """Write how long ago a time was, such as `5 minutes ago`."""
    if seconds is None:
        return ""
    passed = (time.time() if now is None else now) - seconds
    for size, unit in _UNITS:
        if passed >= size:
            count = int(passed // size)
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return "just now"


def left(seconds: float | None) -> str:
    """Write how long it will take, in the unit that matters."""
    if seconds is None or not math.isfinite(seconds):
        return ""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    if seconds < 3600:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h" if seconds < 86400 else f"{seconds / 86400:.1f} days"


def moment(seconds: float | None) -> str:
    """Write a time as text that is the same everywhere, such as `2026-01-31 12:05 UTC`."""
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def iso(seconds: float | None) -> str:
    """Write a time for programs."""
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def interval(metric: str, best: BestTrial | None) -> str:
    """Write the 95 % interval of the best value, such as `0.9512 to 0.9801`."""
    if best is None or best.low is None or best.high is None:
        return ""
    return f"{score(metric, best.low)} to {score(metric, best.high)}"


def value(item: Any) -> str:
    """Write a cell of a table: missing values are empty, and numbers get five significant digits."""
    if item is None or item is math.nan:
        return ""
    if isinstance(item, bool) or type(item).__name__ == "bool_":
        return str(bool(item)).lower()
    if isinstance(item, list | tuple):
        return ", ".join(map(value, item))
    try:
        number = float(item)
    except (TypeError, ValueError):
        return "" if type(item).__name__ in ("NAType", "NaTType") else str(item)
    if isinstance(item, str):
        return item
    if math.isnan(number):
        return ""
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else f"{number:.5g}"


def is_number(item: Any) -> bool:
    """Say whether a cell stands to the right."""
    return not isinstance(item, str | bool | list | tuple) and item is not None


def done(study: StudySummary) -> int:
    """Return how much of a study is done, from 0 to 100."""
    if study.state is StudyState.FINISHED:
        return 100
    return min(100, round(100 * study.ended_trials / study.trials)) if study.trials else 0


def in_bytes(count: float | None) -> str:
    """Write a size, such as `1.2 GB`."""
    if count is None:
        return ""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def shown_columns(one: ComparedStudy) -> list[str]:
    """Return the columns of a study's best trials that are shown beside others': the score, and a few parameters."""
    if not one.top or one.summary.best is None:
        return []
    names = ["trial", f"best_{one.summary.metric}", *list(one.summary.best.params)[:5]]
    return [name for name in names if name in one.top[0]]


NOT_A_SETTING = ("trial", "state", "error", "data")
"""Columns of the table of trials that a trial's page says in its head."""


def prose(text: str) -> Markup:
    """Write a sentence in which words between backquotes are code; all of it is escaped."""
    return Markup(report_prose(text))  # the report's markup escapes


FILTERS = {
    "prose": prose,
    "ago": ago,
    "left": left,
    "moment": moment,
    "iso": iso,
    "clock": clock,
    "value": value,
    "in_bytes": in_bytes,
}
FUNCTIONS = {"score": score, "interval": interval, "done": done, "is_number": is_number, "shown_columns": shown_columns}
