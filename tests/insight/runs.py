"""Builders of runs whose trials left outcomes: a journal and the file beside it, without any training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.results.journals import drawn, ended, record, started, trained, write
from tune_mlp.results.journal import Event
from tune_mlp.results.outcomes import OUTCOMES, Outcomes, to_line
from tune_mlp.results.results import Results


def right(count: int, samples: int = 1000, first: int = 0) -> NDArray[np.bool_]:
    """Return the outcomes of a trial that got `count` samples right, from the sample `first` on and then round about."""
    found = np.zeros((1, samples), np.bool_)
    found[0, (first + np.arange(count)) % samples] = True
    return found


def a_run(
    folder: Path, trials: Mapping[int, NDArray[Any] | str], losses: Mapping[int, float] | None = None, **changes: Any
) -> Results:
    """Write a run of one epoch a trial. Each trial has its outcomes; or the state of a trial without any, `old` for one that
    an earlier version trained."""
    regression = any(not isinstance(values, str) and values.dtype != np.bool_ for values in trials.values())
    task: Any = {"task": "regression", "metric": "val_rmse", "mode": "min", "classes": 0} if regression else {}
    events: list[Event] = [started(**task, **changes)]
    lines = []
    for number, values in trials.items():
        events.append(drawn(number))
        if not isinstance(values, str):
            loss = (losses or {}).get(number, 0.5)
            scores = (float(np.sqrt(np.square(values).mean())), 0.5) if regression else (float(values.mean()),)
            events += [
                trained(number, record(1, *([0.5] * (len(scores) + 1)), loss, *scores, task=events[0].task)),  # type: ignore[union-attr]
                ended(number),
            ]
            lines.append(to_line(number, Outcomes(1, values)))
        elif values == "old":
            events += [trained(number, record(1, 0.5, 0.5, 0.5, 0.5)), ended(number)]
        elif values == "open":
            events += [trained(number, record(1, 0.5, 0.5, 0.5, 0.5))]
        else:
            events.append(ended(number, values, error="it broke" if values == "failed" else ""))
    write(folder / "journal.jsonl", events)
    if lines:
        (folder / OUTCOMES).write_bytes(b"".join(lines))
    return Results.load(folder)
