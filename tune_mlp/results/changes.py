"""The table of changes: the settings that population-based training gave to trials on their way, built from the journal."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from tune_mlp.results.journal import Decided, Drawn, Event, Param
from tune_mlp.results.tables import TEXT, parameter_column

COLUMNS = {"trial": "int64", "epoch": "Int64", "donor": "Int64", "parameter": TEXT}


def changes_table(events: Iterable[Event]) -> pd.DataFrame:
    """Return a row for each parameter of a trial that got another value after it was drawn.

    `epoch` is the epoch after which the trial took over the weights of `donor`; both are missing if the journal doesn't
    say them, as journals of format 1 don't. A value that is missing is that of a parameter that the trial didn't have.
    """
    params: dict[int, dict[str, Param]] = {}
    decided: dict[int, Decided] = {}
    rows: list[tuple[int, int | None, int | None, str, Param, Param]] = []
    for event in events:
        if isinstance(event, Decided) and event.decision == "exploit":
            decided[event.trial] = event
        elif isinstance(event, Drawn):
            after = dict(event.params)
            before = params.get(event.trial, after)
            why = decided.pop(event.trial, None)
            for name in dict.fromkeys([*before, *after]):
                if before.get(name) != after.get(name):
                    place = (why.epoch, why.donor) if why else (None, None)
                    rows.append((event.trial, *place, name, before.get(name), after.get(name)))
            params[event.trial] = after
    columns = {name: pd.Series([row[i] for row in rows], dtype=kind) for i, (name, kind) in enumerate(COLUMNS.items())}
    return pd.DataFrame(
        columns
        | {
            "before": parameter_column([row[4] for row in rows]),
            "after": parameter_column([row[5] for row in rows]),
        }
    )
